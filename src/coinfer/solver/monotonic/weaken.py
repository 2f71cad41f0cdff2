r"""Every objective class as a weaker one, so that classes can be checked against each other.

A facility location or a gate is not defined where a row has no column. As an oracle it is, so that the search may ask
anywhere: such a row counts with its least value, and :func:`served` is the constraint that makes the point infeasible.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.monotonic.program import (
    Difference,
    FacilityLocation,
    FloatArray,
    GatedMean,
    IntArray,
    MixedMonotone,
    Monotone,
    MonotoneAtLeast,
    MonotonicProgram,
    Objective,
    Oracle,
    PairOracle,
    Submodular,
)

ObjectiveClass = Literal["submodular", "monotone", "difference", "mixed"]
SERVED = "every row has a column"


class BestColumns:
    """A facility location as an oracle with single steps; rows without a column count with their least value.

    Parameters
    ----------
    objective
        The facility location.
    """

    def __init__(self, objective: FacilityLocation) -> None:
        values = objective.values
        finite = np.where(np.isneginf(values), np.inf, values).min(axis=1, initial=np.inf)
        self._floor: FloatArray = np.where(np.isfinite(finite), finite, 0.0)  # a row that nothing serves: anything
        self._columns: FloatArray = np.ascontiguousarray(np.maximum(values, self._floor[:, None]).T)
        self._weights = objective.weights

    def values(self, points: IntArray) -> FloatArray:
        """Return the value of each row of ``points`` (count, variables) as (count,)."""
        return np.array([float(self._best(point) @ self._weights) for point in points])

    def gains(self, point: IntArray) -> FloatArray:
        """Return ``value(point + e_i) - value(point)`` for every variable, (variables,)."""
        gained: FloatArray = np.maximum(self._columns - self._best(point), 0.0) @ self._weights
        return np.where(point >= 1, 0.0, gained)

    def losses(self, point: IntArray) -> FloatArray:
        """Return ``value(point) - value(point - e_i)`` for every variable, (variables,).

        Only the best column of a row can lose it anything, namely what the second best is worse.
        """
        open_columns = np.flatnonzero(point >= 1)
        lost = np.zeros(len(point))
        if len(open_columns) == 0:
            return lost
        part = self._columns[open_columns]
        first = part.argmax(axis=0)
        rows = np.arange(part.shape[1])
        best = part[first, rows]
        part[first, rows] = -np.inf
        second = np.maximum(part.max(axis=0), self._floor)
        lost[open_columns] = np.bincount(first, self._weights * (best - second), minlength=len(open_columns))
        return lost

    def _best(self, point: IntArray) -> FloatArray:
        part: FloatArray = self._columns[point >= 1]
        return part.max(axis=0) if len(part) else self._floor


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ServedRows:
    """How many rows have at least one of the open columns that can serve them.

    Attributes
    ----------
    able
        (variables, rows) whether a column can serve a row.
    """

    able: FloatArray

    def values(self, points: IntArray) -> FloatArray:
        """Return the number of served rows at each of ``points`` (count, variables) as (count,)."""
        served: FloatArray = ((points >= 1).astype(np.float64) @ self.able > 0.0).sum(axis=1).astype(np.float64)
        return served


class GatePair:
    r"""A gate as a function that rises in the columns of one point and falls in those of another.

    Proportional: with :math:`m_r` the least value, :math:`\phi(m_r + \sum_{j \in x} a_{rj}(v_{rj} - m_r) /
    \sum_{j \in y} a_{rj})`, and never more than the best value in :math:`x`. Largest share: the best value of the
    columns of :math:`x` that the gate would ask before or as the first one of :math:`y`.

    Parameters
    ----------
    objective
        The gate; rows without any column count with their least value.
    """

    def __init__(self, objective: GatedMean) -> None:
        able = objective.shares > 0.0
        least = np.where(able, objective.values, np.inf).min(axis=1, initial=np.inf)
        self._floor: FloatArray = np.where(np.isfinite(least), least, 1.0)  # a row that nothing serves: anything
        self._values: FloatArray = np.where(able, objective.values, self._floor[:, None]).T
        self._shares = objective.shares.T
        order = np.argsort(-objective.shares, axis=1, kind="stable")
        self._rank = np.empty_like(order)
        np.put_along_axis(self._rank, order, np.arange(order.shape[1])[None, :], axis=1)
        self._rank = np.where(able, self._rank, order.shape[1]).T
        self._objective = objective

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows, both (count, variables), as (count,)."""
        one = self._proportional if self._objective.rule == "proportional" else self._largest
        means = [one(x >= 1, y >= 1) for x, y in zip(rising, falling, strict=True)]
        if self._objective.mean == "log":
            means = [np.log(mean) for mean in means]
        return np.array([float(mean @ self._objective.weights) for mean in means])

    def _proportional(self, x: IntArray, y: IntArray) -> FloatArray:
        best = self._values[x].max(axis=0, initial=-np.inf)
        top = (self._shares[x] * (self._values[x] - self._floor)).sum(axis=0)
        below = self._shares[y].sum(axis=0)
        ratio = np.divide(top, below, out=np.full(len(top), np.inf), where=below > 0.0)
        mean: FloatArray = np.maximum(np.minimum(best, self._floor + ratio), self._floor)
        return mean

    def _largest(self, x: IntArray, y: IntArray) -> FloatArray:
        first = self._rank[y].min(axis=0, initial=len(self._rank) - 1)
        asked = self._rank[x] <= first
        mean: FloatArray = np.where(asked, self._values[x], self._floor).max(axis=0, initial=-np.inf)
        return np.maximum(mean, self._floor)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _RisingOnly:
    """A nondecreasing function as a pair."""

    oracle: Oracle

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:  # noqa: ARG002
        return self.oracle.values(rising)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Apart:
    """A difference as a pair."""

    first: Oracle
    second: Oracle

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        return self.first.values(rising) - self.second.values(falling)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Nothing:
    """The function that is 0 everywhere."""

    def values(self, points: IntArray) -> FloatArray:
        return np.zeros(len(points))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _ValuesOnly:
    """An oracle without its fast single steps."""

    oracle: Oracle

    def values(self, points: IntArray) -> FloatArray:
        return self.oracle.values(points)


