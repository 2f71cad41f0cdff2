"""The best experts behind a deployed gate: time to the proven optimum, and boxes against two plainer bounds.

python -m benchmarks.bench_gate [--quick] [--json FILE]

Instances: 2,000 prompts of 8 domains; each expert has an ability that grows with its size, a specialty in each domain,
and luck with each prompt. Its share is the softmax of a score that follows its log-probability. ``moe2`` are experts
from 0.5 to 70 billion parameters, ``moe2peer`` near-peers from 4 to 14; the energy of the chosen ones may be 15 or 30 %
of that of all. ``luck`` are near-peers with weak specialties and much luck, so that many choices are nearly as good:
harder than the families that have a target. Times are CPU seconds.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Row, options, show
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.gated import search_gated
from coinfer.solver.monotonic.gated_bound import GateBounds, bounded
from coinfer.solver.monotonic.program import GatedMean, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.result import SearchResult, SearchStatus

PROMPTS, DOMAINS = 2000, 8
TARGETS_S = {20: 1.0, 24: 10.0, 30: 60.0}
MOST_BOXES = 20_000

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Bound = Callable[[BoolArray, BoolArray], float]


def instance(family: str, experts: int, seed: int, budget: float) -> MonotonicProgram:
    """Return one instance; ``budget`` is the part of all energy that may be chosen."""
    peers, lucky = family != "moe2", family == "luck"
    rng = np.random.default_rng([seed, experts, peers, *([1] if lucky else [])])
    size = rng.uniform(4.0, 14.0, experts) if peers else np.exp(rng.uniform(np.log(0.5), np.log(70.0), experts))
    ability = (0.5 if peers and not lucky else 0.2) * np.log(size) + 0.15 * rng.normal(size=experts)
    specialty = (0.3 if lucky else 0.7) * rng.normal(size=(experts, DOMAINS))
    domain = rng.integers(DOMAINS, size=PROMPTS)
    difficulty = rng.normal(size=PROMPTS) + ability.mean()
    luck = (1.0 if lucky else 0.5) * rng.normal(size=(PROMPTS, experts))
    right = 1.0 / (1.0 + np.exp(-1.5 * (ability + specialty[:, domain].T - difficulty[:, None] + luck)))
    right = np.maximum(right, 1e-3)
    scores = np.log(right) + 0.5 * rng.normal(size=right.shape)
    large = rng.random(experts) < 0.5 if peers else size > 10.0
    energy = size * np.where(large, 350.0 / 1000.0, 45.0 / 200.0) * 0.5 * rng.uniform(0.8, 1.25, experts)
    return MonotonicProgram(
        lower=np.zeros(experts, dtype=np.int64),
        upper=np.ones(experts, dtype=np.int64),
        objective=GatedMean(
            values=right,
            shares=np.exp(scores - scores.max(axis=1, keepdims=True)),
            weights=np.full(PROMPTS, 1.0 / PROMPTS),
            mean="log",
        ),
        constraints=(
            LinearRows(
                coefficients=energy[None], limits=np.array([budget * energy.sum()]), names=("energy of the chosen",)
            ),
        ),
    )


def ratio_bound(program: MonotonicProgram) -> Bound:
    """Return the plain ratio bound: every row has its own best choice within the box."""
    gate = program.objective
    assert isinstance(gate, GatedMean)
    order = np.argsort(-gate.values, axis=1)
    shares = np.take_along_axis(gate.shares, order, 1)
    products = np.take_along_axis(gate.shares * gate.values, order, 1)

    def bound(lower: BoolArray, upper: BoolArray) -> float:
        free = (upper & ~lower)[order]
        share = gate.shares[:, lower].sum(axis=1, keepdims=True) + np.cumsum(shares * free, axis=1)
        product = (gate.shares * gate.values)[:, lower].sum(axis=1, keepdims=True) + np.cumsum(products * free, axis=1)
        means = np.where(share > 0.0, product / np.where(share > 0.0, share, 1.0), 0.0).max(axis=1)
        if lower.any():
            held = (gate.shares * gate.values)[:, lower].sum(axis=1) / gate.shares[:, lower].sum(axis=1)
            means = np.maximum(means, held)
        return float(gate.weights @ np.log(means))

    return bound


def difference_bound(program: MonotonicProgram) -> Bound:
    """Return the difference-of-monotone bound: ``log`` of the products at the upper, of the shares at the lower end."""
    gate = program.objective
    assert isinstance(gate, GatedMean)

    def bound(lower: BoolArray, upper: BoolArray) -> float:
        if not lower.any():
            return np.inf
        product = (gate.shares * gate.values)[:, upper].sum(axis=1)
        return float(gate.weights @ (np.log(product) - np.log(gate.shares[:, lower].sum(axis=1))))

    return bound


def boxes_of(program: MonotonicProgram, bound: Bound, value: Bound, optimum: float) -> int:
    """Count the boxes of a best-first search with some bound; it knows the optimum, and drops what cannot fit."""
    costs, limit = program.rows.coefficients[0], program.row_limits[0]
    begin = np.zeros(program.variables, dtype=np.bool_), np.ones(program.variables, dtype=np.bool_)
    heap, boxes = [(-np.inf, 0, *begin)], 1
    while heap and boxes < MOST_BOXES:
        _, _, lower, upper = heapq.heappop(heap)
        free = np.flatnonzero(upper & ~lower)
        singles = np.repeat(lower[None, :], len(free), axis=0)
        singles[np.arange(len(free)), free] = True
        j = free[int(np.argmax([value(point, point) for point in singles]))]
        for state in (True, False):
            low, high = lower.copy(), upper.copy()
            low[j] = state
            high[j] = state
            high &= low | (costs <= limit - costs[low].sum())
            boxes += 1
            if (low == high).all() or not high.any():
                continue
            shown = bound(low, high)
            if shown > optimum:
                heapq.heappush(heap, (-shown, boxes, low, high))
    return boxes


def solved(program: MonotonicProgram) -> tuple[SearchResult, float]:
    """Return the result of the search and its CPU seconds."""
    began = time.process_time()
    result = search_gated(program, limits=Limits(time_s=600.0))
    return result, time.process_time() - began


def timed(family: str, experts: int, budget: float, seeds: int) -> list[Row]:
    """Return the rows of one family and size: the median time, and the check of one proof against it."""
    outcomes = [solved(instance(family, experts, seed, budget)) for seed in range(seeds)]
    taken = [seconds for _, seconds in outcomes]
    proven = all(result.status is SearchStatus.OPTIMAL for result, _ in outcomes)
    name = f"{family} {budget:.0%}, {experts} experts"
    target = None if family == "luck" else TARGETS_S[experts]
    rows = [
        Row(
            claim="proven optimum, median of seeds",
            instance=name,
            figure=median(taken),
            unit="s",
            target=target,
            holds=None if target is None else proven and median(taken) <= target,
            peer=f"{seeds} seeds, slowest {max(taken):.2g} s, {median(r.nodes for r, _ in outcomes):.0f} boxes",
            seconds=sum(taken),
        )
    ]
    result, seconds = outcomes[0]
    assert result.proof is not None
    began = time.process_time()
    shown = check_boxes(instance(family, experts, 0, budget), result.proof).bound
    checking = time.process_time() - began
    assert abs(shown - result.value) < 1e-9
    rows.append(
        Row(
            claim="checking over proving",
            instance=name,
            figure=checking / seconds,
            unit="x",
            target=1.0,
            holds=checking <= seconds,
            peer=f"{len(result.proof.leaves)} leaves",
            seconds=checking,
        )
    )
    return rows


def priced_bound(program: MonotonicProgram, optimum: float) -> Bound:
    """Return the bound of the search: tangents of each row's majorants, and a priced knapsack."""
    gate = program.objective
    assert isinstance(gate, GatedMean)
    bounds = GateBounds(gate, program.rows.coefficients, program.row_limits)
    begin = np.full(program.variables, 0.5)
    return lambda lower, upper: bounded(bounds, lower, upper, begin, optimum).bound


