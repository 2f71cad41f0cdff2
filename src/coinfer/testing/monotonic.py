"""Monotonic programs small enough to enumerate, of every class: drawn by Hypothesis, or fast from a seed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.solver.monotonic.program import (
    ROUNDING,
    Constraint,
    Difference,
    FacilityLocation,
    FloatArray,
    GatedMean,
    IntArray,
    LinearRows,
    MixedAtMost,
    MixedMonotone,
    Monotone,
    MonotoneAtLeast,
    MonotoneAtMost,
    MonotonicProgram,
    Objective,
    Submodular,
    at_most_one,
    implies,
)
from coinfer.testing.monotonic_oracles import Capped, CappedSteps, Quadratic, Ratio

Kind = Literal["facility", "gate", "submodular", "steps", "monotone", "mixed", "difference"]
KINDS: tuple[Kind, ...] = ("facility", "gate", "submodular", "steps", "monotone", "mixed", "difference")


def program_from_seed(
    seed: int, kind: Kind, *, max_variables: int = 8, max_levels: int = 4, linear_only: bool = False
) -> MonotonicProgram:
    """Return a random program: whole numbers (and so ties, and rows met exactly) in half of them.

    Parameters
    ----------
    seed
        The same seed gives the same program.
    kind
        Class of the objective; ``steps`` is a submodular one that knows single steps.
    max_variables, max_levels
        Most variables, and most levels of one (two for the classes over binary variables).
    linear_only
        Whether all constraints are linear rows.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    count = int(rng.integers(1, max_variables + 1))
    whole = bool(rng.random() < 0.5)
    binary = kind in {"facility", "gate"} or rng.random() < 0.4
    lower = (rng.random(count) < 0.1).astype(np.int64) if binary else rng.integers(0, 2, count)
    upper = np.ones(count, np.int64) if binary else lower + rng.integers(0, max_levels, count)
    objective = _objective(rng, kind, count, whole=whole)
    parts: list[Constraint] = []
    if rng.random() < 0.85:
        parts.append(_rows(rng, lower, upper, whole=whole))
    if binary and count >= 3 and rng.random() < 0.3:
        chosen = rng.permutation(count)
        parts.append(implies([(int(chosen[0]), int(chosen[1]))], variables=count))
        parts.append(at_most_one([chosen[: int(rng.integers(2, 4))].tolist()], variables=count))
    if not linear_only:
        parts += _oracle_constraints(rng, lower, upper, whole=whole)
    order = rng.permutation(len(parts))
    return MonotonicProgram(lower=lower, upper=upper, objective=objective, constraints=tuple(parts[i] for i in order))


def monotonic_programs(
    kind: Kind, *, max_variables: int = 6, max_levels: int = 4
) -> st.SearchStrategy[MonotonicProgram]:
    """Draw a program of a class; it shrinks towards few variables."""

    def build(seed: int, variables: int) -> MonotonicProgram:
        return program_from_seed(seed, kind, max_variables=variables, max_levels=max_levels)

    return st.builds(build, st.integers(0, 2**32 - 1), st.integers(1, max_variables))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Enumerated:
    """All of a program.

    Attributes
    ----------
    points
        (count, variables) every point of the box.
    values, feasible
        (count,) the objective (anything where it is not defined), and whether everything is kept.
    """

    points: IntArray
    values: FloatArray
    feasible: NDArray[np.bool_]

    @property
    def optimum(self) -> float:
        """The largest value of a feasible point; ``-inf`` without one."""
        return float(self.values[self.feasible].max(initial=-math.inf))

    def at(self, point: IntArray) -> tuple[float, bool]:
        """Return value and feasibility of a point of the box."""
        i = int(np.flatnonzero((self.points == point).all(axis=1))[0])
        return float(self.values[i]), bool(self.feasible[i])


def enumerated(program: MonotonicProgram) -> Enumerated:
    """Look at every point, by the definition of the classes alone."""
    levels = [range(low, high + 1) for low, high in zip(program.lower, program.upper, strict=True)]
    points = np.array(list(itertools.product(*levels)), dtype=np.int64).reshape(-1, program.variables)
    feasible: NDArray[np.bool_] = np.asarray((points @ program.rows.coefficients.T <= program.row_limits).all(axis=1))
    for part in program.constraints:
        if isinstance(part, LinearRows):
            continue
        slack = ROUNDING * max(1.0, abs(part.limit))
        if isinstance(part, MixedAtMost):
            feasible &= part.oracle.values(points, points) <= part.limit + slack
        elif isinstance(part, MonotoneAtMost):
            feasible &= part.oracle.values(points) <= part.limit + slack
        else:
            feasible &= part.oracle.values(points) >= part.limit - slack
    match program.objective:
        case Submodular(oracle=oracle) | Monotone(oracle=oracle):
            values = oracle.values(points)
        case MixedMonotone(oracle=pair):
            values = pair.values(points, points)
        case Difference(rising=rising, falling=falling):
            values = rising.values(points) - falling.values(points)
        case FacilityLocation() | GatedMean() as objective:
            found = [_of_columns(objective, point) for point in points]
            values = np.array([value for value, _ in found])
            feasible &= np.array([defined for _, defined in found])
    return Enumerated(points=points, values=values, feasible=feasible)


