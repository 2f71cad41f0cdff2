"""From the best choice at some prices to a good feasible one: repair, fill, change one row or two at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.base import Base, Choice, choice_of
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.program import FloatArray, IntArray

MOST_STEPS = 3000
"""Single changes at most."""
PAIRED = 640
"""Changes that are tried in pairs, those of least loss."""
KICKS, KICKED = 300, 160
"""Rounds of the iterated local search, and changes that are tried in pairs in it."""
ROUNDS = 60
"""Rounds of pairs at most."""
SAFETY = (0.0, 1e-13, 1e-10)
"""Shares of the sizes that sum up by which budgets are lowered: more where rounding made a choice infeasible."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Units:
    """Copies that change together; each takes one option.

    A row of many copies is cut into units of 1, 1, 2, 4, ... copies, so that any number of them can move.

    Attributes
    ----------
    first
        (units + 1,): a unit has the entries ``first[i]:first[i + 1]``.
    unit, place
        (entries,): the unit, and the place in ``base.near``.
    copies
        (units,).
    gain, cost
        (entries,), (resources, entries): against the entry taken now.
    taken
        (units,): the entry taken now.
    slack
        (resources,): budget left.
    total
        Gained by all moves.
    """

    first: IntArray
    unit: IntArray
    place: IntArray
    copies: IntArray
    gain: FloatArray
    cost: FloatArray
    taken: IntArray
    slack: FloatArray
    total: float = 0.0

    def copy(self) -> _Units:
        """Return units that move on their own."""
        return replace(
            self, gain=self.gain.copy(), cost=self.cost.copy(), taken=self.taken.copy(), slack=self.slack.copy()
        )

    def move(self, entry: int) -> None:
        """Let the unit of ``entry`` take it."""
        unit = int(self.unit[entry])
        own = slice(int(self.first[unit]), int(self.first[unit + 1]))
        self.slack -= self.cost[:, entry]
        self.total += float(self.gain[entry])
        self.gain[own] -= self.gain[entry]
        self.cost[:, own] -= self.cost[:, entry, None].copy()
        self.taken[unit] = entry


def feasible_choice(base: Base, budget: FloatArray, watch: Watch, *, pairs: bool = True) -> Choice | None:
    """Return a feasible choice of much value near to the base; ``None`` where none is found.

    A limit that is hit ends the improvement, not the repair, which is short.
    """
    sizes = np.array([abs(float(total)) for total in base.cost]) + np.abs(budget)
    for safety in SAFETY:
        units = _units_of(base, budget - safety * sizes)
        scale = _scale(units)
        if not _repair(units, base.prices, scale):
            return None
        _fill(units)
        if pairs:
            _improve(units, base.prices, watch, PAIRED)
        choice = choice_of(base, _counts(units, len(base.near.option)), budget)
        if choice is not None:
            return choice
    return None


def polished(base: Base, budget: FloatArray, watch: Watch) -> Choice | None:
    """Return a better choice by iterated local search: kick it out of its optimum, repair, fill, improve, compare.

    The base should have few options near, those that matter.
    """
    units = _units_of(base, budget)
    scale = _scale(units)
    if not len(units.unit) or not _repair(units, base.prices, scale):
        return None
    generator = np.random.default_rng(watch.limits.seed)
    _fill(units)
    _improve(units, base.prices, watch, KICKED)
    best = units
    for _ in range(KICKS):
        if watch.hit() is not None:
            break
        own = best.copy()
        loss = base.prices @ own.cost - own.gain
        loss[own.taken] = np.inf
        near = np.argsort(loss)[:KICKED]
        for entry in generator.choice(near, size=min(len(near), int(generator.integers(1, 5))), replace=False).tolist():
            own.move(entry)
        if _repair(own, base.prices, scale):
            _fill(own)
            _improve(own, base.prices, watch, KICKED)
            if own.total >= best.total:
                best = own
    return choice_of(base, _counts(best, len(base.near.option)), budget)