def values_only(oracle: Oracle) -> Oracle:
    """Return the same function as an oracle that does not know single steps."""
    return _ValuesOnly(oracle)


def served(objective: FacilityLocation | GatedMean) -> MonotoneAtLeast:
    """Return the constraint that every row of ``objective`` has a column that can serve it."""
    able = ~np.isneginf(objective.values) if isinstance(objective, FacilityLocation) else objective.shares > 0.0
    oracle = ServedRows(np.ascontiguousarray(able.T.astype(np.float64)))
    return MonotoneAtLeast(oracle=oracle, limit=float(len(able)), name=SERVED)


def as_class(objective: Objective, target: ObjectiveClass) -> Submodular | Monotone | Difference | MixedMonotone:
    """Return ``objective`` as an instance of a class that is as weak or weaker.

    Raises
    ------
    InputError
        If the class is stronger, as ``submodular`` is for a monotone function.
    """
    if isinstance(objective, FacilityLocation):
        objective = Submodular(oracle=BestColumns(objective))
    if isinstance(objective, Submodular):
        if target == "submodular":
            return objective
        objective = Monotone(oracle=objective.oracle)
    if isinstance(objective, Monotone):
        if target == "monotone":
            return objective
        if target == "difference":
            return Difference(rising=objective.oracle, falling=_Nothing())
    if isinstance(objective, Difference) and target == "difference":
        return objective
    if target == "mixed":
        return MixedMonotone(oracle=_pair(objective))
    raise InputError("objective", expected=f"a class as strong as {target}", found=Plain(type(objective).__name__))


def _pair(objective: Monotone | Difference | MixedMonotone | GatedMean) -> PairOracle:
    match objective:
        case Monotone(oracle=oracle):
            return _RisingOnly(oracle)
        case Difference(rising=rising, falling=falling):
            return _Apart(rising, falling)
        case GatedMean():
            return GatePair(objective)
        case MixedMonotone(oracle=pair):
            return pair


def weakened(program: MonotonicProgram, target: ObjectiveClass) -> MonotonicProgram:
    """Return the program with its objective as another class; what that class leaves out becomes a constraint.

    Raises
    ------
    InputError
        If the class is stronger than that of the program.
    """
    objective, constraints = program.objective, program.constraints
    if isinstance(objective, FacilityLocation | GatedMean):
        constraints = (*constraints, served(objective))
    return dataclasses.replace(program, objective=as_class(objective, target), constraints=constraints)
