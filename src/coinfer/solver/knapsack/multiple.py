"""A multiple-choice knapsack with several budgets: prices, a choice near to them, and a search of what is left.

The prices that give the least Lagrangian bound come from a sample of the rows first. One pass over all rows keeps the
options that are best somewhere in a box around them; these settle the prices. A second pass gives the bound and the
options of little loss, of which a feasible choice is made. At most as many rows as there are budgets are split in the
linear relaxation, so that the gap is a few rows' worth (Sinha and Zoltners, The multiple-choice knapsack problem, 1979;
Fisher, The Lagrangian relaxation method, 1981).
"""

from __future__ import annotations

import math
import time

import numpy as np

from coinfer.solver.certificate.knapsack import KnapsackProof
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.knapsack.plan import rounded_up
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.run import PassesGone, Run
from coinfer.solver.knapsack.scan import Stopped, Watch
from coinfer.solver.knapsack.steps import close_in, find_prices
from coinfer.solver.limits import Limits
from coinfer.solver.progress import OnProgress, Stop
from coinfer.solver.result import Status

ENGINE = "knapsack prices"


def solve_multiple(
    program: MultipleChoiceKnapsack,
    *,
    limits: Limits | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> KnapsackResult:
    """Maximise the value of a choice within several budgets.

    Parameters
    ----------
    program
        With one resource or more; the prices are few, so up to about ten.
    limits
        ``time_s``; ``nodes`` counts passes over all rows; with a ``relative_gap`` or an ``absolute_gap`` the solve ends
        as soon as that is proven.
    stop
        Ends the solve soon; it keeps what it has.
    on_progress
        Called with the value and the upper bound after each step.

    Raises
    ------
    InputError
        For menus that are not what :class:`~coinfer.solver.knapsack.program.Block` says.
    """
    stop = stop or Stop()
    watch = Watch(began=time.perf_counter(), limits=limits or Limits(), stop=stop)
    run = Run(program, watch, on_progress)
    limit: str | None = None
    with interrupt_sets(stop), np.errstate(over="ignore", invalid="ignore"):
        try:
            limit = _steps(run)
        except (Stopped, PassesGone) as stopped:
            limit = str(stopped)
            run.rescue()
    return _result(run, limit)


def _steps(run: Run) -> str | None:
    """Take the steps; return what kept the gap open, ``None`` where it is closed."""
    if (run.program.budget == -np.inf).any():
        run.infeasible = (run.program.budget == -np.inf).astype(np.float64)
        return None
    prices, cap = find_prices(run)
    return None if run.infeasible is not None else close_in(run, prices, cap)


def _result(run: Run, limit: str | None) -> KnapsackResult:
    choice, resources = run.choice, run.program.menus.resources
    value, cost, bound = -math.inf, np.full(resources, np.nan), run.bound
    proof = None if run.prices is None else KnapsackProof(prices=run.all_prices(run.prices), core_bound=run.core_bound)
    if choice is not None:
        value = float(choice.value)
        cost = run.all_costs(choice)
        bound = max(bound, rounded_up(choice.value))
        status = Status.OPTIMAL if run.closed else Status.FEASIBLE
    elif run.infeasible is not None:
        status, bound = Status.INFEASIBLE, -math.inf
        proof = KnapsackProof(prices=tuple(run.infeasible.tolist()), shows="infeasible")
    elif run.ruled_out:  # prices cannot show it
        status, bound, proof = Status.INFEASIBLE, -math.inf, None
    else:
        status = Status.UNSOLVED
    settled = status in (Status.OPTIMAL, Status.INFEASIBLE)
    return KnapsackResult(
        status=status,
        limit=None if settled else limit or "other",
        taken=None if choice is None else choice.taken(),
        value=value,
        cost=cost,
        bound=bound,
        proof=proof,
        seconds=run.watch.seconds,
        engine=ENGINE,
    )