def _units_of(base: Base, budget: FloatArray) -> _Units:
    near = base.near
    rows, copies = _cut(near.copies)
    lengths = np.diff(near.first)[rows]
    first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    unit = np.repeat(np.arange(len(rows)), lengths)
    place = np.arange(int(first[-1])) - first[:-1][unit] + near.first[:-1][rows][unit]
    heads = near.first[:-1][rows][unit]
    weights = copies[unit].astype(np.float64)
    slack = [float(Fraction(own) - total) for own, total in zip(budget.tolist(), base.cost, strict=True)]
    return _Units(
        first=first,
        unit=unit,
        place=place,
        copies=copies,
        gain=(near.value[place] - near.value[heads]) * weights,
        cost=(near.cost[:, place] - near.cost[:, heads]) * weights,
        taken=first[:-1].copy(),
        slack=np.array(slack),
    )


def _cut(copies: IntArray) -> tuple[IntArray, IntArray]:
    """Return the row and the copies of every unit: 1, 1, 2, 4, ... and what is left."""
    rows, parts = [np.arange(len(copies))], [np.minimum(copies, 1)]
    left = copies - parts[0]
    size = 1
    while left.any():
        own = np.flatnonzero(left)
        part = np.minimum(left[own], size)
        rows.append(own)
        parts.append(part)
        left[own] -= part
        size *= 2
    return np.concatenate(rows), np.concatenate(parts)


def _scale(units: _Units) -> FloatArray:
    """Return the size of a usual change, for each resource."""
    size = np.abs(units.cost).mean(axis=1) if units.cost.shape[1] else np.zeros(len(units.slack))
    return np.where(size > 0.0, size, 1.0)


def _repair(units: _Units, prices: FloatArray, scale: FloatArray) -> bool:
    """Take changes of least loss per unit of violation until no budget is exceeded; tell whether that worked."""
    for _ in range(MOST_STEPS):
        violation = float((np.maximum(-units.slack, 0.0) / scale).sum())
        if violation == 0.0:
            return True
        if not len(units.unit):
            return False
        after = (np.maximum(units.cost - units.slack[:, None], 0.0) / scale[:, None]).sum(axis=0)
        less = violation - after
        helps = np.flatnonzero(less > 1e-12 * violation)
        if not len(helps):
            return False
        loss = np.maximum(prices @ units.cost[:, helps] - units.gain[helps], 0.0)
        units.move(int(helps[np.argmin((loss + 1e-12) / less[helps])]))
    return bool((units.slack >= 0.0).all())


def _fill(units: _Units) -> None:
    """Take the change of most gain that fits, until none does."""
    for _ in range(MOST_STEPS):
        fits = np.flatnonzero((units.gain > 0.0) & (units.cost <= units.slack[:, None]).all(axis=0))
        if not len(fits):
            return
        units.move(int(fits[np.argmax(units.gain[fits])]))


def _improve(units: _Units, prices: FloatArray, watch: Watch, most: int) -> None:
    """Take the pair of changes that gains most, until none gains."""
    for _ in range(ROUNDS):
        if watch.hit() is not None:
            return
        pair = _best_pair(units, prices, most)
        if pair is None:
            return
        for entry in pair:
            units.move(entry)
        _fill(units)


def _best_pair(units: _Units, prices: FloatArray, most: int) -> tuple[int, int] | None:
    loss = prices @ units.cost - units.gain
    loss[units.taken] = np.inf
    near = np.argpartition(loss, most)[:most] if len(loss) > most else np.arange(len(loss))
    near = near[loss[near] < np.inf]
    if len(near) < 2:
        return None
    gain = units.gain[near, None] + units.gain[near]
    for own, slack in zip(units.cost[:, near], units.slack.tolist(), strict=True):
        gain[own[:, None] + own > slack] = -np.inf
    gain[units.unit[near, None] == units.unit[near]] = -np.inf
    best = int(gain.argmax())
    one, other = divmod(best, len(near))
    enough = 1e-12 * max(abs(float(units.gain[near[one]])), abs(float(units.gain[near[other]])))
    return (int(near[one]), int(near[other])) if gain[one, other] > enough else None


def _counts(units: _Units, options: int) -> IntArray:
    counts = np.zeros(options, dtype=np.int64)
    np.add.at(counts, units.place[units.taken], units.copies)
    return counts
