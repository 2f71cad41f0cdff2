"""What a solve with several budgets has so far: the least bound, the best choice, the passes taken."""

from __future__ import annotations

import math

import numpy as np

from coinfer.solver.knapsack.base import Choice, base_of
from coinfer.solver.knapsack.binding import taken_cost
from coinfer.solver.knapsack.pieces import Pieces
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack
from coinfer.solver.knapsack.repair import feasible_choice
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.knapsack.sweep import Sweep, Wanted, sweep
from coinfer.solver.program import FloatArray
from coinfer.solver.progress import OnProgress, Progress

LOCAL = 20_000
"""Options that a feasible choice is made of, besides the best ones."""


class PassesGone(Exception):  # noqa: N818
    """As many passes were taken as the limits allow; the text is the name of the limit."""


class Run:
    """One solve.

    Attributes
    ----------
    kept
        The resources with a finite budget; prices and costs in here are of these alone.
    budget
        (kept,).
    bound, prices
        The least bound of the passes so far, and its prices.
    core_bound
        A bound by search, below the one of the prices.
    choice
        The best choice so far.
    closed
        Whether the gap is proven to be as small as was asked for.
    last, hint
        The last pass with values, and the best prices known from what it kept.
    infeasible
        (resources,): prices that show that there is no choice.
    ruled_out
        Whether all choices were gone through, and none keeps the budgets.
    """

    def __init__(self, program: MultipleChoiceKnapsack, watch: Watch, on_progress: OnProgress | None) -> None:
        self.program = program
        self.watch = watch
        self.kept = np.flatnonzero(program.budget != np.inf)
        self.budget: FloatArray = program.budget[self.kept]
        self.pieces = Pieces(program.menus, watch, self.kept)
        self.bound = math.inf
        self.prices: FloatArray | None = None
        self.core_bound: float | None = None
        self.choice: Choice | None = None
        self.closed = False
        self.infeasible: FloatArray | None = None
        self.ruled_out = False
        self.passes = 0
        self.last: Sweep | None = None
        self.hint = np.zeros(len(self.kept))
        self._on_progress = on_progress

    def sweep(self, prices: FloatArray, wanted: Wanted, *, with_values: bool = True) -> Sweep:
        """Pass over all rows and take note of the bound.

        Raises
        ------
        Stopped
            Where a limit is hit inside the pass.
        PassesGone
            Where no pass is left.
        """
        if self.watch.limits.nodes is not None and self.passes >= self.watch.limits.nodes:
            raise PassesGone("nodes")
        found = sweep(self.pieces, self.pieces.whole, self.budget, prices, wanted, with_values=with_values)
        self.passes += 1
        if found.infeasible:
            self.infeasible = np.array(self.all_prices(prices))
        if with_values:
            self.last, self.hint = found, prices
            if found.bound < self.bound:
                self.bound, self.prices = found.bound, prices
            self.report()
        return found

    def offer(self, choice: Choice | None) -> None:
        """Take note of a choice."""
        if choice is not None and (self.choice is None or choice.value > self.choice.value):
            self.choice = choice
            self._close()
            self.report()

    def core(self, bound: float) -> None:
        """Take note of a bound by search."""
        if bound < self.bound:
            self.core_bound = self.bound = bound
        self._close()
        self.report()

    def prove(self) -> None:
        """Take note that a search went to its end: the choice is the best."""
        self.closed = self.choice is not None

    def _close(self) -> None:
        if self.choice is not None:
            limits, value = self.watch.limits, float(self.choice.value)
            tolerance = max(limits.absolute_gap, limits.relative_gap * max(abs(value), 1e-9))
            self.closed = self.closed or self.bound - value <= tolerance

    def rescue(self) -> None:
        """Make a choice of the last pass, where a limit was hit before there was one."""
        if self.choice is None and self.last is not None and self.infeasible is None:
            self.offer(feasible_choice(base_of(self.last, self.hint, LOCAL), self.budget, self.watch, pairs=False))

    def report(self) -> None:
        """Tell the caller."""
        if self._on_progress is not None:
            value = -math.inf if self.choice is None else float(self.choice.value)
            bound = max(self.bound, value)
            self._on_progress(Progress(seconds=self.watch.seconds, value=value, bound=bound, nodes=self.passes))

    def all_prices(self, prices: FloatArray) -> tuple[float, ...]:
        """Return a price for every resource."""
        every = np.zeros(self.program.menus.resources)
        every[self.kept] = prices
        return tuple(every.tolist())

    def all_costs(self, choice: Choice) -> FloatArray:
        """Return what ``choice`` takes of every resource."""
        if len(self.kept) == self.program.menus.resources:
            return np.array([float(total) for total in choice.cost])
        return taken_cost(self.program.menus, choice.taken())
