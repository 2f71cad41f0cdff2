"""Recorded prompts arrive one after another, and the caps hold."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import InputError, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.difficulty.menus import stratum_problem
from coinfer.models.budget.difficulty.strata import by_label
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Budget
from coinfer.planner.budget.make import plan
from coinfer.planner.budget.replay import replay


def recorded(seed: int = 0, prompts: int = 400) -> Outcomes:
    """Return outcomes of a cheap and a dear arm on easy and hard prompts."""
    random = np.random.default_rng(seed)
    labels = tuple(random.choice(["easy", "hard"], size=prompts).tolist())
    rate = np.array([[0.5, 0.8] if label == "easy" else [0.05, 0.3] for label in labels])
    samples = np.full((prompts, 2), 20)
    cost = np.array([0.01, 0.1]) * random.uniform(0.7, 1.3, size=(prompts, 1))
    return Outcomes(
        prompts=tuple(f"prompt {i}" for i in range(prompts)),
        arms=("small", "large"),
        successes=random.binomial(samples, rate),
        samples=samples,
        resources=("usd",),
        sample_cost=cost[None],
        labels=labels,
    )


def problem_of(outcomes: Outcomes, limit: float) -> BudgetProblem:
    budget = Budget(resource="usd", limit=limit)
    return stratum_problem(outcomes, by_label(outcomes), [1, 2, 4, 8], name="recorded", budgets=(budget,))


@pytest.mark.parametrize("limit", [2.0, 20.0, 100.0])
def test_caps_are_kept_and_most_of_them_is_spent(limit: float) -> None:
    """Whatever the limit, no cap is passed, and the value reached is about what the plan expects."""
    outcomes = recorded()
    problem = problem_of(outcomes, limit)
    made = replay(problem, outcomes)
    expected = plan(problem)
    assert made.spent[0] <= made.caps[0]
    assert made.caps[0] == pytest.approx(limit)
    assert made.spent[0] >= 0.9 * min(limit, expected.spend[0].expected)
    assert made.value == pytest.approx(expected.mean_value, abs=0.04)
    assert (made.passed, made.notes) == ((0.0,), ())
    assert made.prompts + made.refused == 400
    assert sum(made.used) == made.prompts


def test_half_of_the_prompts_have_half_of_the_budget() -> None:
    """The caps are the share of the prompts that are replayed."""
    outcomes = recorded()
    problem = problem_of(outcomes, 20.0)
    half = replay(problem, outcomes.only(np.arange(200)))
    assert half.caps[0] == pytest.approx(10.0)
    assert half.spent[0] <= 10.0


def test_the_same_seed_gives_the_same_run() -> None:
    """A replay is repeatable, and another seed is another run."""
    outcomes = recorded()
    problem = problem_of(outcomes, 20.0)
    assert replay(problem, outcomes, seed=3) == replay(problem, outcomes, seed=3)
    assert replay(problem, outcomes, seed=3) != replay(problem, outcomes, seed=4)


def test_prompts_of_no_stratum_are_left_out() -> None:
    """A label that the problem does not have leaves a prompt out; nothing but such prompts is an error."""
    outcomes = recorded()
    easy = np.array([i for i, label in enumerate(outcomes.labels) if label == "easy"])
    problem = problem_of(outcomes.only(easy), 10.0)
    made = replay(problem, outcomes)
    assert made.left_out == 400 - len(easy)
    hard = np.setdiff1d(np.arange(400), easy)
    other = Outcomes(
        prompts=tuple(f"other {i}" for i in range(len(hard))),
        arms=outcomes.arms,
        successes=outcomes.successes[hard],
        samples=outcomes.samples[hard],
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost[:, hard],
        labels=tuple("unknown" for _ in hard),
    )
    two = problem_of(outcomes, 10.0)
    with pytest.raises(ProblemError, match="none of them"):
        replay(two, other)


def test_only_what_was_recorded_is_given() -> None:
    """Options of arms that the records lack are never given; without any, the sentence names the arms there are."""
    outcomes = recorded()
    problem = problem_of(outcomes, 50.0)
    small = Outcomes(
        prompts=outcomes.prompts,
        arms=("small",),
        successes=outcomes.successes[:, :1],
        samples=outcomes.samples[:, :1],
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost[:, :, :1],
        labels=outcomes.labels,
    )
    made = replay(problem, small)
    given = [problem.options[i].name for i, used in enumerate(made.used) if used]
    assert given
    assert all("large" not in name for name in given)


def test_nothing_to_replay_is_an_error() -> None:
    """Records of other arms alone are refused, not answered with nothing; so is a seed below 0."""
    outcomes = recorded()
    problem = problem_of(outcomes, 50.0)
    other = Outcomes(
        prompts=outcomes.prompts,
        arms=("unknown", "foreign"),
        successes=outcomes.successes,
        samples=outcomes.samples,
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost,
        labels=outcomes.labels,
    )
    with pytest.raises(ProblemError, match="unknown, foreign"):
        replay(problem, other)
    with pytest.raises(InputError, match="seed"):
        replay(problem, outcomes, seed=-1)
