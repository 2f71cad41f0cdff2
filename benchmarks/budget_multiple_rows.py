"""Rows of the budget benchmark for several budgets at once: gap, time, HiGHS beside it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.budget_instances import best_of_n_curves
from benchmarks.common import Row
from coinfer.solver.certificate.knapsack import price_bound
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits

OPTIONS = 50
SHARES = (0.3, 0.12, 0.25)
"""Budgets of tokens, money and device-seconds, as shares of what each row's largest option takes: all three bind."""
HIGHS_S = 60.0


def three_budgets(rows: int, seed: int = 0) -> MultipleChoiceKnapsack:
    """Return best of n by a weak and a strong model: tokens, money and device-seconds are limited."""
    generator = np.random.default_rng(seed)
    half = OPTIONS // 2
    chance = generator.beta(0.6, 1.4, (rows, 1))
    strong = 1.0 - (1.0 - chance) ** generator.uniform(1.2, 3.0, (rows, 1))
    length = generator.lognormal(5.5, 0.7, (rows, 1))
    value, money = best_of_n_curves(chance, strong, length, half, half)
    few, many = np.arange(half), np.arange(1.0, half + 1.0)
    longer, slower = generator.uniform(0.5, 1.2, (rows, 1)), generator.lognormal(0.5, 0.6, (rows, 1))
    tokens = np.concatenate([few * length, many * length * longer], axis=1)
    seconds = np.concatenate([few * length * 0.02 * slower, many * length * 0.03], axis=1)
    cost = np.stack([tokens, money * 1e-6, seconds])
    largest = cost.max(axis=2).sum(axis=1)
    return MultipleChoiceKnapsack(menus=StoredMenus(value=value, cost=cost), budget=largest * np.array(SHARES))


def rows(quick: bool) -> list[Row]:
    """Return the rows: a large plan, plans to the last digit, HiGHS on the same."""
    return [*_large(10_000 if quick else 100_000), *_beside(100 if quick else 1_000)]


def _large(count: int) -> list[Row]:
    """Return gap and time of a plan, and the distance of its bound from the one that its prices show."""
    program = three_budgets(count)
    solve(three_budgets(5_000), limits=Limits(relative_gap=1e-5))  # scipy is imported once
    limits = Limits(relative_gap=1e-5)
    began = time.process_time()
    result = solve(program, limits=limits)
    seconds = time.process_time() - began
    name = f"{count}x{OPTIONS}x3"
    binding = int((result.cost > 0.999 * program.budget).sum())
    found = [
        _row("several budgets: certified gap", name, result.relative_gap, "", 1e-5, f"{binding} bind", seconds),
        _row("several budgets: plan and bound", name, seconds, "s", 2.0, "-", seconds),
    ]
    if result.proof is not None:
        shown = float(price_bound(program, result.proof.prices)[0])
        apart = abs(shown - result.bound) / abs(result.bound)
        found.append(_row("several budgets: bound re-derived", name, apart, "", 1e-9, "-", seconds))
    began = time.process_time()
    result = solve(program)
    seconds = time.process_time() - began
    found.append(_row("several budgets: gap, no limit given", name, result.relative_gap, "", None, "-", seconds))
    return found


def _beside(count: int) -> list[Row]:
    """Return the gap beside the one that HiGHS proves in its time."""
    program = three_budgets(count)
    result = solve(program)
    value, bound, seconds = _highs(program)
    name = f"{count}x{OPTIONS}x3"
    gap = (bound - value) / max(abs(value), 1e-9)
    peer = f"HiGHS {gap:.2g} in {seconds:.0f} s"
    claims = [_row("several budgets: gap beside HiGHS", name, result.relative_gap, "", None, peer, result.seconds)]
    lead = (value - result.value) / max(abs(value), 1e-9)
    claims.append(_row("several budgets: lead of HiGHS", name, max(lead, 0.0), "", 1e-6, peer, result.seconds))
    claims.append(_row("several budgets: seconds beside", name, result.seconds, "s", seconds, peer, result.seconds))
    return claims


def _highs(program: MultipleChoiceKnapsack) -> tuple[float, float, float]:
    """Return value, bound and seconds of HiGHS on the whole program, through scipy; ``-inf``: no choice found."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, vstack

    block = program.menus.block(0, program.menus.rows)
    count, options = block.value.size, program.menus.options
    ones = csr_array((np.ones(count), np.arange(count), np.arange(0, count + 1, options)))
    scale = program.budget
    sheets: NDArray[np.float64] = block.cost.reshape(len(scale), count) / scale[:, None]
    began = time.perf_counter()
    whole: Any = vstack([ones, csr_array(sheets)])
    answer: Any = milp(
        -block.value.ravel(),
        integrality=np.ones(count, dtype=np.int64),
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(
            whole,
            np.append(np.ones(len(block.value)), np.full(len(scale), -np.inf)),
            np.ones(len(block.value) + len(scale)),
        ),
        options={"time_limit": HIGHS_S, "mip_rel_gap": 1e-7},
    )
    seconds = time.perf_counter() - began
    value = -np.inf if answer.x is None else -float(answer.fun)
    return value, -float(answer.mip_dual_bound), seconds


def _row(claim: str, name: str, figure: float, unit: str, target: float | None, peer: str, seconds: float) -> Row:
    holds = None if target is None else bool(figure <= target)
    return Row(
        claim=claim, instance=name, figure=figure, unit=unit, target=target, holds=holds, peer=peer, seconds=seconds
    )
