"""Rows of the budget benchmark about the solver: speed, gaps, memory, other solvers, enumeration."""

from __future__ import annotations

import resource
import sys
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np

from benchmarks.budget_instances import HARDER, NAMES, family
from benchmarks.common import Row, options, show
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.single import solve_single
from coinfer.solver.limits import Limits
from coinfer.solver.result import Status

OPTIONS = 50
BATCH = 16


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows; ``quick``: the smallest honest sizes."""
    yield from against_enumeration(2_000 if quick else 100_000)
    for name in ("bon", "rand") if quick else NAMES:
        yield from against_highs(name, 200 if quick else 1_000, 10.0 if quick else 60.0)
    for name in (*NAMES, *HARDER, "formula"):
        yield from exact(name, 10_000, 1e-12, 0.1)
        if not quick:
            yield from exact(name, 100_000, 1e-9, 1.0)
    for name in NAMES if quick else (*NAMES, *HARDER, "formula"):
        yield from plan(name, 100_000 if quick else 1_000_000)
    yield from memory(20_000 if quick else 200_000)


def plan(name: str, size: int) -> Iterator[Row]:
    """Plan and bound without the exact search: seconds and gap."""
    result, spent = _timed(family(name, size, OPTIONS).program, with_core=False)
    hard = name in HARDER
    yield _row("plan and bound (CPU s)", name, size, spent, None if hard else 3.0, spent, unit="s")
    yield _row("certified relative gap of the plan", name, size, result.relative_gap, None if hard else 1e-7, spent)


def exact(name: str, size: int, gap: float, target_s: float) -> Iterator[Row]:
    """With the exact search: seconds and gap."""
    program = family(name, size, OPTIONS).program
    hard = name == "cumulated"
    result, spent = min((_timed(program) for _ in range(1 if hard else 3)), key=lambda pair: pair[1])
    said = f"{result.status.value}{'' if result.limit is None else ', ' + result.limit}"
    yield _row("with the exact search (CPU s)", name, size, spent, None if hard else target_s, spent, unit="s")
    yield _row("proven relative gap", name, size, result.relative_gap, None if hard else gap, spent, peer=said)


def against_highs(name: str, size: int, time_s: float) -> Iterator[Row]:
    """The same program in HiGHS: its linear relaxation in the same seconds, its integer optimum never above ours."""
    program = family(name, size, OPTIONS).program
    result, spent = _timed(program)
    value, seconds = _highs(program, integer=False, time_s=time_s)
    peer = f"HiGHS LP: {seconds:.2f} s"
    yield _row("HiGHS LP over exact solve (times)", name, size, seconds / spent, None, spent, peer=peer)
    began = time.process_time()
    quick = solve_single(program, limits=Limits(relative_gap=1e-3))
    short = time.process_time() - began
    target = 500.0 if size >= 1_000 else None
    said = f"{peer}; ours {quick.status.value}, gap {quick.relative_gap:.1e}"
    yield _row(
        "HiGHS LP over plan and LP bound (times)", name, size, seconds / short, target, short, peer=said, least=True
    )
    off = abs(value - result.bound) / value
    yield _row("bound against HiGHS LP (share)", name, size, off, 1e-3, spent, peer=f"{value:.6f}")
    value, seconds = _highs(program, integer=True, time_s=time_s)
    above = (value - result.value) / max(result.value, 1e-9)
    peer = f"HiGHS MIP: {value:.6f} in {seconds:.1f} s"
    yield _row("HiGHS MIP above ours (share)", name, size, above, 1e-9, spent, peer=peer)


def against_enumeration(count: int) -> Iterator[Row]:
    """Small programs of whole and decimal numbers, ties and negative costs, by vectorised enumeration."""
    generator = np.random.default_rng(0)
    wrong, began = 0, time.process_time()
    for number in range(count // BATCH):
        size, width = int(generator.integers(1, 6)), int(generator.integers(1, 6))
        values, costs, budgets = _small(generator, number, size, width)
        sums, taken = np.zeros((BATCH, 1)), np.zeros((BATCH, 1))
        for row in range(size):
            sums = (sums[:, :, None] + values[:, row, None]).reshape(BATCH, -1)
            taken = (taken[:, :, None] + costs[:, row, None]).reshape(BATCH, -1)
        best = np.where(taken <= budgets[:, None], sums, -np.inf).max(axis=1)
        for value, cost, budget, right in zip(values, costs, budgets, best, strict=True):
            menus = StoredMenus(value=value, cost=cost[None])
            result = solve_single(MultipleChoiceKnapsack(menus=menus, budget=np.array([budget])))
            found = Status.INFEASIBLE if right == -np.inf else Status.OPTIMAL
            off = 0.0 if right == -np.inf else max(abs(result.value - right), right - result.bound, 0.0)
            wrong += result.status is not found or off > 1e-12 * max(1.0, abs(right))
    spent = time.process_time() - began
    yield _row("answers unlike enumeration", "small", count, float(wrong), 0.0, spent)


def memory(size: int) -> Iterator[Row]:
    """Peak of what a solve takes beside the menu, as a multiple of the menu."""
    for name in ("bon", "rand", "formula"):
        program = family(name, size, OPTIONS).program
        tracemalloc.start()
        began = time.process_time()
        solve_single(program)
        spent = time.process_time() - began
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        yield _row("memory beside the menu (of its size)", name, size, peak / (16.0 * size * OPTIONS), 1.0, spent)
    unit = 2**20 if sys.platform != "darwin" else 2**30
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    yield _row("peak of the whole process (GiB)", "all", size, held, None, 0.0, unit="GiB")


def _small(
    generator: np.random.Generator, number: int, size: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (BATCH, size, width)
    if number % 3 == 0:
        values, costs = generator.random(shape), generator.random(shape)
    else:
        costs = generator.integers(-2 if number % 3 == 1 else 0, 9, shape).astype(float)
        values = generator.integers(-3, 12, shape).astype(float) if number % 3 == 1 else costs + 4.0
    least, most = costs.min(axis=2).sum(axis=1), costs.max(axis=2).sum(axis=1)
    budgets = least + generator.uniform(-0.1, 1.0, BATCH) * (most - least)
    return values, costs, np.round(budgets, 6) if number % 3 == 0 else np.floor(budgets)  # never a sum to the last bit


def _timed(program: MultipleChoiceKnapsack, **more: bool) -> tuple[KnapsackResult, float]:
    began = time.process_time()
    result = solve_single(program, **more)
    return result, time.process_time() - began


def _highs(program: MultipleChoiceKnapsack, *, integer: bool, time_s: float) -> tuple[float, float]:
    """Return HiGHS's value (``nan`` without one) and its CPU seconds."""
    from scipy.optimize import Bounds, LinearConstraint, linprog, milp
    from scipy.sparse import csr_matrix

    block = program.menus.block(0, program.menus.rows)
    count, width = block.value.shape
    one = csr_matrix((np.ones(count * width), (np.repeat(np.arange(count), width), np.arange(count * width))))
    cost = csr_matrix(block.cost[0].reshape(1, -1))
    began = time.process_time()
    if integer:
        limits = [LinearConstraint(one, 1, 1), LinearConstraint(cost, -np.inf, program.budget)]
        found = milp(
            -block.value.ravel(),
            integrality=np.ones(count * width),
            bounds=Bounds(0, 1),
            constraints=limits,
            options={"time_limit": time_s, "mip_rel_gap": 1e-9},
        )
    else:
        found = linprog(
            -block.value.ravel(), A_ub=cost, b_ub=program.budget, A_eq=one, b_eq=np.ones(count), method="highs"
        )
    return (float("nan") if found.fun is None else -float(found.fun)), time.process_time() - began


def _row(claim: str, name: str, size: int, figure: float, target: float | None, seconds: float, **more: object) -> Row:
    """Return a row; ``least`` says that the figure must be at least the target."""
    holds = None if target is None else bool(figure >= target if more.get("least") else figure <= target)
    return Row(
        claim=claim,
        instance=f"{name} {size} x {OPTIONS}" if name not in {"small", "all"} else f"{name} {size}",
        figure=figure,
        unit=str(more.get("unit", "")),
        target=target,
        holds=holds,
        peer=str(more.get("peer", "-")),
        seconds=seconds,
    )


if __name__ == "__main__":
    arguments = options(__doc__ or "")
    show(list(rows(arguments.quick)), arguments.json)
