"""Stronger classes as weaker ones: the same function, the same optimum."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.solver.monotonic.audit import chains
from coinfer.solver.monotonic.maximise import maximise_general
from coinfer.solver.monotonic.program import FacilityLocation, GatedMean
from coinfer.solver.monotonic.result import SearchStatus
from coinfer.solver.monotonic.weaken import BestColumns, GatePair, ObjectiveClass, as_class, values_only, weakened
from coinfer.testing.monotonic import KINDS, Kind, enumerated, program_from_seed

CLASSES: tuple[ObjectiveClass, ...] = get_args(ObjectiveClass)
STRONGER = {"facility": 0, "submodular": 0, "steps": 0, "monotone": 1, "difference": 2, "gate": 3, "mixed": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_every_weaker_class_gives_the_same_optimum(kind: Kind) -> None:
    """A program weakened to any class that is not stronger keeps its optimum, and its infeasibility."""
    solved = 0
    for seed in range(600, 620):
        program = program_from_seed(seed, kind, max_variables=5)
        truth = enumerated(program).optimum
        for target in CLASSES[STRONGER[kind] :]:
            result = maximise_general(weakened(program, target))
            assert result.status in {SearchStatus.OPTIMAL, SearchStatus.INFEASIBLE}
            assert result.value == pytest.approx(truth, rel=1e-8, abs=1e-8)
            assert result.bound == pytest.approx(truth, rel=1e-8, abs=1e-8)
            solved += result.incumbent is not None
    assert solved > 5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if STRONGER[kind] > 0])
def test_a_stronger_class_is_refused(kind: Kind) -> None:
    """A monotone function does not become submodular by saying so."""
    objective = program_from_seed(1, kind).objective
    with pytest.raises(InputError, match="expected a class as strong as submodular"):
        as_class(objective, "submodular")


def test_best_columns_are_the_facility_location() -> None:
    """Where every row has a column, the oracle gives the defined value; everywhere it rises and its gains shrink."""
    for seed in range(60):
        program = program_from_seed(seed, "facility", max_variables=6, linear_only=True)
        assert isinstance(program.objective, FacilityLocation)
        oracle, truth = BestColumns(program.objective), enumerated(program)
        values = oracle.values(truth.points)
        assert values[truth.feasible] == pytest.approx(truth.values[truth.feasible])
        low, high = chains(program.lower, program.upper, count=60, seed=seed)
        for x, y in zip(low, high, strict=True):
            assert oracle.values(x[None, :])[0] <= oracle.values(y[None, :])[0] + 1e-9
            outside = y < 1
            assert (oracle.gains(x)[outside] >= oracle.gains(y)[outside] - 1e-9).all()


def test_single_steps_are_differences_of_values() -> None:
    """Gains and losses from the two best columns are what values say."""
    for seed in range(60):
        program = program_from_seed(seed, "facility", max_variables=7, linear_only=True)
        assert isinstance(program.objective, FacilityLocation)
        oracle = BestColumns(program.objective)
        slow = values_only(oracle)
        steps = np.eye(program.variables, dtype=np.int64)
        for point in np.random.default_rng(seed).integers(0, 2, (5, program.variables)):
            here = slow.values(point[None, :])[0]
            gains, losses = oracle.gains(point), oracle.losses(point)
            assert gains[point == 0] == pytest.approx((slow.values(point + steps) - here)[point == 0])
            assert losses[point == 1] == pytest.approx((here - slow.values(point - steps))[point == 1])


def test_the_pair_of_a_gate_is_the_gate_and_mixed_monotone() -> None:
    """On the diagonal the pair is the gate; off it, it rises in its first and falls in its second argument."""
    for seed in range(80):
        program = program_from_seed(seed, "gate", max_variables=6, linear_only=True)
        assert isinstance(program.objective, GatedMean)
        pair, truth = GatePair(program.objective), enumerated(program)
        diagonal = pair.values(truth.points, truth.points)
        assert diagonal[truth.feasible] == pytest.approx(truth.values[truth.feasible])
        low, high = chains(program.lower, program.upper, count=60, seed=seed)
        other = np.roll(high, 1, axis=0)
        assert (pair.values(low, other) <= pair.values(high, other) + 1e-9).all()
        assert (pair.values(other, low) >= pair.values(other, high) - 1e-9).all()
