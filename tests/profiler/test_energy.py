"""Energy counters, read for real from trees of files laid out as the kernel lays them out."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import BackendMissing
from coinfer.profiler.energy import JetsonCounter, NvmlCounter, RaplCounter, open_counter, why_absent

RANGE_UJ = 65_532_610_987


def _domain(sysfs: Path, folder: str, name: str, energy_uj: int = 0) -> Path:
    domain = sysfs / "class" / "powercap" / folder
    domain.mkdir(parents=True)
    (domain / "name").write_text(f"{name}\n")
    (domain / "energy_uj").write_text(f"{energy_uj}\n")
    (domain / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    return domain


def _monitor(sysfs: Path, number: int, rails: dict[str, tuple[int, int]]) -> Path:
    """Lay out one INA3221 with rails of (millivolts, milliamperes)."""
    monitor = sysfs / "class" / "hwmon" / f"hwmon{number}"
    monitor.mkdir(parents=True)
    (monitor / "name").write_text("ina3221\n")
    for i, (label, (volts, amperes)) in enumerate(rails.items(), start=1):
        (monitor / f"in{i}_label").write_text(f"{label}\n")
        (monitor / f"in{i}_input").write_text(f"{volts}\n")
        (monitor / f"curr{i}_input").write_text(f"{amperes}\n")
    return monitor


@given(
    start=st.integers(0, RANGE_UJ - 1),
    steps=st.lists(st.integers(0, RANGE_UJ - 1), max_size=8),
    other=st.lists(st.integers(0, RANGE_UJ - 1), max_size=8),
)
def test_wrap_around_loses_nothing(start: int, steps: list[int], other: list[int]) -> None:
    """However the registers of two packages wrap, the sum is what was used, and never falls."""
    with tempfile.TemporaryDirectory() as folder:
        domains = [_domain(Path(folder), f"intel-rapl:{i}", f"package-{i}", start) for i in range(2)]
        counter = RaplCounter(domains)
        used_uj, last_j = [0, 0], 0.0
        for i, step in [*((0, step) for step in steps), *((1, step) for step in other)]:
            used_uj[i] += step
            (domains[i] / "energy_uj").write_text(f"{(start + used_uj[i]) % RANGE_UJ}\n")
            now_j = counter.read_j()
            assert now_j >= last_j
            assert now_j == pytest.approx(sum(used_uj) / 1e6, abs=1e-9)
            last_j = now_j


def test_packages_are_counted_and_their_parts_are_not(tmp_path: Path) -> None:
    """Two packages are added; cores and memory inside them and the platform around them are left out."""
    packages = [_domain(tmp_path, f"intel-rapl:{i}", f"package-{i}") for i in range(2)]
    parts = [_domain(tmp_path, "intel-rapl:0:0", "core"), _domain(tmp_path, "intel-rapl:2", "psys")]
    parts.append(_domain(tmp_path, "intel-rapl-mmio:0", "package-0"))  # the same package, seen a second time
    counter = open_counter(sysfs=tmp_path)
    assert counter is not None
    for domain in packages:
        (domain / "energy_uj").write_text("3000000\n")
    for domain in parts:
        (domain / "energy_uj").write_text("50000000\n")

    assert (counter.read_j(), counter.source) == (6.0, "rapl")
    counter.close()


def test_a_counter_that_vanishes_is_a_sentence(tmp_path: Path) -> None:
    """When the file can no longer be read, the reader says so instead of repeating the last value."""
    domain = _domain(tmp_path, "intel-rapl:0", "package-0")
    counter = RaplCounter([domain])
    (domain / "energy_uj").unlink()

    with pytest.raises(BackendMissing, match="energy_uj"):
        counter.read_j()


def test_an_unreadable_register_means_no_counter_and_a_reason(tmp_path: Path) -> None:
    """A package whose register gives no number is not opened, and the reason is told."""
    domain = _domain(tmp_path, "intel-rapl:0", "package-0")
    (domain / "energy_uj").unlink()

    assert open_counter(sysfs=tmp_path) is None
    assert any("RAPL" in reason and "energy_uj" in reason for reason in why_absent(sysfs=tmp_path))


def test_a_domain_without_a_readable_name_means_no_counter_and_a_reason(tmp_path: Path) -> None:
    """A domain whose name is no text is told of, and ends nothing with a traceback."""
    (_domain(tmp_path, "intel-rapl:0", "package-0") / "name").write_bytes(b"\xff\n")

    assert open_counter(sysfs=tmp_path) is None
    assert any("RAPL: its counter cannot be read" in reason for reason in why_absent(sysfs=tmp_path))


def test_a_machine_without_counters_says_why_for_each_kind(tmp_path: Path) -> None:
    """An empty tree gives no counter, and RAPL and the Jetson rails are both explained."""
    assert open_counter(sysfs=tmp_path) is None
    reasons = " ".join(why_absent(sysfs=tmp_path))
    assert "RAPL" in reasons
    assert "Jetson" in reasons


@pytest.mark.parametrize(
    ("rails", "power_w"),
    [
        ({"VDD_IN": (5000, 2000), "VDD_CPU_GPU_CV": (5000, 1000), "VDD_SOC": (5000, 500)}, 10.0),
        ({"VDD_GPU_SOC": (19000, 1000), "VDD_CPU_CV": (19000, 500), "VIN_SYS_5V0": (5000, 1000)}, 33.5),
    ],
)
def test_the_rails_of_a_module_are_added_once(
    tmp_path: Path, rails: dict[str, tuple[int, int]], power_w: float
) -> None:
    """Orin Nano has one rail that holds all; on AGX Orin three add up. Constant power gives power times time."""
    _monitor(tmp_path, 0, rails)
    before_s = time.monotonic()
    counter = open_counter(sysfs=tmp_path)
    opened_s = time.monotonic()
    assert counter is not None
    time.sleep(0.1)
    read_s = time.monotonic()
    energy_j = counter.read_j()
    after_s = time.monotonic()
    counter.close()

    assert counter.source == "jetson"
    assert power_w * (read_s - opened_s) <= energy_j * (1 + 1e-9)
    assert energy_j <= power_w * (after_s - before_s) * (1 + 1e-9)


def test_the_memory_rail_behind_another_rail_is_not_added(tmp_path: Path) -> None:
    """AGX Orin's second sensor measures a part of what VIN_SYS_5V0 already holds."""
    _monitor(tmp_path, 0, {"VDD_GPU_SOC": (1000, 1000), "VDD_CPU_CV": (1000, 1000), "VIN_SYS_5V0": (1000, 1000)})
    _monitor(tmp_path, 1, {"VDDQ_VDD2_1V8AO": (1000, 100_000)})
    counter = open_counter(sysfs=tmp_path)
    start_s = time.monotonic()
    assert counter is not None
    time.sleep(0.05)
    energy_j = counter.read_j()
    elapsed_s = time.monotonic() - start_s
    counter.close()

    assert energy_j <= 3.0 * (elapsed_s + 0.05)


