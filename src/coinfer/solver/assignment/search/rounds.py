"""Rounds of a search under one budget: annealing while the temperature falls, and exact neighbourhoods in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from coinfer.solver.assignment.search.neighbourhood import Size, reassigned, states
from coinfer.solver.assignment.search.state import Full, part_loads, place_costs, total_cost
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop

COLD = 0.005
"""Last temperature of a round, in units of the mean weight of an item to the next layer."""
CHUNK = 50_000
"""Moves whose random numbers are drawn at once."""
AT_ONCE = {True: 50_000, False: 1_000}
"""Moves between two looks at the clock, of compiled code and of numpy."""
RENEWED = 20
"""Chunks after which the table of costs is computed anew, for sums of floats drift."""
MOST_GROUPS = 200
"""Groups of parts that are tried, of those there are."""
NOTABLE = 1e-9
"""Gain below which a neighbourhood counts as idle, in units of the mean weight of an item."""


@dataclass
class Budget:
    """What is left of the limits of a search."""

    limits: Limits
    stop: Stop
    moves: int = 0
    began: float = field(default_factory=time.perf_counter)

    def over(self) -> bool:
        """Return whether a limit is hit."""
        if self.stop or (self.limits.nodes is not None and self.moves >= self.limits.nodes):
            return True
        return self.limits.time_s is not None and self.seconds() >= self.limits.time_s

    def seconds(self) -> float:
        """Return the seconds since the search began."""
        return time.perf_counter() - self.began

    def seconds_left(self) -> float | None:
        """Return the seconds that are left; ``None`` without a limit."""
        return None if self.limits.time_s is None else max(0.0, self.limits.time_s - self.seconds())

    def most(self, moves: int) -> int:
        """Return how many of so many moves are left."""
        return moves if self.limits.nodes is None else min(moves, self.limits.nodes - self.moves)


@dataclass
class Rounds:
    """What every round needs."""

    full: Full
    steps: Callable[..., None]
    compiled: bool
    random: np.random.Generator
    budget: Budget
    unit: float

    def __post_init__(self) -> None:
        self.backward: FloatArray = np.ascontiguousarray(self.full.weights.transpose(0, 2, 1))

    def table(self, part: IntArray) -> FloatArray:
        """Return what each item would cost in each part if all others stayed, (layers, parts, items)."""
        return np.ascontiguousarray(place_costs(self.full, part).transpose(0, 2, 1))

    def anneal(self, start: IntArray, moves: int, hot: float) -> IntArray:
        """Anneal from ``start`` with so many moves, from temperature ``hot`` down.

        Returns
        -------
        The best assignment within all caps that was seen; the last one where none was.
        """
        full, part, best = self.full, start.copy(), start.copy()
        items, parts = part.shape[1], max(1, len(full.capacity))
        price = 4.0 * self.unit * items / parts if full.capped else 0.0
        moves = self.budget.most(moves)
        done, chunks, known = 0, 0, math.inf
        while done < moves and not self.budget.over():
            count = min(CHUNK, moves - done)
            cool = hot * (COLD / hot) ** ((done + np.arange(count)) / moves) * self.unit
            chances = -np.log(self.random.random(count)) * cool
            draws = np.column_stack(
                [self.random.integers(len(part), size=count), self.random.integers(items, size=(count, 2))]
            )
            if chunks % RENEWED == 0:
                table, held = self.table(part), part_loads(full, part)
                numbers = np.array([total_cost(full, part), self.excess(held), known, self.uneven(held)])
            for first in range(0, count, AT_ONCE[self.compiled]):
                if first and self.budget.over():
                    break
                rows = slice(first, min(count, first + AT_ONCE[self.compiled]))
                self.steps(
                    full.weights,
                    self.backward,
                    full.distance,
                    full.uniform,
                    full.loads,
                    full.load_caps,
                    full.imbalance_sum,
                    full.mean_loads,
                    price,
                    part,
                    table,
                    held,
                    best,
                    numbers,
                    draws[rows],
                    chances[rows],
                )
                self.budget.moves += rows.stop - first
            known, chunks, done = float(numbers[2]), chunks + 1, done + count
        return part if math.isinf(known) else best

    def polish(self, part: IntArray, sizes: tuple[Size, ...]) -> IntArray:
        """Share the items of every few parts anew, until no choice of parts gains anything.

        A neighbourhood counts as one move for each of its states in each layer.
        """
        for size in sizes:
            groups = list(combinations(np.flatnonzero(self.full.capacity).tolist(), size.parts))
            self.random.shuffle(groups)
            del groups[MOST_GROUPS:]
            idle, tried = 0, 0
            while idle < len(groups) and not self.budget.over():
                chosen = groups[tried % len(groups)]
                part, gain = reassigned(self.full, part, chosen, size.exchanges)
                room = tuple(int(self.full.capacity[g]) for g in chosen)
                self.budget.moves += len(part) * len(states(room, size.exchanges))
                idle, tried = 0 if gain > NOTABLE * self.unit else idle + 1, tried + 1
        return part

    def excess(self, held: FloatArray) -> float:
        """Return by how much loads break their caps, in units of the mean load."""
        over = np.maximum(0.0, held - self.full.load_caps[:, None]) / self.full.mean_loads[:, None]
        return float(over.sum()) + max(0.0, self.uneven(held) - self.full.imbalance_sum)

    def uneven(self, held: FloatArray) -> float:
        """Return the sum of the imbalances."""
        return float((held.max(axis=1) / self.full.mean_loads).sum())