def compared(family: str, experts: int, budget: float, seeds: int) -> list[Row]:
    """Return the rows that count the boxes of one and the same search with each bound."""
    counts: dict[str, list[int]] = {"ours": [], "ratio": [], "difference of monotone": []}
    began = time.perf_counter()
    for seed in range(seeds):
        program = instance(family, experts, seed, budget)
        optimum = solved(program)[0].value
        plain = ratio_bound(program)
        for name, bound in (
            ("ours", priced_bound(program, optimum)),
            ("ratio", plain),
            ("difference of monotone", difference_bound(program)),
        ):
            counts[name].append(boxes_of(program, bound, plain, optimum))
    rows = []
    for name in ("ratio", "difference of monotone"):
        factors = [peer / own for peer, own in zip(counts[name], counts["ours"], strict=True)]
        cut = ", some cut off" if max(counts[name]) >= MOST_BOXES else ""
        rows.append(
            Row(
                claim=f"boxes with the {name} bound / ours",
                instance=f"{family} {budget:.0%}, {experts} experts",
                figure=median(factors),
                unit="x",
                target=None,
                holds=None,
                peer=f"{median(counts[name]):.0f} against {median(counts['ours']):.0f} boxes{cut}",
                seconds=time.perf_counter() - began,
            )
        )
    return rows


def main() -> None:
    """Run the benchmark."""
    chosen = options(__doc__ or "")
    sizes, seeds = ((20,), 3) if chosen.quick else ((20, 24, 30), 10)
    rows = []
    for family in ("moe2", "moe2peer"):
        for budget in (0.15, 0.3):
            for experts in sizes:
                rows += timed(family, experts, budget, seeds)
            rows += compared(family, 14 if chosen.quick else 16, budget, 1 if chosen.quick else 3)
    for experts in sizes[:2]:
        rows += timed("luck", experts, 0.3, min(seeds, 5))
    rows += compared("luck", 14 if chosen.quick else 16, 0.3, 1 if chosen.quick else 3)
    show(rows, chosen.json)


if __name__ == "__main__":
    main()