def _of_columns(objective: FacilityLocation | GatedMean, point: IntArray) -> tuple[float, bool]:
    """Return the objective at a point, and whether it is defined there."""
    opened = np.flatnonzero(point)
    total = 0.0
    for r, weight in enumerate(objective.weights):
        values = objective.values[r, opened]
        if isinstance(objective, FacilityLocation):
            if not np.isfinite(values).any():
                return 0.0, False
            total += weight * values.max()
            continue
        shares = objective.shares[r, opened]
        if not shares.any():
            return 0.0, False
        largest = objective.rule == "largest"
        mean = values[int(np.argmax(shares))] if largest else (shares @ values) / shares.sum()
        total += weight * (math.log(mean) if objective.mean == "log" else mean)
    return float(total), True


def _numbers(rng: np.random.Generator, shape: tuple[int, ...], most: int, *, whole: bool) -> FloatArray:
    return rng.integers(0, most + 1, shape).astype(np.float64) if whole else rng.random(shape) * most


def _objective(rng: np.random.Generator, kind: Kind, count: int, *, whole: bool) -> Objective:
    rows = int(rng.integers(1, 7))
    values = _numbers(rng, (rows, count), 4, whole=whole) - float(rng.integers(0, 3))
    weights = 0.25 + _numbers(rng, (rows,), 2, whole=whole)
    if kind == "facility":
        closed = rng.random((rows, count)) < rng.choice([0.0, 0.3])
        return FacilityLocation(values=np.where(closed, -np.inf, values), weights=weights)
    if kind == "gate":
        mean: Literal["identity", "log"] = "log" if rng.random() < 0.5 else "identity"
        return GatedMean(
            values=np.abs(values) + 0.1 if mean == "log" else values,
            shares=_numbers(rng, (rows, count), 3, whole=whole) * (rng.random((rows, count)) < 0.8),
            weights=weights,
            mean=mean,
            rule="largest" if rng.random() < 0.3 else "proportional",
        )
    if kind in {"submodular", "steps"}:
        return Submodular(oracle=_capped(rng, rows, count, whole=whole, steps=kind == "steps"))
    if kind == "monotone":
        return Monotone(oracle=_quadratic(rng, count, whole=whole))
    if kind == "mixed":
        rates = _numbers(rng, (2, count), 3, whole=whole)
        return MixedMonotone(oracle=Ratio(rates[0], rates[1]))
    return Difference(
        rising=_capped(rng, rows, count, whole=whole, steps=False), falling=_quadratic(rng, count, whole=whole)
    )


def _capped(rng: np.random.Generator, rows: int, count: int, *, whole: bool, steps: bool) -> Capped:
    rates = _numbers(rng, (rows, count), 3, whole=whole)
    caps = _numbers(rng, (rows,), 8, whole=whole)
    weights = _numbers(rng, (rows,), 2, whole=whole)
    return (CappedSteps if steps else Capped)(rates, caps, weights)


def _quadratic(rng: np.random.Generator, count: int, *, whole: bool) -> Quadratic:
    matrix = np.where(rng.random((count, count)) < 0.4, _numbers(rng, (count, count), 2, whole=whole), 0.0)
    return Quadratic(matrix, _numbers(rng, (count,), 3, whole=whole))


def _rows(rng: np.random.Generator, lower: IntArray, upper: IntArray, *, whole: bool) -> LinearRows:
    """Return up to three rows, some of them with negative numbers, some that cannot hold."""
    rows = int(rng.integers(1, 4))
    coefficients = _numbers(rng, (rows, len(lower)), 5, whole=whole)
    negative = rng.random(rows) < 0.25
    coefficients[negative] -= 2.0
    least = np.maximum(coefficients, 0.0) @ lower + np.minimum(coefficients, 0.0) @ upper
    most = np.maximum(coefficients, 0.0) @ upper + np.minimum(coefficients, 0.0) @ lower
    limits = least + (most - least) * rng.uniform(-0.05, 0.8, rows)
    return LinearRows(
        coefficients=coefficients,
        limits=np.round(limits) if whole else limits,
        names=tuple(f"row {i}" for i in range(rows)),
    )


def _oracle_constraints(rng: np.random.Generator, lower: IntArray, upper: IntArray, *, whole: bool) -> list[Constraint]:
    """Return some of the three kinds of oracle constraints, with limits between their values at the corners."""
    parts: list[Constraint] = []
    corners = np.stack([lower, upper])
    count = len(lower)

    def between(ends: FloatArray, low: float, high: float) -> float:
        limit = float(ends[0] + (ends[1] - ends[0]) * rng.uniform(low, high))
        return round(limit) if whole else limit

    if rng.random() < 0.3:
        most = _quadratic(rng, count, whole=whole)
        parts.append(MonotoneAtMost(oracle=most, limit=between(most.values(corners), 0.1, 1.0), name="at most"))
    if rng.random() < 0.3:
        least = _capped(rng, 2, count, whole=whole, steps=False)
        parts.append(MonotoneAtLeast(oracle=least, limit=between(least.values(corners), 0.0, 0.9), name="at least"))
    if rng.random() < 0.3:
        rates = _numbers(rng, (2, count), 3, whole=whole)
        ratio = Ratio(rates[0], rates[1])
        limit = float(rng.uniform(0.3, 2.0))
        parts.append(MixedAtMost(oracle=ratio, limit=limit, name="ratio"))
    return parts
