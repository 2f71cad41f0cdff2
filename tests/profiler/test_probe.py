"""The probe reads what the kernel says of this machine, and adds nothing."""

from __future__ import annotations

import math
from pathlib import Path

import psutil
import pytest

from coinfer.errors import ProfileError
from coinfer.profiler import probe
from coinfer.profiler.probe import probe_machine, usable_cores


def test_this_machine_is_described() -> None:
    """The real machine has a name, a description, and memory no larger than what is built in."""
    facts = probe_machine(name="here")

    assert facts.name == "here"
    assert "core" in facts.description
    assert facts.memory_bytes is not None
    assert 0 < facts.memory_bytes <= psutil.virtual_memory().total
    assert (facts.busy_power_w, facts.idle_power_w) == (None, None)


def test_declared_power_is_marked_as_declared() -> None:
    """What the user says of power stands there without samples, interval, or the claim of a measurement."""
    facts = probe_machine(declared_busy_power_w=65.0, declared_idle_power_w=0.0)

    for estimate, value in ((facts.busy_power_w, 65.0), (facts.idle_power_w, 0.0)):
        assert estimate is not None
        assert (estimate.value, estimate.basis, estimate.samples, estimate.low) == (value, "declared", 0, None)
        assert estimate.source == "declared by the user"


@pytest.mark.parametrize("power_w", [-1.0, math.nan, math.inf])
def test_a_power_that_is_none_is_refused(power_w: float) -> None:
    """A declared power below 0, NaN or infinite is a sentence."""
    with pytest.raises(ProfileError, match="busy_power_w: expected"):
        probe_machine(declared_busy_power_w=power_w)


def test_limits_of_a_container_count(tmp_path: Path) -> None:
    """A quota of half a core and a limit of 64 MiB are what this process may use."""
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("50000 100000\n")
    (group / "memory.max").write_text(f"{64 * 2**20}\n")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/\n")

    assert usable_cores(tmp_path) == 0.5
    assert probe_machine(root=tmp_path).memory_bytes == 64 * 2**20


def test_no_limit_means_the_whole_machine(tmp_path: Path) -> None:
    """``max`` in a control group, and no control group at all, leave affinity and built-in memory."""
    bare = (usable_cores(tmp_path), probe_machine(root=tmp_path).memory_bytes)
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    (group / "memory.max").write_text("max\n")

    assert (usable_cores(tmp_path), probe_machine(root=tmp_path).memory_bytes) == bare
    assert bare[1] == psutil.virtual_memory().total


def test_the_limit_of_a_service_counts_although_the_root_has_none(tmp_path: Path) -> None:
    """A process in a group below the root is bound by every group above it."""
    group = tmp_path / "sys" / "fs" / "cgroup" / "user.slice" / "job"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text(f"{32 * 2**20}\n")
    (group / "cpu.max").write_text("25000 100000\n")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/user.slice/job\n")

    assert usable_cores(tmp_path) == 0.25
    assert probe.memory_bytes(tmp_path) == 32 * 2**20


def test_a_board_is_named_by_its_device_tree(tmp_path: Path) -> None:
    """Board and processor come from the kernel's files, and the energy counter from its sensor."""
    (tmp_path / "proc" / "device-tree").mkdir(parents=True)
    (tmp_path / "proc" / "device-tree" / "model").write_text("Some Orin Nano Developer Kit\0")
    (tmp_path / "proc" / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some Processor v8\n")
    monitor = tmp_path / "sys" / "class" / "hwmon" / "hwmon3"
    monitor.mkdir(parents=True)
    for name, text in {"name": "ina3221", "in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "900"}.items():
        (monitor / name).write_text(text)
    facts = probe_machine(root=tmp_path)

    assert "Some Orin Nano Developer Kit" in facts.description
    assert "Some Processor v8" in facts.description
    assert facts.energy_counter is not None