def test_rails_of_an_unknown_board_are_not_added_up(tmp_path: Path) -> None:
    """Which unknown rails contain which is not guessed: there is no counter, and they are named."""
    _monitor(tmp_path, 0, {"RAIL_A": (5000, 1000), "RAIL_B": (5000, 1000)})

    assert open_counter(sysfs=tmp_path) is None
    assert any("RAIL_A, RAIL_B" in reason for reason in why_absent(sysfs=tmp_path))


def test_a_rail_that_fails_is_a_sentence_and_ends_no_thread_with_a_traceback(tmp_path: Path) -> None:
    """When a rail vanishes while it is sampled, the next reading says so."""
    monitor = _monitor(tmp_path, 0, {"VDD_IN": (5000, 2000)})
    counter = JetsonCounter([(monitor / "in1_input", monitor / "curr1_input")])
    (monitor / "curr1_input").unlink()
    time.sleep(0.1)
    try:
        with pytest.raises(BackendMissing, match="curr1_input"):
            counter.read_j()
    finally:
        counter.close()


def test_closing_ends_the_sampling_thread_and_may_be_repeated(tmp_path: Path) -> None:
    """After ``close``, also a second one, no thread is left."""
    _monitor(tmp_path, 0, {"VDD_IN": (5000, 2000)})
    before = threading.active_count()
    counter = open_counter(sysfs=tmp_path)
    assert counter is not None
    assert threading.active_count() == before + 1
    counter.close()
    counter.close()

    assert threading.active_count() == before


class _Cards:
    """As much of the NVML library as is used, over registers in millijoules that a test sets."""

    NVMLError = OSError

    def __init__(self, registers_mj: list[int]) -> None:
        self.registers_mj = registers_mj
        self.lost = False

    def nvmlDeviceGetCount(self) -> int:
        return len(self.registers_mj)

    def nvmlDeviceGetHandleByIndex(self, i: int) -> int:
        return i

    def nvmlDeviceGetTotalEnergyConsumption(self, card: int) -> int:
        if self.lost:
            raise OSError("GPU is lost")
        return self.registers_mj[card]


def test_cards_are_added_and_a_restarted_driver_never_lowers_the_sum() -> None:
    """Millijoules of two cards add up to joules; a register that starts anew loses time, never the sum."""
    cards = _Cards([5_000, 9_000])
    counter = NvmlCounter(cards)
    cards.registers_mj = [6_000, 11_000]
    assert counter.read_j() == 3.0
    cards.registers_mj = [0, 12_000]
    assert counter.read_j() == 4.0
    cards.registers_mj = [500, 12_000]
    assert counter.read_j() == 4.5

    cards.lost = True
    with pytest.raises(BackendMissing, match="card 0 can no longer be read"):
        counter.read_j()
