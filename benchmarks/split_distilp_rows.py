"""Rings on distilp's shipped profiles: the exact solver beside distilp's integer program, in one run.

Where distilp is installed, it is the peer; else its program is, as ``coinfer.testing.ring`` states it for SciPy's
``milp`` (HiGHS), the engine that distilp 0.1 calls, with distilp's relative gap of 1e-4.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean, median

from benchmarks.common import Row, cpu_s
from coinfer.models.split.ring import RingDevice, solve_ring
from coinfer.planner.split.from_distilp import ring_from_distilp
from coinfer.profiler.imports.distilp import read_distilp_folder
from coinfer.testing.ring import solve_ring_by_milp

SHARED = Path(__file__).parents[2] / "shared" / "data" / "distilp"
FOLDERS = ("hermes_70b", "llama_3_70b/4bit", "llama_3_70b/online", "qwen3_32b/bf16")
WIDTHS = ("4bit", "8bit", "fp16")
SAME, ONE, TWO, DROP = 1e-9, 50.0, 20.0, 0.2


def rows(quick: bool) -> list[Row]:
    """Return the rows: equal objectives, CPU time on one and two devices, devices left out."""
    if not SHARED.is_dir():
        raise FileNotFoundError(f"the profiles are not here: {SHARED.name}")
    began = time.perf_counter()
    worst, ratios = 0.0, dict[int, list[float]]()
    name = "distilp" if importlib.util.find_spec("distilp") else "distilp's program in SciPy"
    for folder in FOLDERS:
        devices, model = read_distilp_folder(SHARED / folder)
        for kv in WIDTHS:
            ring = ring_from_distilp(devices, model, kv=kv)
            ours = solve_ring(ring.devices, ring.layers, constant_s=ring.constant_s)
            peer = _peer(SHARED / folder, kv, ring.devices, ring.layers, ring.constant_s)
            theirs = peer()
            assert ours is not None
            worst = max(worst, abs(ours.value - theirs) / theirs)
            ours_s = _many(lambda ring=ring: solve_ring(ring.devices, ring.layers))  # type: ignore[misc]
            ratio = cpu_s(peer, repeats=3 if quick else 15) / ours_s
            ratios.setdefault(len(devices), []).append(ratio)
    seconds = time.perf_counter() - began
    return [
        _row("largest difference of objectives", "12 of distilp", worst, "", SAME, name, seconds, low=True),
        _row("CPU time of the peer, one device", "9 of distilp", geometric_mean(ratios[1]), "x", ONE, name, seconds),
        _row("CPU time of the peer, two devices", "3 of distilp", geometric_mean(ratios[2]), "x", TWO, name, seconds),
        _dropped(),
    ]


def _many(work: Callable[[], object]) -> float:
    """Return CPU seconds of one call, from calls in a row: one alone is too short for the clock."""
    return cpu_s(lambda: [work() for _ in range(20)], repeats=5) / 20


def _peer(
    folder: Path, kv: str, devices: tuple[RingDevice, ...], layers: int, constant_s: float
) -> Callable[[], float]:
    """Return what the peer does: its objective on a folder."""
    if importlib.util.find_spec("distilp"):
        from distilp.solver import halda_solve, load_from_profile_folder

        with contextlib.redirect_stdout(io.StringIO()):
            loaded, model = load_from_profile_folder(str(folder))

        def solve() -> float:
            with contextlib.redirect_stdout(io.StringIO()):
                return float(halda_solve(loaded, model, plot=False, kv_bits=kv).obj_value)

        return solve

    def again() -> float:
        found = solve_ring_by_milp(devices, layers, constant_s=constant_s)
        assert found is not None
        return found.value

    return again


def _dropped() -> Row:
    """Return what leaving out devices saves: the two shipped devices and two to eight that are many times slower."""
    began = time.perf_counter()
    devices, model = read_distilp_folder(SHARED / "llama_3_70b/online")
    ring = ring_from_distilp(devices, model, kv="8bit")
    saved = []
    for slower in (5.0, 10.0, 20.0, 50.0):
        for count in (2, 4, 8):
            weak = [
                replace(ring.devices[0], name=f"weak{i}", layer_s=slower * ring.devices[0].layer_s, gpu_gain_s=0.0)
                for i in range(count)
            ]
            kept = solve_ring([*ring.devices, *weak], ring.layers, constant_s=ring.constant_s)
            free = solve_ring([*ring.devices, *weak], ring.layers, constant_s=ring.constant_s, drop=True)
            assert kept is not None
            assert free is not None
            saved.append(1.0 - free.value / kept.value)
    seconds = time.perf_counter() - began
    return _row("objective saved by leaving devices out", "median of 12", median(saved), "", DROP, "w >= 1", seconds)


def _row(
    claim: str, instance: str, figure: float, unit: str, target: float, peer: str, seconds: float, *, low: bool = False
) -> Row:
    holds = figure <= target if low else figure >= target
    return Row(
        claim=claim,
        instance=instance,
        figure=figure,
        unit=unit,
        target=target,
        holds=holds,
        peer=peer,
        seconds=seconds,
    )
