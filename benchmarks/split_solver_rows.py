"""Budgeted splits beside HiGHS and CP-SAT on the same instances, and large splits without budgets."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.common import Row, cpu_s
from coinfer.solver.limits import Limits
from coinfer.solver.path.dynamic import shortest
from coinfer.solver.path.program import LayeredPath
from coinfer.solver.path.result import PathResult
from coinfer.solver.path.solve import solve_path
from coinfer.solver.result import Status
from coinfer.testing.path import split_like

SIZES = ((32, 3), (32, 4), (80, 3), (80, 4), (80, 6), (80, 8), (80, 10))
QUICK = ((32, 3), (32, 4), (80, 3))
SEEDS = 3
PEERS = ("highs", "cp-sat")
PEER_TIME_S = 30.0
SAME = 1e-6
"""Relative difference of values that the tolerances of the integer programs allow."""


def rows(quick: bool) -> list[Row]:
    """Measure CPU time, which is steadier than the clock; every solve of ours includes its check by the checker."""
    solve_path(split_like(0, steps=8, carriers=3), kernels="compiled")  # compiles, where nothing is kept on disk
    sizes, seeds = (QUICK, 1) if quick else (SIZES, SEEDS)
    programs = {
        f"{steps} x {carriers}, seed {seed}": split_like(seed, steps=steps, carriers=carriers)
        for steps, carriers in sizes
        for seed in range(seeds)
    }
    found: list[Row] = []
    ours = {name: _timed(program, "labels") for name, program in programs.items()}
    found += _certified(ours)
    ratios: list[Row] = []
    for name, program in programs.items():
        ratios += [_beside(name, program, ours[name], peer) for peer in PEERS]
    found += ratios
    middle = median(row.figure for row in ratios)
    claim = "budgeted splits: median ratio of CPU time"
    found.append(_row(claim, f"{len(ratios)} pairs", middle, "x", 15.0, middle >= 15.0, "HiGHS, CP-SAT", 0.0))
    return [*found, _large()]


Timed = tuple[PathResult, float]


def _timed(program: LayeredPath, engine: str, limits: Limits | None = None) -> Timed:
    """Return what an engine finds, and its CPU seconds."""
    began = time.process_time()
    result = solve_path(program, engine=engine, limits=limits)
    return result, time.process_time() - began


def _certified(ours: dict[str, Timed]) -> list[Row]:
    """Say whether each is certified within a second."""
    claim = "budgeted splits: certified, CPU time"
    return [
        _row(claim, name, taken * 1e3, "ms", 1000.0, result.certified and taken <= 1.0, "the checker", taken)
        for name, (result, taken) in ours.items()
    ]


def _beside(name: str, program: LayeredPath, ours: Timed, peer: str) -> Row:
    """Compare with a peer: the ratio of CPU times; at the peer's time limit it is a lower bound.

    ``holds`` is about the optimum: the same, or no worse than that of a peer which was not done in time.
    """
    other, taken = _timed(program, peer, Limits(time_s=PEER_TIME_S))
    done = other.limit != "time"
    near = abs(other.value - ours[0].value) <= SAME * ours[0].value
    same = near if done else ours[0].value <= other.value * (1.0 + SAME)
    label = other.engine if done else f"{other.engine}, stopped at {PEER_TIME_S:g} s"
    if other.status is Status.INFEASIBLE and ours[0].path is not None:
        label += ", which says infeasible"
    claim = "budgeted splits: same optimum, ratio of CPU"
    return _row(claim, name, taken / ours[1], "x", None, same, label, taken + ours[1])


def _large() -> Row:
    """Time eighty layers on a hundred devices in three widths."""
    program = split_like(0, steps=80, carriers=100, tightness=None)
    taken = cpu_s(lambda: shortest(program), repeats=9)
    return _row("no budgets: CPU time", "80 x 100 x 3", taken * 1e3, "ms", 30.0, taken <= 0.030, "-", 9.0 * taken)


def _row(
    claim: str, instance: str, figure: float, unit: str, target: float | None, holds: bool, peer: str, seconds: float
) -> Row:
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
