"""Energy counters: the best one this machine has, or none; nothing here is ever guessed.

In the order they are tried: RAPL (processor packages, Linux ``powercap``), NVML (NVIDIA cards, extra ``energy``),
INA3221 rails (Jetson boards; power sampled in the background and integrated). A counter sees the whole device, so
what it reads during a call is the call's only while nothing else runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from coinfer.errors import BackendMissing
from coinfer.profiler.measurement import EnergySource

SYSFS = Path("/sys")
SAMPLE_EVERY_S = 0.02

_WHOLE_BOARD = (("VDD_IN",), ("POM_5V_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))
"""Rails that add up to a board: Orin Nano, Orin NX, Xavier NX; Nano, TX2; AGX Orin (no rail of its holds all)."""


class EnergyCounter(Protocol):
    """A counter of energy that only rises."""

    @property
    def name(self) -> str:
        """What it counts, in words."""
        ...

    @property
    def source(self) -> EnergySource:
        """Which kind of counter it is."""
        ...

    def read_j(self) -> float:
        """Energy since the counter was opened, joules; never less than before.

        Raises
        ------
        BackendMissing
            If the counter can no longer be read.
        """
        ...

    def close(self) -> None:
        """Let go of it; may be called twice."""
        ...


class RaplCounter:
    """Sum of the processor packages of Linux ``powercap``; wrap-around of each is undone.

    Parameters
    ----------
    domains
        Folders with ``energy_uj`` and ``max_energy_range_uj``. Must be read at least once per wrap-around, which takes
        minutes at full power.
    """

    source: EnergySource = "rapl"

    def __init__(self, domains: Sequence[Path]) -> None:
        self._domains = tuple(domains)
        self._range_uj = [int((folder / "max_energy_range_uj").read_text()) for folder in self._domains]
        self._last_uj = [_read_uj(folder) for folder in self._domains]
        self._total_uj = 0

    @property
    def name(self) -> str:
        """What it counts, in words."""
        return f"RAPL, {len(self._domains)} package(s)"

    def read_j(self) -> float:
        """Energy since the counter was opened, joules."""
        for i, folder in enumerate(self._domains):
            try:
                now = _read_uj(folder)
            except (OSError, ValueError) as error:
                raise BackendMissing(f"the RAPL counter can no longer be read ({error})") from error
            step = now - self._last_uj[i]
            self._total_uj += step if step >= 0 else step + self._range_uj[i]
            self._last_uj[i] = now
        return self._total_uj / 1e6

    def close(self) -> None:
        """Nothing is held open."""


class NvmlCounter:
    """Sum of the total energy counters of all NVIDIA cards (Volta and later), without their host.

    Parameters
    ----------
    library
        The ``pynvml`` module, initialised.
    """

    source: EnergySource = "nvml"

    def __init__(self, library: Any) -> None:
        self._nvml = library
        self._cards = [library.nvmlDeviceGetHandleByIndex(i) for i in range(library.nvmlDeviceGetCount())]
        self._last_mj = [self._read_mj(card) for card in self._cards]
        self._total_mj = 0

    @property
    def name(self) -> str:
        """What it counts, in words."""
        return f"NVML, {len(self._cards)} card(s)"

    def _read_mj(self, card: Any) -> int:
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(card))

    def read_j(self) -> float:
        """Energy since the counter was opened, joules; what lay before a restart of the driver is lost."""
        for i, card in enumerate(self._cards):
            try:
                now = self._read_mj(card)
            except self._nvml.NVMLError as error:
                raise BackendMissing(f"the energy counter of card {i} can no longer be read ({error})") from error
            self._total_mj += max(0, now - self._last_mj[i])
            self._last_mj[i] = now
        return self._total_mj / 1e3

    def close(self) -> None:
        """Nothing needs to be let go of: the library ends with the process."""


class JetsonCounter:
    """Power of the INA3221 rails of a Jetson board, sampled by a thread and integrated over time.

    Parameters
    ----------
    rails
        (voltage file in millivolts, current file in milliamperes) of each rail.
    """

    source: EnergySource = "jetson"

    def __init__(self, rails: Sequence[tuple[Path, Path]]) -> None:
        self._rails = tuple(rails)
        self._total_j = 0.0
        self._power_w = self._read_w()
        self._time_s = time.monotonic()
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="jetson-rails", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """What it counts, in words."""
        return f"INA3221, {len(self._rails)} rail(s), sampled every {SAMPLE_EVERY_S * 1e3:g} ms"

    def _read_w(self) -> float:
        return sum(float(volt.read_text()) * float(ampere.read_text()) / 1e6 for volt, ampere in self._rails)

    def _step(self) -> None:
        with self._lock:
            try:
                power_w, now = self._read_w(), time.monotonic()
            except (OSError, ValueError) as error:
                self._failure = error  # a gap cannot be filled: from here on the counter is of no use
                return
            self._total_j += (self._power_w + power_w) / 2 * (now - self._time_s)
            self._power_w, self._time_s = power_w, now

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            self._step()

    def read_j(self) -> float:
        """Energy since the counter was opened, joules."""
        self._step()
        with self._lock:
            if self._failure is not None:
                raise BackendMissing(f"a Jetson power rail can no longer be read ({self._failure})")
            return self._total_j

    def close(self) -> None:
        """End the sampling thread."""
        self._ended.set()
        self._thread.join(timeout=1.0)


def open_counter(sysfs: Path = SYSFS) -> EnergyCounter | None:
    """Return the best energy counter of this machine, or ``None``; :func:`why_absent` says why."""
    domains, _ = _rapl_domains(sysfs)
    if domains:
        return RaplCounter(domains)
    counter = _open_nvml()
    if not isinstance(counter, str):
        return counter
    rails, _ = _jetson_rails(sysfs)
    return JetsonCounter(rails) if rails else None


def why_absent(sysfs: Path = SYSFS) -> tuple[str, ...]:
    """Say of each kind of counter that this machine lacks why it does."""
    reasons = []
    domains, reason = _rapl_domains(sysfs)
    if not domains:
        reasons.append(f"RAPL: {reason}")
    counter = _open_nvml()
    if isinstance(counter, str):
        reasons.append(f"NVML: {counter}")
    rails, reason = _jetson_rails(sysfs)
    if not rails:
        reasons.append(f"Jetson rails: {reason}")
    return tuple(reasons)


def load_nvml() -> Any:
    """Return the initialised ``pynvml`` module, or in words why there is none."""
    try:
        import pynvml
    except ImportError:
        return "the package nvidia-ml-py is not installed (extra: energy)"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return f"no driver answers ({error})"
    return pynvml


def _open_nvml() -> NvmlCounter | str:
    """Return the counter of all cards, or in words why there is none."""
    library = load_nvml()
    if isinstance(library, str):
        return library
    try:
        return NvmlCounter(library) if library.nvmlDeviceGetCount() else "no card"
    except library.NVMLError as error:
        return f"a card has no energy counter ({error})"


def _rapl_domains(sysfs: Path) -> tuple[list[Path], str]:
    """Return the readable package domains, or the reason why there are none."""
    folder = sysfs / "class" / "powercap"
    if not folder.is_dir():
        return [], "this machine has no powercap folder"
    try:
        packages = [
            domain
            for domain in sorted(folder.glob("*-rapl:*"))
            if (domain / "name").is_file() and (domain / "name").read_text().startswith("package")
        ]
        for domain in packages:
            _read_uj(domain)
            int((domain / "max_energy_range_uj").read_text())
    except (OSError, ValueError) as error:
        return [], f"its counter cannot be read ({error})"
    return packages, "powercap lists no processor package"


def _jetson_rails(sysfs: Path) -> tuple[list[tuple[Path, Path]], str]:
    """Return the rails of INA3221 monitors that add up to the board, or the reason why there are none."""
    rails: dict[str, tuple[Path, Path]] = {}
    for monitor in sorted((sysfs / "class" / "hwmon").glob("hwmon*")):
        try:
            if "ina3221" not in (monitor / "name").read_text():
                continue
            for label in sorted(monitor.glob("in*_label")):
                number = label.name.removeprefix("in").removesuffix("_label")
                volt, ampere = monitor / f"in{number}_input", monitor / f"curr{number}_input"
                if volt.is_file() and ampere.is_file():
                    rails[label.read_text().strip()] = (volt, ampere)
        except OSError:
            continue
    if not rails:
        return [], "no INA3221 monitor in hwmon"
    names = next((names for names in _WHOLE_BOARD if rails.keys() >= set(names)), None)
    if names is None:
        return [], f"it is not known which of {', '.join(sorted(rails))} add up to the board"
    chosen = [rails[name] for name in names]
    try:
        for file in (file for rail in chosen for file in rail):
            float(file.read_text())
    except (OSError, ValueError) as error:
        return [], f"a rail cannot be read ({error})"
    return chosen, ""


def _read_uj(domain: Path) -> int:
    return int((domain / "energy_uj").read_text())
