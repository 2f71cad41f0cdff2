"""What this machine is: processor, memory, accelerators, energy counter. Measured or read, never assumed."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from coinfer.errors import ProfileError
from coinfer.profiler.energy import load_nvml, open_counter
from coinfer.profiler.profile import DeviceFacts, Estimate


def probe_machine(
    *,
    name: str = "local",
    declared_busy_power_w: float | None = None,
    declared_idle_power_w: float | None = None,
    root: Path = Path("/"),
) -> DeviceFacts:
    """Return the facts of this machine.

    Parameters
    ----------
    name
        How problems and measurements name it.
    declared_busy_power_w, declared_idle_power_w
        Power figures in watts that the user declares; marked as declared, used only where no counter measures.
    root
        Where the file system begins, for looking at ``/proc`` and ``/sys``.

    Raises
    ------
    ProfileError
        For a power that is no finite number, at least 0.
    """
    counter = open_counter(root / "sys")
    try:
        counter_name = None if counter is None else counter.name
    finally:
        if counter is not None:
            counter.close()
    parts = [
        _processor(root),
        f"{usable_cores(root):g} usable cores",
        *_accelerators(root),
        f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
    ]
    return DeviceFacts(
        name=name,
        description=", ".join(part for part in parts if part),
        memory_bytes=memory_bytes(root),
        busy_power_w=_declared("busy_power_w", declared_busy_power_w),
        idle_power_w=_declared("idle_power_w", declared_idle_power_w),
        energy_counter=counter_name,
    )


def usable_cores(root: Path = Path("/")) -> float:
    """Return the processor cores this process may use: its affinity, cut by the container's quota."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for group in _control_groups(root):
        quota = _text(group / "cpu.max").split()
        if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]) > 0:
            cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory this process may use, bytes: the machine's, cut by the container's limit."""
    import psutil

    total = int(psutil.virtual_memory().total)
    limits = [_text(group / "memory.max") for group in _control_groups(root)]
    return min([total, *(int(limit) for limit in limits if limit.isdigit())])


def _control_groups(root: Path) -> list[Path]:
    """Return the folders of this process's control group (version 2) and of all above it."""
    mount = root / "sys/fs/cgroup"
    lines = _text(root / "proc/self/cgroup").splitlines()
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def _processor(root: Path) -> str:
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.processor() or platform.machine()


def _accelerators(root: Path) -> list[str]:
    """Return boards and cards by name; empty where there are none or nothing can tell."""
    found = [board] if (board := _text(root / "proc/device-tree/model").strip("\0 \n")) else []
    library = load_nvml()
    if isinstance(library, str):
        return found
    try:
        for i in range(library.nvmlDeviceGetCount()):
            label = library.nvmlDeviceGetName(library.nvmlDeviceGetHandleByIndex(i))
            found.append(label.decode() if isinstance(label, bytes) else str(label))
    except library.NVMLError:
        found.append("an NVIDIA card that does not answer")
    return found


def _declared(where: str, power_w: float | None) -> Estimate | None:
    if power_w is None:
        return None
    if not 0.0 <= power_w < float("inf"):
        raise ProfileError(where, expected="watts, a finite number, at least 0", found=power_w)
    return Estimate(value=power_w, samples=0, basis="declared", source="declared by the user")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
