"""Which search when: layer steps first, then annealing in longer and longer rounds, and exact neighbourhoods."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import combinations
from typing import Literal

import numpy as np

from coinfer.errors import BackendMissing
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.assignment.search import anneal
from coinfer.solver.assignment.search.feasible import balanced_start, forbidden, placed, repaired
from coinfer.solver.assignment.search.layer_step import along, assigned, swept
from coinfer.solver.assignment.search.neighbourhood import parts_at_once, reassigned, ways
from coinfer.solver.assignment.search.state import Full, completed, filled, part_loads, place_costs, total_cost
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop

Kernel = Literal["auto", "numpy", "compiled"]
HOT, COLD = 0.5, 0.005
"""First and last temperature of a round, in units of the mean weight of an item to the next layer."""
REHEATED = 0.12
"""First temperature of a round that begins from the best assignment."""
CHUNK = 50_000
"""Moves between two looks at the clock."""
FIRST_MOVES = 100
"""Moves of the first round, for each item of each layer; every later round takes twice as many as the one before."""
LEAST_TRIES = 20
"""Neighbourhoods tried after each round at least."""
LARGE = 128
"""Items of a layer from which layer steps are better than annealing from scratch."""
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
    run = _Run(program, limits, stop, on_value, _kernel(kernel))
    run.begin(start)
    if guides is not None:
        run.round_along(tuple(guides))
    run.improve()
    return Searched(part=run.best, value=run.value, moves=run.moves, history=tuple(run.history))


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
    limits: Limits
    stop: Stop
    on_value: OnValue | None
    steps: Callable[..., None]
    best: IntArray | None = None
    value: float = math.inf
    moves: int = 0
    history: list[tuple[float, float]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.full: Full = filled(self.program)
        self.random = np.random.default_rng(self.limits.seed)
        layers, items = self.full.loads.shape
        self.unit = max(float(self.full.weights.sum()) * float(self.full.distance.max(initial=0.0)), 1e-12)
        self.unit /= max(1, layers - 1) * items
        self.current: IntArray = np.zeros((layers, items), dtype=np.int64)

    def over(self) -> bool:
        """Return whether a limit is hit."""
        if self.stop or (self.limits.nodes is not None and self.moves >= self.limits.nodes):
            return True
        return self.limits.time_s is not None and time.perf_counter() - self.began >= self.limits.time_s

    def begin(self, start: IntArray | None) -> None:
        """Take the start, and what layer steps make of it or of items in their order."""
        if start is not None:
            self.take(self.feasible(completed(self.full, start)))
        layers, items = self.full.loads.shape
        first = balanced_start(self.full) if self.full.capped or self.program.allowed is not None else None
        if first is None:
            first = np.tile(np.repeat(np.arange(len(self.full.capacity)), self.full.capacity), (layers, 1))
        self.take(self.feasible(first))
        self.current = first if self.best is None or start is None else completed(self.full, self.best)
        if not self.over():
            stepped = swept(self.full, self.current, stop=self.stop, sweeps=50 if items <= LARGE else 6)
            self.current = self.feasible(stepped)
            self.take(self.current)

    def round_along(self, guides: tuple[FloatArray, ...]) -> None:
        """Begin from the rounding of approximate co-membership, from several layers outward."""
        layers = len(self.current)
        for start in np.unique(np.linspace(0, layers - 1, 3).astype(int)).tolist():
            if self.over():
                return
            anchor = assigned(np.minimum(self.full.cost[start], 1e9), self.full.capacity)
            if self.best is not None:
                anchor = completed(self.full, self.best)[start]
            rounded = swept(self.full, along(self.full, guides, anchor, start), stop=self.stop, sweeps=20)
            self.take(self.feasible(rounded))
        if self.best is not None:
            self.current = completed(self.full, self.best)

    def improve(self) -> None:
        """Anneal in rounds, each twice as long, and polish the best by exact neighbourhoods between them."""
        layers, items = self.full.loads.shape
        moves, large = FIRST_MOVES * layers * items, items > LARGE
        scratch = not large and self.best is None
        together = parts_at_once(self.full)
        while not self.over() and layers > 1 and len(self.full.capacity) > 1:
            self.anneal(moves, HOT if scratch else REHEATED)
            if together:
                self.polish(together, moves)
            moves, scratch = 2 * moves, not scratch and not large
            if self.best is not None:
                self.current = completed(self.full, self.best)

    def anneal(self, moves: int, hot: float) -> None:
        """Take one round of annealing from the current assignment."""
        full = self.full
        part, best = self.current.copy(), self.current.copy()
        layers, items = part.shape
        price = 4.0 * self.unit * items / max(1, len(full.capacity)) if full.capped else 0.0
        ratio, done = (COLD / hot), 0
        known = np.inf
        while done < moves and not self.over():
            count = min(CHUNK, moves - done)
            cool = hot * ratio ** ((done + np.arange(count)) / moves) * self.unit
            chances = -np.log(self.random.random(count)) * cool
            draws = np.column_stack(
                [self.random.integers(layers, size=count), self.random.integers(items, size=(count, 2))]
            )
            held = part_loads(full, part)
            numbers = np.array([total_cost(full, part), self.excess(held), known, self.uneven(held)])
            self.steps(
                full.weights,
                full.distance,
                full.uniform,
                full.loads,
                full.load_caps,
                full.imbalance_sum,
                full.mean_loads,
                price,
                part,
                place_costs(full, part),
                held,
                best,
                numbers,
                draws,
                chances,
            )
            known = float(numbers[2])
            done += count
            self.moves += count
        if known < np.inf:
            self.take(best)
        elif full.capped:
            self.take(self.feasible(part))

    def polish(self, together: int, work: int) -> None:
        """Share the items of every few parts anew, until no choice of parts gains anything or it took too long.

        A neighbourhood costs about as much as one exchange for each pair of its states in each layer.
        """
        if self.best is None:
            return
        part = completed(self.full, self.best)
        value = total_cost(self.full, part)
        groups = list(combinations(range(len(self.full.capacity)), together))
        self.random.shuffle(groups)
        states = ways(tuple(sorted(self.full.capacity.tolist(), reverse=True)[:together]))
        left = max(LEAST_TRIES, work // (states * states * len(part)))
        idle = 0
        while idle < len(groups) and left > 0 and not self.over():
            for chosen in groups:
                if self.over() or idle >= len(groups) or left <= 0:
                    break
                found = reassigned(self.full, part, chosen)
                cost = total_cost(self.full, found)
                idle, left = idle + 1, left - 1
                if cost < value * (1.0 - 1e-12):
                    part, value, idle = found, cost, 0
                    self.take(part)

    def excess(self, held: FloatArray) -> float:
        """Return by how much loads break their caps, in units of the mean load."""
        over = np.maximum(0.0, held - self.full.load_caps[:, None]) / self.full.mean_loads[:, None]
        return float(over.sum()) + max(0.0, self.uneven(held) - self.full.imbalance_sum)

    def uneven(self, held: FloatArray) -> float:
        """Return the sum of the imbalances."""
        return float((held.max(axis=1) / self.full.mean_loads).sum())

    def feasible(self, part: IntArray) -> IntArray:
        """Return ``part``, repaired where it breaks a limit."""
        if forbidden(self.full, part):
            part = placed(self.full, part)
        if self.full.capped and self.excess(part_loads(self.full, part)) > 0.0:
            part = repaired(self.full, part, place_costs(self.full, part))
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
        self.history.append((time.perf_counter() - self.began, found.value))
        if self.on_value is not None:
            self.on_value(found.value, self.best)
