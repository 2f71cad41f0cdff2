"""Problems made from outcomes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.errors import ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.imports import problem_from
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Budget, PosteriorMenus, TableMenus
from coinfer.models.problem import read_problem_of
from coinfer.solver.knapsack.solve import solve

LIMIT = (Budget(resource="usd", limit=3.0),)


def _outcomes(labels: bool = True) -> Outcomes:
    successes = np.array([[4, 4], [3, 4], [1, 3], [0, 1]])
    return Outcomes(
        prompts=("p0", "p1", "p2", "p3"),
        arms=("small", "large"),
        successes=successes,
        samples=np.full((4, 2), 4),
        resources=("usd",),
        sample_cost=np.broadcast_to(np.array([0.1, 0.5]), (1, 4, 2)).copy(),
        labels=("easy", "easy", "hard", "hard") if labels else (),
    )


@pytest.mark.parametrize(("per", "strategy"), list(product(("stratum", "prompt"), ("samples", "stop_on_success"))))
def test_a_problem_is_written_read_and_solved(tmp_path: Path, per: str, strategy: str) -> None:
    """Both forms are problem files like others, and have a plan within their budget."""
    problem = problem_from(_outcomes(), name="desk", budgets=LIMIT, per=per, strategy=strategy)  # type: ignore[arg-type]
    path = tmp_path / "desk.json"
    jsonfile.write(path, problem)
    again = read_problem_of(path, BudgetProblem)
    assert jsonfile.sha256(again) == jsonfile.sha256(problem)
    found = solve(formulate(again))
    assert found.taken is not None
    assert found.cost[0] <= 3.0 + 1e-9
    assert {option.strategy for option in problem.options if option.samples} == {strategy}


def test_strata_are_labels_and_numbers_that_were_not_drawn_drop_out() -> None:
    """A row for each label, columns for 1, 2 and 4 samples of each arm and for nothing; no column of 8."""
    problem = problem_from(_outcomes(), name="desk", budgets=LIMIT)
    assert problem.strata.names == ("easy", "hard")
    assert isinstance(problem.menus, TableMenus)
    assert [option.name for option in problem.options] == [
        "nothing",
        "small x 1",
        "small x 2",
        "small x 4",
        "large x 1",
        "large x 2",
        "large x 4",
    ]
    assert problem.menus.cost[0].amount.array[0].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.5, 1.0, 2.0])
    assert problem.information is not None
    assert problem.information.source == "label"
    pooled = problem_from(_outcomes(labels=False), name="desk", budgets=LIMIT)
    assert (pooled.rows, pooled.prompts) == (1, 4)


def test_prompts_know_their_own_past_and_say_so() -> None:
    """A posterior for each prompt: its counts raise it, and the information is its past samples, not charged."""
    problem = problem_from(_outcomes(), name="desk", budgets=LIMIT, per="prompt")
    assert isinstance(problem.menus, PosteriorMenus)
    rate = problem.menus.alpha.array / (problem.menus.alpha.array + problem.menus.beta.array)
    assert (np.diff(rate[:2, 0]) < 0).all()
    assert (np.diff(rate[2:, 0]) < 0).all()
    information = problem.information
    assert information is not None
    assert (information.source, information.charged) == ("history", False)
    assert information.cost[0].amount == pytest.approx(4 * 0.1 + 4 * 0.5)


def test_the_objective_is_passed_on() -> None:
    """Least cost for a value, and the cost of a pass, from the same outcomes."""
    floor = problem_from(_outcomes(), name="desk", objective="cost", minimise="usd", value_floor=0.5)
    assert (floor.objective, floor.value_floor) == ("cost", 0.5)
    found = solve(formulate(floor))
    assert found.taken is not None
    passes = problem_from(_outcomes(), name="desk", objective="cost_of_pass", minimise="usd")
    assert solve(formulate(passes)).taken is not None


def test_what_outcomes_cannot_carry_is_one_sentence() -> None:
    """No resource, no number of samples, an arm whose cost nobody measured, words that mean nothing."""
    outcomes = _outcomes()
    for more in ({"samples": ()}, {"samples": (0,)}, {"strategy": "majority"}, {"per": "label"}, {"samples": (9,)}):
        with pytest.raises(ProblemError):
            problem_from(outcomes, name="desk", **more)  # type: ignore[arg-type]
    cost = outcomes.sample_cost.copy()
    cost[0, :, 1] = np.nan
    with pytest.raises(ProblemError, match="measured on some prompt"):
        problem_from(
            Outcomes(
                prompts=outcomes.prompts,
                arms=outcomes.arms,
                successes=outcomes.successes,
                samples=outcomes.samples,
                resources=("usd",),
                sample_cost=cost,
            ),
            name="desk",
        )
