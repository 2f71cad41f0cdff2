"""Budgets through an engine for integer programs: slower, and no proof beyond the prices, but another witness."""

from __future__ import annotations

import time

import numpy as np

from coinfer.models.budget.integer_program import integer_program, taken_of
from coinfer.solver import mip
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.limits import Limits
from coinfer.solver.progress import OnProgress, Stop


def solve_by(
    engine: str,
    program: MultipleChoiceKnapsack,
    *,
    limits: Limits,
    stop: Stop,
    on_progress: OnProgress | None,
) -> KnapsackResult:
    """Solve the knapsack as an integer program by the engine named; its bound is what it claims.

    Raises
    ------
    InputError
        If the program is too large for that.
    BackendMissing
        If the engine is not installed.
    """
    began = time.perf_counter()
    found = mip.solve(integer_program(program), engine=engine, limits=limits, stop=stop, on_progress=on_progress)
    menus = program.menus
    taken = None if found.incumbent is None else taken_of(found.incumbent, menus.rows, menus.options)
    cost = np.full(menus.resources, np.nan)
    if taken is not None:
        block = menus.block(0, menus.rows)
        cost = block.cost[:, taken[:, 0], taken[:, 1]] @ taken[:, 2]
    return KnapsackResult(
        status=found.status,
        limit=found.limit,
        taken=taken,
        value=-found.value,
        cost=cost,
        bound=-found.bound,
        proof=None,
        seconds=time.perf_counter() - began,
        engine=found.engine,
    )
