r"""Monotonic programs: maximise over the integer points of a box.

.. math:: \max\; f(x) \quad\text{s.t.}\quad x \in \{l, \dots, u\} \subset \mathbb{Z}^n,\; \text{every constraint}

The objective belongs to one of six classes, from the strongest bound to the weakest: :class:`FacilityLocation`,
:class:`Submodular`, :class:`Monotone`, :class:`MixedMonotone`, :class:`Difference`; and :class:`GatedMean` for a
deployed gate, which is not monotone but has a bound of its own. Every weaker class accepts a stronger instance
(``coinfer.solver.monotonic.weaken``), so that classes can be checked against each other.

References
----------
H. Tuy, M. Minoux, N. T. Hoai-Phuong, "Discrete monotonic optimization with application to a discrete location
problem", SIAM J. Optim. 17 (2006). B. Matthiesen et al., "Mixed monotonic programming for fast global optimization",
arXiv:1910.07853 (2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import Plain, ProblemError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

ROUNDING = 1e-12
"""A point keeps a constraint when it misses the limit by at most this, relative to the numbers that make it up."""


class Oracle(Protocol):
    """A function of integer points, evaluated many at a time."""

    def values(self, points: IntArray) -> FloatArray:
        """Return the value of each row of ``points`` (count, variables) as (count,)."""
        ...


@runtime_checkable
class IncrementalOracle(Protocol):
    """An oracle that also knows all single steps from one point, cheaper than by values."""

    def values(self, points: IntArray) -> FloatArray:
        """Return the value of each row of ``points`` (count, variables) as (count,)."""
        ...

    def gains(self, point: IntArray) -> FloatArray:
        """Return ``value(point + e_i) - value(point)`` for every variable ``i``, (variables,)."""
        ...

    def losses(self, point: IntArray) -> FloatArray:
        """Return ``value(point) - value(point - e_i)`` for every variable ``i``, (variables,)."""
        ...


class PairOracle(Protocol):
    r"""A function :math:`F(x, y)`, nondecreasing in :math:`x` and nonincreasing in :math:`y`, many pairs at a time."""

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows, both (count, variables), as (count,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FacilityLocation:
    r""":math:`f(x) = \sum_r w_r \max_{j: x_j \ge 1} v_{rj}` over binary variables: each row takes its best open column.

    Attributes
    ----------
    values
        (rows, variables) value of each column to each row; ``-inf`` where a column cannot serve a row. A point that
        leaves a row without any column is infeasible.
    weights
        (rows,) weights, > 0.
    """

    values: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.weights.shape != self.values.shape[:1]:
            shapes = Plain(f"{self.values.shape} and {self.weights.shape}")
            raise ProblemError("objective.weights", expected="one weight per row of values", found=shapes)
        if not (np.isfinite(self.weights).all() and (self.weights > 0.0).all()):
            raise ProblemError("objective.weights", expected="finite numbers above 0", found=Plain("others"))
        if np.isnan(self.values).any() or (self.values == np.inf).any():
            raise ProblemError("objective.values", expected="numbers, or -inf", found=Plain("NaN or inf"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Submodular:
    """A nondecreasing function whose gains shrink as the point grows (on integers: DR-submodular)."""

    oracle: Oracle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Monotone:
    """A nondecreasing function."""

    oracle: Oracle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedMonotone:
    """``f(x) = F(x, x)`` with ``F`` nondecreasing in its first and nonincreasing in its second argument."""

    oracle: PairOracle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Difference:
    """``f(x) = rising(x) - falling(x)``, both nondecreasing."""

    rising: Oracle
    falling: Oracle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatedMean:
    r"""The deployed gate over binary variables: each row is served in proportion to the shares of the open columns.

    .. math:: f(x) = \sum_r w_r\, \phi\!\left(\frac{\sum_{j: x_j = 1} a_{rj} v_{rj}}{\sum_{j: x_j = 1} a_{rj}}\right)

    with :math:`\phi` the identity, or the logarithm (a mixture of likelihoods). Adding a column can lower it.

    Attributes
    ----------
    values
        (rows, variables); above 0 with ``mean`` ``log``.
    shares
        (rows, variables) unnormalised shares, at least 0; 0 where a column cannot serve a row. A point that leaves a
        row without any share is infeasible. With ``rule`` ``largest`` the column with the largest share serves the
        whole row (of equal ones the first).
    weights
        (rows,) weights, > 0.
    """

    values: FloatArray
    shares: FloatArray
    weights: FloatArray
    mean: Literal["identity", "log"] = "identity"
    rule: Literal["proportional", "largest"] = "proportional"

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.shares.shape != self.values.shape or len(self.weights) != len(self.values):
            raise ProblemError(
                "objective", expected="values and shares of one shape, a weight per row", found=Plain("others")
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.shares).all() and (self.shares >= 0.0).all()):
            raise ProblemError("objective", expected="finite values, shares of at least 0", found=Plain("others"))
        if not (np.isfinite(self.weights).all() and (self.weights > 0.0).all()):
            raise ProblemError("objective.weights", expected="finite numbers above 0", found=Plain("others"))
        if self.mean == "log" and not (self.values > 0.0).all():
            raise ProblemError("objective.values", expected="numbers above 0 under a logarithm", found=Plain("others"))


Objective = FacilityLocation | Submodular | Monotone | MixedMonotone | Difference | GatedMean


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearRows:
    """``coefficients @ x <= limits``, coefficients of any sign.

    Attributes
    ----------
    coefficients
        (rows, variables).
    limits
        (rows,).
    names
        One name per row, for messages.
    """

    coefficients: FloatArray
    limits: FloatArray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        rows = (len(self.limits),)
        if self.coefficients.ndim != 2 or self.coefficients.shape[:1] != rows or len(self.names) != rows[0]:
            raise ProblemError("linear rows", expected="one limit and one name per row", found=Plain("others"))
        if not (np.isfinite(self.coefficients).all() and np.isfinite(self.limits).all()):
            raise ProblemError("linear rows", expected="finite numbers", found=Plain("others"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MonotoneAtMost:
    """``oracle(x) <= limit`` for a nondecreasing function: every point below a feasible one is feasible."""

    oracle: Oracle
    limit: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MonotoneAtLeast:
    """``oracle(x) >= limit`` for a nondecreasing function: every point above a feasible one is feasible."""

    oracle: Oracle
    limit: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedAtMost:
    """``G(x, x) <= limit`` with ``G`` nondecreasing in its first and nonincreasing in its second argument."""

    oracle: PairOracle
    limit: float
    name: str


Constraint = LinearRows | MonotoneAtMost | MonotoneAtLeast | MixedAtMost


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MonotonicProgram:
    """Maximise ``objective`` over the integer points of a box that satisfy every constraint.

    Attributes
    ----------
    lower, upper
        (variables,) the box, both ends included.
    objective
        One of the classes of this module.
    constraints
        All of them bind.

    Raises
    ------
    ProblemError
        If shapes do not fit, or an objective over binary variables gets others.
    """

    lower: IntArray
    upper: IntArray
    objective: Objective
    constraints: tuple[Constraint, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.lower.ndim != 1 or self.lower.shape != self.upper.shape:
            raise ProblemError("box", expected="two vectors of one length", found=Plain("others"))
        if isinstance(self.objective, FacilityLocation | GatedMean):
            if self.objective.values.shape[1] != len(self.lower):
                raise ProblemError("objective.values", expected="one column per variable", found=Plain("others"))
            if (self.lower < 0).any() or (self.upper > 1).any():
                raise ProblemError("box", expected="binary variables", found=Plain("others"))
        for constraint in self.constraints:
            if isinstance(constraint, LinearRows) and constraint.coefficients.shape[1] != len(self.lower):
                raise ProblemError("linear rows", expected="one coefficient per variable", found=Plain("others"))

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(self.lower)

    @property
    def rows(self) -> LinearRows:
        """All linear rows in one block, in the order of the constraints."""
        blocks = [part for part in self.constraints if isinstance(part, LinearRows)]
        return LinearRows(
            coefficients=np.concatenate([part.coefficients for part in blocks] or [np.zeros((0, self.variables))]),
            limits=np.concatenate([part.limits for part in blocks] or [np.zeros(0)]),
            names=tuple(name for part in blocks for name in part.names),
        )

    @property
    def row_limits(self) -> FloatArray:
        """Limits of :attr:`rows`, each with room for the rounding of its sum: what a point is held to, (rows,)."""
        rows = self.rows
        largest = np.abs(rows.coefficients) @ np.maximum(np.abs(self.lower), np.abs(self.upper)).astype(np.float64)
        relaxed: FloatArray = rows.limits + ROUNDING * (np.abs(rows.limits) + largest)
        return relaxed


def at_most_one(groups: Sequence[Sequence[int]], *, variables: int) -> LinearRows:
    """Return the rows that let at most one binary variable of each group be 1."""
    coefficients = np.zeros((len(groups), variables))
    for i, group in enumerate(groups):
        coefficients[i, list(group)] = 1.0
    return LinearRows(
        coefficients=coefficients, limits=np.ones(len(groups)), names=tuple(f"group {i}" for i in range(len(groups)))
    )


def implies(pairs: Sequence[tuple[int, int]], *, variables: int) -> LinearRows:
    """Return the rows ``x_i <= x_j`` of each pair ``(i, j)`` of binary variables: ``i`` needs ``j``."""
    coefficients = np.zeros((len(pairs), variables))
    for row, (i, j) in enumerate(pairs):
        coefficients[row, i] += 1.0
        coefficients[row, j] -= 1.0
    names = tuple(f"{i} needs {j}" for i, j in pairs)
    return LinearRows(coefficients=coefficients, limits=np.zeros(len(pairs)), names=names)
