"""Configuration levels as integer variables, against the binary statement and enumeration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coinfer.errors import ProblemError
from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.imports import EnergyOptions, ImportOptions, import_ml_energy
from coinfer.models.selection.levels import _Levels, leveled_program
from coinfer.models.selection.monotonic import monotonic_program, why_not_monotonic
from coinfer.planner.bound import scale_of
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.result import SearchStatus
from coinfer.testing.enumeration import enumerate_optimum
from coinfer.testing.selection import selection_problems

EXAMPLES = Path(__file__).parents[3] / "examples" / "problems"


@settings(max_examples=200)
@given(problem=selection_problems(max_experts=5))
def test_levels_and_experts_have_one_optimum(problem: Problem) -> None:
    """One integer for each model finds what one binary for each configuration, and enumeration, find."""
    assume(why_not_monotonic(problem) is None)
    truth = enumerate_optimum(problem)
    leveled = leveled_program(problem)
    found = maximise(leveled.program)
    if truth is None:
        assert found.status is SearchStatus.INFEASIBLE
        return
    assert found.status is SearchStatus.OPTIMAL
    assert found.incumbent is not None
    assert found.proof is not None
    near = 1e-7 * scale_of(problem)
    assert found.value == pytest.approx(truth, abs=near)
    decision = decode_selection(problem, leveled.selected(found.incumbent))
    evaluation = evaluate(problem, decision)
    assert not evaluation.violations
    assert evaluation.value == pytest.approx(truth, abs=near)
    assert check_boxes(leveled.program, found.proof).bound >= truth - near


@given(
    numbers=st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=6),
    corners=st.tuples(*[st.integers(0, 5)] * 4),
)
def test_any_numbers_of_levels_are_mixed_monotone(numbers: list[float], corners: tuple[int, int, int, int]) -> None:
    """Whatever the levels are worth, the function rises in its first argument, falls in its second, and is exact."""
    levels = _Levels([np.array(numbers)[:, None]])
    x, x_up, y, y_up = (min(level, len(numbers) - 1) for level in corners)
    x, x_up, y, y_up = min(x, x_up), max(x, x_up), min(y, y_up), max(y, y_up)

    def at(first: int, second: int) -> float:
        return float(levels.between(np.array([first]), np.array([second]))[0][0])

    assert at(x, y) <= at(x_up, y)
    assert at(x, y) >= at(x, y_up)
    assert at(x, x) == numbers[x]


def test_measured_energy_is_not_monotone_in_the_level(shared_data: Path) -> None:
    """Four models of the ML.ENERGY leaderboard, five levels each: both statements prove the same least energy."""
    path = shared_data / "ml_energy_lm_arena_chat.json"
    names = ("Llama 3.1 8B Instruct", "Qwen 3 8B", "Gemma 3 12B", "Qwen 3 14B")
    problem = import_ml_energy([path], ImportOptions(), EnergyOptions(serve=names, itl_s=0.1, levels=5)).problem
    leveled = leveled_program(problem)
    assert leveled.program.variables == 4
    assert [len(names) for names in leveled.levels] == [5] * 4
    joules = [
        [next(iter((e.energy_j or {}).values())) for e in problem.experts if e.name in level]
        for level in leveled.levels
    ]
    assert any(row != sorted(row) and row != sorted(row, reverse=True) for row in joules)
    by_level, by_expert = maximise(leveled.program), maximise(monotonic_program(problem))
    assert by_level.status is by_expert.status is SearchStatus.OPTIMAL
    assert by_level.value == pytest.approx(by_expert.value)


def test_a_deployed_gate_has_no_levels() -> None:
    """What cannot be stated is refused in a sentence."""
    with pytest.raises(ProblemError, match="'oracle' or 'category' for levels"):
        leveled_program(read_problem(EXAMPLES / "deployed_gate_softmax.json"))
