"""Expert placement beside ExFlow's integer program, its recursive bisection, and the EPLB method.

Each figure is that of one trace of ``placement_instances`` (30,000 tokens to fit, as many held out), on one thread. A
gap is how far the placement can be from the optimum, by a bound that was re-derived from its multipliers. Peers are
solved by open solvers: Gurobi, which ExFlow uses, has stronger heuristics, and a bound of this program as weak.

python -m benchmarks.bench_placement [--quick] [--json FILE]
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Row, options, show
from benchmarks.exflow import bisection
from benchmarks.placement_balance import affinity, balance
from benchmarks.placement_instances import expert_loads, transition_counts
from benchmarks.placement_rows import crossing, program_of, row, traces
from coinfer.solver.assignment.bounds.levels import bound_levels
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.assignment.replicas.improve import place_replicas
from coinfer.solver.assignment.replicas.program import SlotProgram
from coinfer.solver.assignment.search.portfolio import search_assignment
from coinfer.solver.assignment.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop

DATA = Path(__file__).parents[2] / "shared" / "data"


def exact(layers: int, items: int, parts: int, time_s: float) -> list[Row]:
    """The exact class beside what HiGHS and CP-SAT reach on ExFlow's program."""
    size = (layers, items, parts)
    program = program_of(traces(size, "mid")[0], items, parts)
    began = time.perf_counter()
    ours = solve(program, limits=Limits(time_s=60.0))
    seconds = time.perf_counter() - began
    rows = [
        row("exact: optimal in (s)", size, seconds, 1.0, seconds, "none", unit="s"),
        row("exact: gap", size, ours.gap, 0.0, seconds),
    ]
    if (items, parts) != (8, 4):
        return rows
    for engine in ("highs", "cp-sat"):
        began = time.perf_counter()
        theirs = solve(program, engine=engine, limits=Limits(time_s=time_s), with_proof=False)
        spent = time.perf_counter() - began
        fewer = 1.0 - crossing(program, ours.part) / crossing(program, theirs.part)
        peer = f"ExFlow's program, {engine} {time_s:g} s"
        rows.append(row("exact: fewer crossings by", size, fewer, 0.20, spent, peer, least=True))
        rows.append(row("exact: times faster", size, spent / seconds, 100.0, spent, peer, least=True, unit="x"))
    return rows


def searched(program: LayeredAssignment, time_s: float) -> tuple[NDArray[np.int64] | None, float]:
    """Search; compiled code is loaded before the clock starts."""
    search_assignment(program, limits=Limits(nodes=1), stop=Stop())
    found = search_assignment(program, limits=Limits(time_s=time_s), stop=Stop())
    return found.part, crossing(program, found.part)


def gap_rows(
    program: LayeredAssignment, size: object, best: float, targets: dict[float, float], label: str
) -> list[Row]:
    """Bound once for the longest time, and read the gap at each time."""
    total = float(program.weights.sum())
    known: list[tuple[float, float]] = []
    began = time.perf_counter()
    limits = Limits(time_s=max(targets))
    shown = bound_levels(
        program, limits=limits, stop=Stop(), on_bound=lambda bound: known.append((time.perf_counter() - began, bound))
    )
    known.append((time.perf_counter() - began, shown.value))
    rows = []
    for time_s, target in targets.items():
        bound = max([0.0, *(value for at, value in known if at <= time_s * 1.02)]) / total
        gap = (best - bound) / best
        rows.append(row(f"certified gap in {time_s:g} s, {label}", size, gap, target, time_s))
    return rows


def medium(part_time_s: float, gaps: dict[float, float]) -> list[Row]:
    """24 layers of 16 experts on 8 devices, beside ExFlow's recursive bisection."""
    size = (24, 16, 8)
    program = program_of(traces(size, "mid")[0], 16, 8)
    _, quick = searched(program, 2.0)
    began = time.perf_counter()
    theirs = crossing(program, bisection(program.weights, 8, engine="cp-sat", part_time_s=part_time_s))
    spent = time.perf_counter() - began
    _, best = searched(program, 10.0)
    peer = f"bisection, CP-SAT {part_time_s:g} s a part ({theirs:.4f})"
    rows = [row("fewer crossings than bisection, in 2 s", size, 1.0 - quick / theirs, 0.15, spent, peer, least=True)]
    return rows + gap_rows(program, size, min(best, quick), gaps, "mid")


