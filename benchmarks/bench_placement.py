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

from benchmarks import eplb
from benchmarks.common import Row, options, show
from benchmarks.exflow import bisection
from benchmarks.placement_instances import expert_loads, synthetic_trace, transition_counts
from coinfer.solver.assignment.bounds.levels import bound_levels
from coinfer.solver.assignment.program import LayeredAssignment, evaluate, imbalance
from coinfer.solver.assignment.replicas.improve import place_replicas
from coinfer.solver.assignment.replicas.pack import balanced_copies
from coinfer.solver.assignment.replicas.program import SlotProgram
from coinfer.solver.assignment.search.portfolio import search_assignment
from coinfer.solver.assignment.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop

TOKENS = 30_000
Floats = NDArray[np.float64]
DATA = Path(__file__).parents[2] / "shared" / "data"


def program_of(trace: NDArray[np.int16], experts: int, parts: int, cap: float | None = None) -> LayeredAssignment:
    """Return the program of a trace."""
    loads = expert_loads(trace, experts)
    return LayeredAssignment(
        weights=transition_counts(trace, experts),
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, experts // parts),
        loads=None if cap is None else loads,
        load_caps=None if cap is None else cap * loads.sum(axis=1) / parts,
    )


def traces(size: tuple[int, int, int], strength: str, top_k: int = 1) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return a trace to fit and one held out."""
    count = TOKENS if top_k == 1 else 20_000
    both = synthetic_trace(size[0], size[1], strength=strength, tokens=2 * count, seed=0, top_k=top_k)
    return both[:count], both[count:]


def crossing(program: LayeredAssignment, part: NDArray[np.int64] | None) -> float:
    """Return the share of transitions that change part."""
    return 1.0 if part is None else evaluate(program, part).value / float(program.weights.sum())


def row(
    claim: str, size: object, figure: float, target: float | None, seconds: float, peer: str = "-", **more: object
) -> Row:
    """Return a row; ``least`` says that the figure must be at least the target."""
    holds = None if target is None else bool(figure >= target if more.get("least") else figure <= target)
    name = size if isinstance(size, str) else "x".join(map(str, size))  # type: ignore[arg-type]
    unit = str(more.get("unit", ""))
    return Row(
        claim=claim, instance=name, figure=figure, unit=unit, target=target, holds=holds, peer=peer, seconds=seconds
    )


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


def balance(size: tuple[int, int, int], replicas: int) -> list[Row]:
    """Even loads at equal replicas: what is left above 1, and the time it takes."""
    _, items, parts = size
    loads = expert_loads(traces(size, "mid")[0], items)
    began = time.perf_counter()
    expert, count = eplb.rebalance(loads, items + replicas, 1, 1, parts)
    peer_s = time.perf_counter() - began
    theirs = imbalance(eplb.device_loads(loads, expert, count, parts)).mean()
    program = slots_of(size, replicas, loads)
    began = time.perf_counter()
    _, shares = balanced_copies(program)
    ours_s = time.perf_counter() - began
    ours = imbalance(np.einsum("le,leg->lg", loads, shares)).mean()
    name = f"{'x'.join(map(str, size))} +{replicas}"
    peer = f"EPLB {theirs:.5f}; ours {ours:.5f}"
    return [
        row("excess imbalance over EPLB's", name, (ours - 1.0) / (theirs - 1.0), 0.1, ours_s, peer),
        row("time over EPLB's", name, ours_s / peer_s, 1.0, ours_s, f"EPLB {peer_s:.3f} s", unit="x"),
    ]


def slots_of(size: tuple[int, int, int], replicas: int, loads: Floats, weights: Floats | None = None) -> SlotProgram:
    """Return a program with copies, without affinity where no weights are given."""
    layers, items, parts = size
    return SlotProgram(
        weights=np.zeros((layers - 1, items, items)) if weights is None else weights,
        loads=loads,
        distance=1.0 - np.eye(parts),
        slots=np.full(parts, (items + replicas) // parts),
        replicas=replicas,
    )


def affinity(size: tuple[int, int, int], replicas: int, time_s: float) -> list[Row]:
    """Crossings of held-out tokens at an imbalance of theirs that is no worse than that of EPLB's placement.

    The cap on the fitted loads is tried at a few shares of EPLB's imbalance; what counts is held out.
    """
    _, items, parts = size
    fit, held = traces(size, "mid")
    loads, heldout = expert_loads(fit, items), expert_loads(held, items)
    weights, scored = transition_counts(fit, items), transition_counts(held, items)
    expert, count = eplb.rebalance(loads, items + replicas, 1, 1, parts)
    allowed = imbalance(eplb.device_loads(heldout, expert, count, parts)).mean()
    theirs = _crossing_of(scored, _shares(expert, count, items, parts))
    program = slots_of(size, replicas, loads, weights)
    even = balanced_copies(program)[1]
    over = imbalance(eplb.device_loads(loads, expert, count, parts)).mean()
    best, reached = np.inf, np.nan
    for share in (1.0, 0.8, 0.6, 0.4, 0.0):
        made = _placed(program, even, 1.0 + share * (over - 1.0), time_s)
        if made is None:
            continue
        found, uneven = _crossing_of(scored, made), imbalance(np.einsum("le,leg->lg", heldout, made)).mean()
        if uneven <= allowed and found < best:
            best, reached = found, float(uneven)
    peer = f"EPLB {theirs:.4f} at {allowed:.4f}; ours at {reached:.4f}"
    name = f"{'x'.join(map(str, size))} +{replicas}"
    return [row("crossings over EPLB's, held out", name, best / theirs, 0.88, time_s, peer)]


def _placed(program: SlotProgram, even: Floats, cap: float, time_s: float) -> Floats | None:
    """Return the shares of a placement under a cap on the mean imbalance, (layers, items, parts)."""
    if program.replicas:
        return place_replicas(program, load_cap=cap, over="mean", limits=Limits(time_s=time_s)).shares
    least = imbalance(np.einsum("le,leg->lg", program.loads, even))
    slack = max(0.0, cap - float(least.mean()))
    capped = LayeredAssignment(
        weights=program.weights,
        distance=program.distance,
        capacity=program.slots,
        loads=program.loads,
        load_caps=(least + slack) * program.loads.sum(axis=1) / program.parts,
    )
    start = even.argmax(axis=2)
    part = search_assignment(capped, limits=Limits(time_s=time_s), stop=Stop(), start=start).part
    return None if part is None else np.eye(program.parts)[part]


def _crossing_of(weights: Floats, shares: Floats) -> float:
    kept = sum(float(np.sum(w * (a @ b.T))) for w, a, b in zip(weights, shares[:-1], shares[1:], strict=True))
    return 1.0 - kept / float(weights.sum())


def _shares(expert: NDArray[np.int64], count: NDArray[np.int64], items: int, parts: int) -> Floats:
    """Return the equal shares of EPLB's copies, (layers, items, parts)."""
    layers, physical = expert.shape
    shares = np.zeros((layers, items, parts))
    device = np.arange(physical) // (physical // parts)
    for layer in range(layers):
        np.add.at(shares[layer], (expert[layer], device), 1.0 / count[layer, expert[layer]])
    return shares


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
