"""Value against cost, as points for a chart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coinfer.errors import ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.economics.frontier import POOLED, pooled_frontier, problem_frontiers, stratum_frontiers
from coinfer.models.budget.formulate import menu_block
from coinfer.testing.budget import budget_problems

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=5)


@given(SHAPES.flatmap(lambda shape: st.tuples(*[hnp.arrays(np.float64, shape, elements=st.integers(0, 9))] * 3)))
def test_no_option_and_no_mixture_lies_above_the_hull(menus: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Every option that counts lies on or below the line through the corners; corners are options, rising, concave."""
    value, cost, draw = menus
    present = draw > 2
    present[:, 0] = True
    points = stratum_frontiers(value, cost, present=present)
    for row in range(len(value)):
        own = points.of(row)
        assert present[row, own.option].all()
        assert (own.cost == cost[row, own.option]).all()
        assert (own.value == value[row, own.option]).all()
        assert (np.diff(own.cost) > 0).all()
        assert (np.diff(own.value) > 0).all()
        slopes = np.diff(own.value) / np.diff(own.cost)
        assert (np.diff(slopes) < 1e-9).all()
        here = np.flatnonzero(present[row])
        assert own.cost[0] == cost[row, here].min()
        assert own.value[-1] == value[row, here].max()
        assert (value[row, here] <= np.interp(cost[row, here], own.cost, own.value) + 1e-9).all()


def test_who_holds_each_corner_of_a_known_menu() -> None:
    """Dominated options, those under a chord, and those that are not measured hold nothing."""
    value = np.array([[0.0, 0.5, 0.55, 0.4, 0.9, np.nan]])
    cost = np.array([[0.0, 1.0, 2.0, 3.0, 3.0, 0.1]])
    points = stratum_frontiers(value, cost)
    assert points.option.tolist() == [0, 1, 4]
    with pytest.raises(ProblemError, match="at least one option"):
        stratum_frontiers(value, cost, present=np.zeros((1, 6), dtype=np.bool_))


def test_a_fixed_choice_is_the_mean_over_prompts_and_must_be_everywhere() -> None:
    """An option that a stratum does not have is no fixed choice; the others are weighted by prompts."""
    value = np.array([[0.0, 0.8, 1.0], [0.0, 0.4, np.nan]])
    cost = np.array([[0.0, 1.0, 1.0], [0.0, 3.0, 1.0]])
    points = pooled_frontier(value, cost, prompts=[3, 1])
    assert points.option.tolist() == [0, 1]
    assert points.cost == pytest.approx([0.0, 1.5])
    assert points.value == pytest.approx([0.0, 0.7])
    assert (points.stratum == POOLED).all()


@given(budget_problems())
def test_the_frontiers_of_a_problem_are_those_of_its_menus(problem: BudgetProblem) -> None:
    """Blocks, absent options and late ones are handled as the planner does; a stratum without an option is an error."""
    block = menu_block(problem, 0, problem.rows)
    resource = problem.resources[-1]
    if not block.present.any(axis=1).all() or not block.present.all(axis=0).any():
        with pytest.raises(ProblemError):
            problem_frontiers(problem, resource)
        return
    each, fixed = problem_frontiers(problem, resource)
    assert set(each.stratum.tolist()) == set(range(problem.rows))
    assert block.present[each.stratum, each.option].all()
    assert block.present[:, fixed.option].all()
    mean = block.copies @ block.value[:, fixed.option] / problem.prompts
    assert fixed.value == pytest.approx(mean)
    with pytest.raises(ProblemError, match="a resource"):
        problem_frontiers(problem, "no such thing")