def large(size: tuple[int, int, int], mid: float, strong: float, gaps: dict[float, float]) -> list[Row]:
    """Against experts in order in 10 s, and the gap of the best found."""
    rows = []
    for strength, target in (("mid", mid), ("strong", strong)):
        program = program_of(traces(size, strength)[0], size[1], size[2])
        order = np.tile(np.repeat(np.arange(size[2]), size[1] // size[2]), (size[0], 1))
        plain = crossing(program, order)
        _, ours = searched(program, 10.0)
        peer = f"experts in order ({plain:.4f})"
        claim = f"fewer crossings in 10 s, {strength}"
        rows.append(row(claim, size, 1.0 - ours / plain, target, 10.0, peer, least=True))
        if strength == "mid" and gaps:
            _, best = searched(program, 30.0)
            rows += gap_rows(program, size, min(best, ours), gaps, strength)
    return rows


def deepseek(time_s: float) -> list[Row]:
    """58 layers of 256 experts, top-8, on 32 devices with 32 replicas a layer and even loads."""
    size = (58, 256, 32)
    fit, _ = traces(size, "mid", top_k=8)
    weights, loads = transition_counts(fit, 256), expert_loads(fit, 256)
    slots = np.full(32, 9)
    cap = 1.02
    distance = 1.0 - np.eye(32)
    began = time.perf_counter()
    free = LayeredAssignment(weights=weights, distance=distance, capacity=np.full(32, 8))
    first = search_assignment(free, limits=Limits(time_s=12.0), stop=Stop())
    program = SlotProgram(weights=weights, loads=loads, distance=distance, slots=slots, replicas=32)
    made = place_replicas(program, load_cap=cap, start=first.part, limits=Limits(time_s=40.0))
    spent = time.perf_counter() - began
    rows = [row("plan with replicas (s)", size, spent, 60.0, spent, unit="s")]
    bounded = LayeredAssignment(
        weights=weights,
        distance=distance,
        capacity=slots,
        loads=loads,
        load_caps=cap * loads.sum(axis=1) / 32,
    )
    shown = bound_levels(bounded, limits=Limits(time_s=time_s - spent, threads=2), stop=Stop(), cuts=False)
    gap = (made.value - shown.value) / made.value
    rows.append(row(f"certified gap in {time_s:g} s, 2 cores, replicas", size, gap, 0.015, time_s))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows.append(row("memory", size, peak, 4.0, time_s, unit="GiB"))
    return rows


def mixtral() -> list[Row]:
    """Half of the real trace fitted, half scored, beside ExFlow's published placement on 4 devices, top-1."""
    path = DATA / "routing_traces" / "mixtral_8x7b_gsm8k.npz"
    if not path.exists():
        print("The real Mixtral trace is absent: its rows are left out.")
        return []
    trace = np.load(path)["experts"][:, :, :1].astype(np.int16)
    table = np.loadtxt(next((DATA / "exflow").glob("*intra4*")), delimiter=",", skiprows=1, dtype=np.int64)
    theirs = np.zeros(256, dtype=np.int64)
    theirs[table[:, 0]] = table[:, 1]
    half = len(trace) // 2
    rows = []
    for name, fit, held in (
        ("first half fitted", trace[:half], trace[half:]),
        ("second half", trace[half:], trace[:half]),
    ):
        began = time.perf_counter()
        part = solve(program_of(fit, 8, 4)).part
        scored = program_of(held, 8, 4)
        peer = crossing(scored, theirs.reshape(32, 8))
        spent = time.perf_counter() - began
        told = f"ExFlow's own ({peer:.4f})"
        rows.append(row("Mixtral: crossings, held out", name, crossing(scored, part), peer, spent, told))
    return rows


def main() -> None:
    """Run all rows and print them."""
    arguments = options(__doc__ or "")
    rows: list[Row] = []
    if arguments.quick:
        rows += exact(12, 8, 4, 5.0)
        rows += medium(1.0, {15.0: 0.025})
        rows += balance((24, 16, 8), 8)
        rows += affinity((24, 16, 8), 0, 2.0)
        rows += mixtral()
        show(rows, arguments.json)
        return
    for layers, items, parts in ((12, 8, 4), (64, 8, 4), (64, 8, 2), (64, 10, 5), (64, 16, 2), (64, 32, 32)):
        rows += exact(layers, items, parts, 60.0)
    rows += mixtral()
    for size, replicas in (((24, 16, 8), 8), ((24, 64, 8), 8), ((58, 256, 32), 32)):
        rows += balance(size, replicas)
    for size, replicas in (((24, 16, 8), 0), ((24, 64, 8), 0), ((32, 64, 16), 0), ((24, 16, 8), 8), ((24, 64, 8), 8)):
        rows += affinity(size, replicas, 10.0)
    rows += large((24, 64, 8), 0.14, 0.28, {60.0: 0.045, 300.0: 0.03})
    rows += large((32, 64, 16), 0.12, 0.26, {60.0: 0.038, 300.0: 0.025})
    rows += deepseek(300.0)
    rows += medium(60.0, {15.0: 0.025, 60.0: 0.01})
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
