"""Claims by refitting: intervals as wide as the claims err, after the plan picked what looked best."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.models.budget.calibration.claim import claim
from coinfer.models.budget.calibration.refit import claim_by_refitting
from coinfer.models.budget.calibration.update import empirical_posteriors
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Arm, Option, PosteriorMenus
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray, IntArray

PROMPTS, ARMS, SAMPLES = 50, 4, 12


def drawn_of(rates: FloatArray, samples: int, random: np.random.Generator) -> Outcomes:
    """Draw samples of every cell."""
    return Outcomes(
        prompts=tuple(str(i) for i in range(len(rates))),
        arms=tuple(str(i) for i in range(rates.shape[1])),
        successes=random.binomial(samples, rates).astype(np.int64),
        samples=np.full(rates.shape, samples, dtype=np.int64),
        resources=("usd",),
        sample_cost=np.ones((1, *rates.shape)),
    )


def picked(outcomes: Outcomes, draws: int) -> tuple[BudgetProblem, BudgetDecision, IntArray]:
    """Return the problem of some samples of one arm, and the arm of each prompt with the highest posterior mean."""
    found = empirical_posteriors(outcomes)
    arms = tuple(Arm(name=name, per_sample=(Amount(resource="usd", amount=1.0),)) for name in outcomes.arms)
    problem = BudgetProblem(
        name="drawn",
        options=tuple(Option(name=name, strategy="samples", arm=name, samples=draws) for name in outcomes.arms),
        menus=PosteriorMenus(arms=arms, alpha=found.alpha, beta=found.beta),
    )
    arm: IntArray = (found.alpha.array / (found.alpha.array + found.beta.array)).argmax(axis=1)
    rows = np.arange(len(arm))
    taken = np.stack([rows, arm, np.ones(len(arm))], axis=1).astype(np.float64)
    return problem, BudgetDecision(taken=Matrix(taken)), arm


@pytest.mark.parametrize(("shape", "draws"), [("humps", 1), ("spread", 3)])
def test_intervals_hold_what_is_reached_and_are_no_wider_than_claims_err(shape: str, draws: int) -> None:
    """Over 30 draws: most intervals hold the value measured on other samples, and their errors have their size."""
    random, inside, score = np.random.default_rng(0), [], []
    for seed in range(30):
        difficulty, cells = random.normal(size=(PROMPTS, 1)), (PROMPTS, ARMS)
        rates = 1.0 / (1.0 + np.exp(2.0 - 1.5 * difficulty - 0.7 * random.normal(size=cells)))
        if shape == "humps":
            solves = random.random(cells) < 1.0 / (1.0 + np.exp(0.8 - 1.5 * difficulty))
            rates = np.where(solves, random.beta(8.0, 0.3, cells), random.beta(0.3, 8.0, cells))
        outcomes, scored_on = drawn_of(rates, SAMPLES, random), 6 if draws == 1 else None
        problem, decision, arm = picked(outcomes, draws)
        made = claim_by_refitting(outcomes, problem, decision, scored_on=scored_on, repeats=8, seed=seed)
        true = rates[np.arange(PROMPTS), arm]
        worth = 1.0 - (1.0 - true) ** draws if scored_on is None else random.binomial(scored_on, true) / scored_on
        inside.append(made.low <= worth.mean() <= made.high)
        score.append((made.value - worth.mean()) / ((made.high - made.value) / 1.96))
    assert 0.86 <= np.mean(inside) <= 1.0
    assert 0.75 <= np.sqrt(np.mean(np.square(score))) <= 1.3


def test_the_error_of_the_fit_widens_intervals_where_few_prompts_are_known() -> None:
    """The refitted interval is the wider one with 25 prompts of few samples; with many samples both are alike."""
    random = np.random.default_rng(1)
    ratio = []
    for samples in (4, 400):
        rates = 1.0 / (1.0 + np.exp(2.0 - 1.5 * random.normal(size=(25, 1)) - 0.7 * random.normal(size=(25, ARMS))))
        outcomes = drawn_of(rates, samples, random)
        problem, decision, _ = picked(outcomes, 4)
        plain, wide = claim(problem, decision), claim_by_refitting(outcomes, problem, decision)
        assert plain is not None
        ratio.append((wide.high - wide.low) / (plain.high - plain.low))
    assert ratio[0] > 1.15
    assert ratio[1] == pytest.approx(1.0, abs=0.12)


def test_cells_of_very_many_samples_err_as_little_as_they_tell() -> None:
    """With 100,000 samples a claim is within a few of their standard errors, and its interval is no wider than that."""
    random = np.random.default_rng(2)
    rates = random.uniform(0.2, 0.8, (40, 2))
    outcomes = drawn_of(rates, 100_000, random)
    problem, decision, arm = picked(outcomes, 1)
    made = claim_by_refitting(outcomes, problem, decision, repeats=4)
    true = rates[np.arange(40), arm]
    error = float(np.sqrt((true * (1.0 - true) / 100_000).sum())) / 40
    assert abs(made.value - true.mean()) < 6.0 * error
    assert made.high - made.value < 2.5 * error


def test_claims_need_outcomes_of_every_stratum_and_options_of_their_arms() -> None:
    """Outcomes of fewer prompts, a single refit, and an option whose arm was not measured are refused."""
    random = np.random.default_rng(3)
    outcomes = drawn_of(np.full((6, 2), 0.5), 5, random)
    problem, decision, _ = picked(outcomes, 1)
    for wrong, repeats in ((outcomes.only(np.arange(5)), 4), (outcomes, 1)):
        with pytest.raises(InputError):
            claim_by_refitting(wrong, problem, decision, repeats=repeats)
    other = Outcomes(
        prompts=outcomes.prompts,
        arms=("x", "y"),
        successes=outcomes.successes,
        samples=outcomes.samples,
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost,
    )
    with pytest.raises(InputError):
        claim_by_refitting(other, problem, decision)
