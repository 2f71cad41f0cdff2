"""Which search when: layer steps first, then annealing in longer and longer rounds, and exact neighbourhoods."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

import numpy as np

from coinfer.errors import BackendMissing
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.assignment.search import anneal
from coinfer.solver.assignment.search.feasible import balanced_start, forbidden, placed, repaired
from coinfer.solver.assignment.search.layer_step import along, assigned, shaken, swept
from coinfer.solver.assignment.search.neighbourhood import Size, sizes_of
from coinfer.solver.assignment.search.repair import repaired_exactly
from coinfer.solver.assignment.search.rounds import Budget, Rounds
from coinfer.solver.assignment.search.state import Full, completed, filled, part_loads, place_costs, total_cost
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop

Kernel = Literal["auto", "numpy", "compiled"]
HOT = 0.5
"""First temperature of a round from scratch, in units of the mean weight of an item to the next layer."""
REHEATED = 0.12
"""First temperature of a round that begins from the best assignment."""
FIRST_MOVES = 100
"""Moves of the first round, for each item of each layer; every later round takes twice as many as the one before."""
WANDERING_MOVES, WARM, NEARLY = 1000, (0.1, 0.3), 1e-3
"""Where the items of three parts are shared anew exactly, which outdoes annealing: most moves of a round for each
item of each layer, least and most first temperature, and by which share of the best value a start may be worse."""
PATIENCE = 8
"""Such rounds without a better assignment, after which one begins from scratch."""
LARGE = 128
"""Items of a layer above which layer steps are better than annealing, unless there are caps on loads."""
REPAIRING = 0.5
"""Share of the time that is left for programs that bring an assignment within its caps, while none is known."""
OnValue = Callable[[float, IntArray], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """What a search found.

    Attributes
    ----------
    part
        (layers, items); ``None`` where no assignment within all limits was found.
    value
        Its objective; ``inf`` without one.
    moves
        Exchanges tried.
    history
        Seconds and value of each improvement.
    """

    part: IntArray | None
    value: float
    moves: int
    history: tuple[tuple[float, float], ...]


def search_assignment(
    program: LayeredAssignment,
    *,
    limits: Limits,
    stop: Stop,
    start: IntArray | None = None,
    on_value: OnValue | None = None,
    guides: Sequence[FloatArray] | None = None,
    kernel: Kernel = "auto",
) -> Searched:
    """Search for a good assignment until a limit.

    Parameters
    ----------
    program
        What is to be assigned.
    limits
        Of time, of ``nodes`` (exchanges tried), and the seed; with neither limit it never ends but by ``stop``.
    stop
        Ends it early.
    start
        (layers, items) to begin from; the result is never worse than it, where it is feasible.
    on_value
        Called with each improvement.
    guides
        Approximate co-membership of consecutive layers, as from a bound: the search also begins from its rounding.
    kernel
        ``numpy``, ``compiled`` (needs numba) or ``auto``: compiled where numba is installed.

    Raises
    ------
    BackendMissing
        If ``compiled`` is asked for and numba is not installed.
    """
    budget = Budget(limits, stop)
    run = _Run(program, budget, on_value, _kernel(kernel))
    run.begin(start)
    if guides is not None:
        run.round_along(guides)
    run.improve()
    return Searched(part=run.best, value=run.value, moves=budget.moves, history=tuple(run.history))


def _kernel(choice: Kernel) -> Callable[..., None]:
    if choice == "numpy" or (choice == "auto" and find_spec("numba") is None):
        return anneal.steps
    try:
        module = importlib.import_module("coinfer.solver.assignment.search.compiled")
    except ImportError as error:
        raise BackendMissing("the compiled search needs numba: pip install 'coinfer[fast]'") from error
    steps: Callable[..., None] = module.steps
    return steps


@dataclass
class _Run:
    """The state of one search."""

    program: LayeredAssignment
    budget: Budget
    on_value: OnValue | None
    steps: Callable[..., None]
    best: IntArray | None = None
    value: float = math.inf
    history: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.full: Full = filled(self.program)
        layers, items = self.full.loads.shape
        self.unit = max(float(self.full.weights.sum()) * float(self.full.distance.max(initial=0.0)), 1e-300)
        self.unit /= max(1, layers - 1) * items
        self.current: IntArray = np.zeros((layers, items), dtype=np.int64)
        self.rounds = Rounds(
            full=self.full,
            steps=self.steps,
            compiled=self.steps is not anneal.steps,
            random=np.random.default_rng(self.budget.limits.seed),
            budget=self.budget,
            unit=self.unit,
        )

    def begin(self, start: IntArray | None) -> None:
        """Take the start or items in their order, and what layer steps make of it or of one layer after the other."""
        if start is not None:
            self.take(self.feasible(completed(self.full, start)))
        layers, items = self.full.loads.shape
        first = balanced_start(self.full) if self.full.capped or self.program.allowed is not None else None
        if first is None:
            first = np.tile(np.repeat(np.arange(len(self.full.capacity)), self.full.capacity), (layers, 1))
        self.take(self.feasible(first))
        self.current = first if self.best is None or start is None else completed(self.full, self.best)
        if start is None and not self.full.capped and not self.budget.over():
            begin, real = layers // 2, self.full.real
            anchor = self.rounds.random.permutation(first[begin])
            self.current = along(self.full, self.full.weights[:, :real, :real], anchor, begin)
        if not self.budget.over():
            stepped = swept(self.full, self.current, budget=self.budget, sweeps=50 if items <= LARGE else 6)
            self.current = self.feasible(stepped)
            self.take(self.current)

    def round_along(self, guides: Sequence[FloatArray]) -> None:
        """Begin from the rounding of approximate co-membership, from several layers outward."""
        layers = len(self.current)
        for start in np.unique(np.linspace(0, layers - 1, 3).astype(int)).tolist():
            if self.budget.over():
                return
            anchor = assigned(np.minimum(self.full.cost[start], 1e9), self.full.capacity)
            if self.best is not None:
                anchor = completed(self.full, self.best)[start]
            rounded = swept(self.full, along(self.full, guides, anchor, start), budget=self.budget, sweeps=20)
            self.take(self.feasible(rounded))
        if self.best is not None:
            self.current = completed(self.full, self.best)

    def improve(self) -> None:
        """Anneal and polish in rounds until a limit."""
        layers, items = self.full.loads.shape
        sizes, moves = sizes_of(self.full.capacity), FIRST_MOVES * layers * items
        scratch = items <= LARGE and self.best is None
        exact = max((size.parts for size in sizes if size.exchanges is None), default=0)
        idle, wandering = 0, exact >= min(3, int((self.full.capacity > 0).sum()))
        while not self.budget.over() and layers > 1 and len(self.full.capacity) > 1:
            if items > LARGE and self.best is not None and not self.full.capped:
                self.budget.moves += items
                self.take(shaken(self.full, completed(self.full, self.best), self.rounds.random))
                continue
            if wandering:
                hot, known = WARM[0] * (WARM[1] / WARM[0]) ** float(self.rounds.random.random()), self.value
                anew = self.best is None or idle % PATIENCE == PATIENCE - 1
                self.wander(self.round(moves, HOT if anew else hot, sizes))
                idle = 0 if self.value < known else idle + 1
                moves = min(2 * moves, WANDERING_MOVES * layers * items)
                continue
            self.round(moves, HOT if scratch else REHEATED, sizes)
            moves, scratch = 2 * moves, items <= LARGE and not scratch
            if self.best is not None:
                self.current = completed(self.full, self.best)

    def round(self, moves: int, hot: float, sizes: tuple[Size, ...]) -> IntArray:
        """Anneal from the current assignment and polish what that finds, within the caps or not."""
        found = self.feasible(self.rounds.anneal(self.current, moves, hot))
        self.take(found)
        found = self.rounds.polish(found, sizes)
        self.take(found)
        return found

    def wander(self, found: IntArray) -> None:
        """Go on from what a round found where that is nearly as good as the best, else from the best."""
        if self.best is None or total_cost(self.full, found) <= self.value * (1.0 + NEARLY):
            self.current = found
        else:
            self.current = completed(self.full, self.best)

    def feasible(self, part: IntArray) -> IntArray:
        """Return ``part``, repaired where it breaks a limit; by programs only while nothing feasible is known."""
        if forbidden(self.full, part):
            part = placed(self.full, part)
        if self.full.capped and self.rounds.excess(part_loads(self.full, part)) > 0.0:
            if self.best is not None:
                return repaired(self.full, part, place_costs(self.full, part))
            left = self.budget.seconds_left()
            part = repaired_exactly(
                self.full, part, time_s=None if left is None else REPAIRING * left, stop=self.budget.stop
            )
        return part

    def take(self, part: IntArray) -> None:
        """Keep ``part`` where it is feasible and better than the best."""
        real = part[:, : self.full.real]
        if total_cost(self.full, part) >= self.value + 1e-9 * self.unit:
            return
        found = evaluate(self.program, real)
        if found.violations or found.value >= self.value:
            return
        self.best, self.value = real.copy(), found.value
        self.history.append((self.budget.seconds(), found.value))
        if self.on_value is not None:
            self.on_value(found.value, self.best)
