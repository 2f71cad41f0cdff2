"""The program of a budget problem has the optimum of the problem."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.errors import Infeasible
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import evaluate
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.integer_program import integer_program, taken_of
from coinfer.models.budget.scale import scale
from coinfer.records import Matrix
from coinfer.solver import mip
from coinfer.solver.result import Status
from coinfer.testing.budget import budget_problems, enumerate_optimum, posterior_problems


@given(problem=budget_problems())
@settings(max_examples=120)
def test_the_program_has_the_optimum_of_the_problem(problem: BudgetProblem) -> None:
    """The integer program of the formulation finds what going through all choices of the problem finds."""
    best = enumerate_optimum(problem)
    try:
        scaled = scale(formulate(problem))
    except Infeasible:
        assert best is None
        return
    found = mip.solve(integer_program(scaled.program), engine="highs")
    if best is None:
        assert found.status is Status.INFEASIBLE
        return
    assert found.incumbent is not None
    assert -found.value / scaled.value_factor == pytest.approx(float(best[0]), rel=1e-6, abs=1e-6)
    menus = scaled.program.menus
    decision = BudgetDecision(taken=Matrix(taken_of(found.incumbent, menus.rows, menus.options)))
    evaluation = evaluate(problem, decision)
    assert evaluation.violations == ()
    assert evaluation.objective == pytest.approx(float(best[0]), rel=1e-6, abs=1e-6)


@given(problem=budget_problems())
@settings(max_examples=120)
def test_what_enumeration_allows_is_evaluated_without_a_violation(problem: BudgetProblem) -> None:
    """The best choice of the enumeration keeps every limit and has its objective when evaluated."""
    best = enumerate_optimum(problem)
    if best is None:
        return
    evaluation = evaluate(problem, best[1])
    assert evaluation.violations == ()
    assert evaluation.objective == pytest.approx(float(best[0]), rel=1e-12, abs=1e-12)


@given(problem=budget_problems())
@settings(max_examples=60)
def test_scaled_decimals_are_whole_and_mean_the_same(problem: BudgetProblem) -> None:
    """Where decimals are short, the scaled program is made of whole numbers that are the decimals times the factor."""
    try:
        program = formulate(problem)
    except Infeasible:
        return
    scaled = scale(program)
    own, other = program.menus.block(0, problem.rows), scaled.program.menus.block(0, problem.rows)
    there = own.value > -np.inf
    assert ((other.value > -np.inf) == there).all()
    for number, whole in zip(own.value[there], other.value[there], strict=True):
        assert whole == pytest.approx(number * scaled.value_factor, rel=1e-12)
        if scaled.value_factor > 1.0:
            assert Fraction(str(float(number))) * int(scaled.value_factor) == int(whole)


@given(problem=posterior_problems())
@settings(max_examples=40)
def test_blocks_do_not_depend_on_where_they_are_cut(problem: BudgetProblem) -> None:
    """A row has the same menu whichever rows are asked for with it."""
    menus = formulate(problem).menus
    whole = menus.block(0, problem.rows)
    for row in range(problem.rows):
        single = menus.block(row, row + 1)
        np.testing.assert_array_equal(single.value[0], whole.value[row])
        np.testing.assert_array_equal(single.cost[:, 0], whole.cost[:, row])
