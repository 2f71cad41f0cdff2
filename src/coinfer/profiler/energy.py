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
from typing import Protocol

from coinfer.profiler.measurement import EnergySource

SYSFS = Path("/sys")
SAMPLE_EVERY_S = 0.02


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
        """Energy since the counter was opened, joules."""
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
            now = _read_uj(folder)
            step = now - self._last_uj[i]
            self._total_uj += step if step >= 0 else step + self._range_uj[i]
            self._last_uj[i] = now
        return self._total_uj / 1e6

    def close(self) -> None:
        """Nothing is held open."""


class NvmlCounter:
    """Sum of the total energy counters of all NVIDIA cards."""

    source: EnergySource = "nvml"

    def __init__(self) -> None:
        import pynvml

        self._nvml = pynvml
        pynvml.nvmlInit()
        cards = range(pynvml.nvmlDeviceGetCount())
        self._cards = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in cards]
        self._start_mj = self._read_mj()

    @property
    def name(self) -> str:
        """What it counts, in words."""
        return f"NVML, {len(self._cards)} card(s)"

    def _read_mj(self) -> int:
        return sum(int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(card)) for card in self._cards)

    def read_j(self) -> float:
        """Energy since the counter was opened, joules."""
        return (self._read_mj() - self._start_mj) / 1e3

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
        power_w, now = self._read_w(), time.monotonic()
        with self._lock:
            self._total_j += (self._power_w + power_w) / 2 * (now - self._time_s)
            self._power_w, self._time_s = power_w, now

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            self._step()

    def read_j(self) -> float:
        """Energy since the counter was opened, joules."""
        self._step()
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
    try:
        return NvmlCounter()
    except Exception:  # noqa: BLE001, S110 (pynvml absent, no driver, card without a counter: all mean "not here")
        pass
    rails = _jetson_rails(sysfs)
    return JetsonCounter(rails) if rails else None


def why_absent(sysfs: Path = SYSFS) -> tuple[str, ...]:
    """Say of each kind of counter why it is not used here."""
    domains, reason = _rapl_domains(sysfs)
    reasons = [] if domains else [f"RAPL: {reason}"]
    try:
        NvmlCounter()
    except ImportError:
        reasons.append("NVML: the package nvidia-ml-py is not installed (extra: energy)")
    except Exception as error:  # noqa: BLE001 (pynvml raises classes of its own)
        reasons.append(f"NVML: {error}")
    if not _jetson_rails(sysfs):
        reasons.append("Jetson rails: no INA3221 monitor in hwmon")
    return tuple(reasons)


def _rapl_domains(sysfs: Path) -> tuple[list[Path], str]:
    """Return the readable package domains, or the reason why there are none."""
    folder = sysfs / "class" / "powercap"
    if not folder.is_dir():
        return [], "this machine has no powercap folder"
    packages = [
        domain
        for domain in sorted(folder.glob("*-rapl:*"))
        if (domain / "name").is_file() and (domain / "name").read_text().startswith("package")
    ]
    try:
        for domain in packages:
            _read_uj(domain)
            int((domain / "max_energy_range_uj").read_text())
    except (OSError, ValueError) as error:
        return [], f"its counter cannot be read ({error})"
    return packages, "powercap lists no processor package"


def _jetson_rails(sysfs: Path) -> list[tuple[Path, Path]]:
    """Return the rails of INA3221 monitors; the total rail alone where there is one."""
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
    total = [rail for name, rail in rails.items() if name in ("VDD_IN", "VIN_SYS_5V0", "POM_5V_IN")]
    return total or list(rails.values())


def _read_uj(domain: Path) -> int:
    return int((domain / "energy_uj").read_text())
