"""Oracles that are not what they are declared to be are found out, and nothing is claimed of them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.program import (
    Constraint,
    Difference,
    FloatArray,
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
)
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.testing.monotonic_oracles import CappedSteps, Quadratic, Ratio

COUNT = 6


class Dented:
    """The sum, less 2 where the first three variables are all 1: it falls there."""

    def values(self, points: IntArray) -> FloatArray:
        """Return the value of each row of ``points``."""
        return points.sum(axis=1) - 2.0 * points[:, :3].all(axis=1)


class DentedPair:
    """The same as a pair; falls in its first argument."""

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows."""
        return Dented().values(rising) - falling.sum(axis=1)


class RisingPair:
    """Rises in its second argument too."""

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows."""
        return (rising.sum(axis=1) + falling.sum(axis=1)).astype(np.float64)


class WrongSteps(CappedSteps):
    """Knows its single steps wrongly."""

    def gains(self, point: IntArray) -> FloatArray:
        """Return half of what one more of each variable gains."""
        return CappedSteps.gains(self, point) / 2.0


ONES = np.ones(COUNT)
SUM = Quadratic(np.zeros((COUNT, COUNT)), ONES)
SUPERMODULAR = Quadratic(np.ones((COUNT, COUNT)), ONES)


def program(objective: Objective, *constraints: Constraint) -> MonotonicProgram:
    """Six binary variables, at most four of them 1."""
    few = LinearRows(coefficients=np.ones((1, COUNT)), limits=np.array([4.0]), names=("few",))
    return MonotonicProgram(
        lower=np.zeros(COUNT, np.int64),
        upper=np.ones(COUNT, np.int64),
        objective=objective,
        constraints=(few, *constraints),
    )


def assert_found_out(given: MonotonicProgram, result: SearchResult, where: str, what: str) -> None:
    """No bound is claimed, the witness is an ordered pair of points, the incumbent is feasible."""
    assert result.status is SearchStatus.HEURISTIC
    assert result.bound == math.inf
    assert result.proof is None
    assert result.violation is not None
    assert (result.violation.where, result.violation.what) == (where, what)
    assert (result.violation.smaller <= result.violation.larger).all()
    assert result.violation.amount > 0.0
    assert result.incumbent is not None
    assert result.incumbent.sum() <= 4


@pytest.mark.parametrize(
    ("objective", "where", "what"),
    [
        (Monotone(oracle=Dented()), "objective", "the objective is monotone"),
        (Submodular(oracle=Dented()), "objective", "the objective is monotone"),
        (Submodular(oracle=SUPERMODULAR), "objective", "gains shrink as the point grows"),
        (MixedMonotone(oracle=DentedPair()), "objective", "F rises in its first argument"),
        (MixedMonotone(oracle=RisingPair()), "objective", "F falls in its second argument"),
        (Difference(rising=Dented(), falling=SUM), "objective", "F rises in its first argument"),
        (Difference(rising=SUM, falling=Dented()), "objective", "F falls in its second argument"),
        (
            Submodular(oracle=WrongSteps(np.eye(COUNT), ONES, ONES)),
            "objective",
            "gains agree with values",
        ),
    ],
)
def test_an_objective_of_a_false_class_is_found_out(objective: Objective, where: str, what: str) -> None:
    """The sampled audit meets the violation and says which property fails where."""
    given = program(objective)
    assert_found_out(given, maximise(given, audit_samples=256), where, what)


@pytest.mark.parametrize(
    "constraint",
    [
        MonotoneAtMost(oracle=Dented(), limit=5.0, name="false"),
        MonotoneAtLeast(oracle=Dented(), limit=1.0, name="false"),
        MixedAtMost(oracle=DentedPair(), limit=3.0, name="false"),
        MixedAtMost(oracle=RisingPair(), limit=9.0, name="false"),
    ],
)
def test_a_constraint_of_a_false_class_is_found_out(constraint: Constraint) -> None:
    """The same for constraints, by their name."""
    given = program(Monotone(oracle=SUM), constraint)
    assert_found_out(given, maximise(given, audit_samples=256), "false", "the constraint is monotone")


def test_true_classes_pass_a_long_audit() -> None:
    """Many samples of oracles that are what they say raise no alarm."""
    capped = CappedSteps(np.eye(COUNT), 0.5 * ONES, ONES)
    for objective in (
        Submodular(oracle=capped),
        Monotone(oracle=SUPERMODULAR),
        MixedMonotone(oracle=Ratio(ONES, ONES)),
        Difference(rising=SUPERMODULAR, falling=SUM),
    ):
        given = program(objective, MonotoneAtLeast(oracle=SUM, limit=1.0, name="some"))
        assert maximise(given, audit_samples=2000).status is SearchStatus.OPTIMAL


def test_a_violation_that_the_search_meets_is_found_out_without_samples() -> None:
    """What the search evaluates anyway is compared anyway."""
    given = program(Monotone(oracle=Dented()))
    nowhere = dataclasses.replace(given, lower=np.array([1, 1, 0, 0, 0, 0]), constraints=())
    result = maximise(nowhere, audit_samples=0)
    assert result.status is SearchStatus.HEURISTIC
    assert result.violation is not None
    assert result.bound == math.inf
