"""Claims: free of the winner's curse, with intervals that cover."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.models.budget.calibration.claim import claim
from coinfer.models.budget.calibration.crossfit import claim_by_cross_fitting, sample_folds
from coinfer.models.budget.calibration.refit import claim_by_refitting
from coinfer.models.budget.calibration.update import empirical_posteriors
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Arm, Cost, Option, PosteriorMenus, Refit, Strata, TableMenus
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray, IntArray

ARMS = 6


def outcomes_of(rates: FloatArray, samples: int, random: np.random.Generator) -> Outcomes:
    """Draw samples of every cell."""
    right = random.binomial(samples, rates)
    return Outcomes(
        prompts=tuple(str(i) for i in range(len(rates))),
        arms=tuple(f"arm {i}" for i in range(rates.shape[1])),
        successes=right.astype(np.int64),
        samples=np.full(rates.shape, samples, dtype=np.int64),
        resources=("usd",),
        sample_cost=np.ones((1, *rates.shape)),
    )


def rates_of(prompts: int, random: np.random.Generator) -> FloatArray:
    """Draw rates that share a difficulty."""
    logit = -2.0 + 1.5 * random.normal(size=(prompts, 1)) + 0.7 * random.normal(size=(prompts, ARMS))
    rates: FloatArray = 1.0 / (1.0 + np.exp(-logit))
    return rates


def posterior_problem(outcomes: Outcomes) -> BudgetProblem:
    """Return the problem of one option of three samples for each arm."""
    posteriors = empirical_posteriors(outcomes)
    arms = tuple(Arm(name=name, per_sample=(Amount(resource="usd", amount=1.0),)) for name in outcomes.arms)
    return BudgetProblem(
        name="drawn",
        options=tuple(Option(name=name, strategy="samples", arm=name, samples=3) for name in outcomes.arms),
        menus=PosteriorMenus(arms=arms, alpha=posteriors.alpha, beta=posteriors.beta),
    )


def decision_of(arm: IntArray) -> BudgetDecision:
    """Return the decision of one arm for each prompt."""
    return BudgetDecision(taken=Matrix(np.stack([np.arange(len(arm)), arm, np.ones(len(arm))], axis=1)))


def coverage(rates: FloatArray, arm: IntArray) -> float:
    """Return the true mean value of three samples of the arms picked."""
    return float((1.0 - (1.0 - rates[np.arange(len(arm)), arm]) ** 3).mean())


def test_posterior_claims_cover_and_the_plug_in_does_not() -> None:
    """Picking the luckiest of six arms: claims hold in most of 24 draws, with little of the plug-in's optimism."""
    random = np.random.default_rng(0)
    inside, bias, optimism = [], [], []
    for _ in range(24):
        rates = rates_of(80, random)
        outcomes = outcomes_of(rates, 10, random)
        problem = posterior_problem(outcomes)
        assert isinstance(problem.menus, PosteriorMenus)
        alpha, beta = problem.menus.alpha.array, problem.menus.beta.array
        arm = (alpha / (alpha + beta)).argmax(axis=1)
        made = claim(problem, decision_of(arm))
        assert made is not None
        truth = coverage(rates, arm)
        inside.append(made.low <= truth <= made.high)
        bias.append(made.value - truth)
        optimism.append(coverage(outcomes.successes / outcomes.samples, arm) - truth)
    assert np.mean(inside) >= 0.7
    assert abs(np.mean(bias)) < 0.35 * np.mean(optimism)
    assert np.mean(optimism) > 0.04


def test_refitted_claims_are_wider_and_centred_alike() -> None:
    """Allowing for the error of the fit widens the interval and hardly moves the claim."""
    random = np.random.default_rng(1)
    outcomes = outcomes_of(rates_of(60, random), 20, random)
    problem = posterior_problem(outcomes)
    decision = decision_of(np.zeros(60, dtype=np.int64))
    plain, wide = claim(problem, decision), claim_by_refitting(outcomes, problem, decision, repeats=8)
    assert plain is not None
    assert wide.high - wide.low > 0.97 * (plain.high - plain.low)
    assert wide.value == pytest.approx(plain.value, abs=0.01)
    scored = claim_by_refitting(outcomes, problem, decision, repeats=8, scored_on=3)
    assert scored.high - scored.low > wide.high - wide.low


def test_table_claims_cover_after_picking_the_best() -> None:
    """Values with known errors, the best of eight picked in each stratum: shrunk claims cover, plug-in does not."""
    random = np.random.default_rng(2)
    inside, plugged = [], []
    for _ in range(80):
        truth = np.clip(0.5 + 0.05 * random.normal(size=(60, 8)), 0.0, 1.0)
        error = random.uniform(0.03, 0.12, truth.shape)
        seen = np.maximum(truth + error * random.normal(size=truth.shape), 0.0)
        arm = seen.argmax(axis=1)
        problem = BudgetProblem(
            name="drawn",
            options=tuple(Option(name=str(i)) for i in range(8)),
            menus=TableMenus(
                value=Matrix(seen),
                value_error=Matrix(error),
                cost=(Cost(resource="usd", amount=Matrix(np.ones((1, 8)))),),
            ),
        )
        made = claim(problem, decision_of(arm))
        assert made is not None
        reached = truth[np.arange(60), arm].mean()
        inside.append(made.low <= reached <= made.high)
        plugged.append(seen[np.arange(60), arm].mean() - reached)
    assert np.mean(inside) >= 0.85
    assert np.mean(plugged) > 0.015


def stratum_problem(alpha: float, beta: float, prompts: int, *samples: int) -> BudgetProblem:
    """Return the problem of one stratum and one arm."""
    arms = (Arm(name="a", per_sample=(Amount(resource="usd", amount=1.0),)),)
    return BudgetProblem(
        name="one",
        options=tuple(Option(name=f"x{count}", arm="a", samples=count) for count in samples),
        menus=PosteriorMenus(arms=arms, alpha=Matrix([[alpha]]), beta=Matrix([[beta]])),
        strata=Strata(prompts=Matrix([[float(prompts)]])),
    )


@pytest.mark.parametrize("prompts", [1, 100, 10**6])
def test_all_prompts_of_a_stratum_share_its_rate(prompts: int) -> None:
    """The interval does not shrink with the prompts of a stratum; with single samples it is that of the rate itself."""
    from scipy.stats import beta as law

    made = claim(stratum_problem(2.0, 3.0, prompts, 1), BudgetDecision(taken=Matrix([[0, 0, prompts]])))
    assert made is not None
    assert (made.low, made.high) == pytest.approx(law.ppf([0.025, 0.975], 2.0, 3.0), rel=2e-3)
    assert made.value == pytest.approx(0.4)


def test_options_of_one_arm_err_together() -> None:
    """Half of a stratum with 16 samples and half with 32: the variance is that of drawn rates, not of two rates."""
    random = np.random.default_rng(7)
    rate = random.beta(1.5, 30.0, 400_000)
    reached = 0.5 * (1.0 - (1.0 - rate) ** 16) + 0.5 * (1.0 - (1.0 - rate) ** 32)
    problem = stratum_problem(1.5, 30.0, 10, 16, 32)
    made = claim(problem, BudgetDecision(taken=Matrix([[0, 0, 5], [0, 1, 5]])))
    assert made is not None
    assert made.value == pytest.approx(reached.mean(), abs=3e-3)
    low, high = np.quantile(reached, [0.025, 0.975])
    assert (made.low, made.high) == pytest.approx((low, high), abs=0.03)
    assert ((reached >= made.low) & (reached <= made.high)).mean() == pytest.approx(0.95, abs=0.02)


def test_posterior_intervals_cover_drawn_rates() -> None:
    """Rates drawn from the posteriors, few large strata beside many small ones: 95 % intervals hold 92 to 98 %."""
    random = np.random.default_rng(8)
    rows = 40
    alpha, beta = random.uniform(0.3, 6.0, (rows, 2)), random.uniform(0.3, 20.0, (rows, 2))
    prompts = np.maximum(1, (300 / np.arange(1, rows + 1) ** 1.5).astype(int))
    arms = tuple(Arm(name=name, per_sample=(Amount(resource="usd", amount=1.0),)) for name in "ab")
    problem = BudgetProblem(
        name="drawn",
        options=tuple(Option(name=f"{name}{count}", arm=name, samples=count) for name in "ab" for count in (1, 4)),
        menus=PosteriorMenus(arms=arms, alpha=Matrix(alpha), beta=Matrix(beta)),
        strata=Strata(prompts=Matrix(prompts[:, None])),
    )
    option = random.integers(0, 4, rows)
    made = claim(problem, BudgetDecision(taken=Matrix(np.stack([np.arange(rows), option, prompts], axis=1))))
    assert made is not None
    rates = random.beta(alpha, beta, (20_000, rows, 2))[:, np.arange(rows), option // 2]
    reached = (1.0 - (1.0 - rates) ** np.array([1, 4])[option % 2]) @ prompts / prompts.sum()
    assert 0.92 <= ((reached >= made.low) & (reached <= made.high)).mean() <= 0.98


def test_refits_widen_the_interval_by_the_error_of_the_fit() -> None:
    """Posteriors that differ from fit to fit, for all strata together, add the variance of the mean over the fits."""
    plain = stratum_problem(20.0, 30.0, 10, 1)
    assert isinstance(plain.menus, PosteriorMenus)
    refits = tuple(Refit(alpha=Matrix([[a]]), beta=Matrix([[50.0 - a]])) for a in (15.0, 20.0, 25.0))
    wide = msgspec.structs.replace(plain, menus=msgspec.structs.replace(plain.menus, refits=refits))
    decision = BudgetDecision(taken=Matrix([[0, 0, 10]]))
    first, second = claim(plain, decision), claim(wide, decision)
    assert first is not None
    assert second is not None
    assert second.value == first.value
    reach = [(each.high - each.low) / 3.92 for each in (first, second)]
    assert reach[1] ** 2 - reach[0] ** 2 == pytest.approx(0.1**2, rel=0.1)
    with pytest.raises(InputError, match="at least two"):
        msgspec.structs.replace(plain, menus=msgspec.structs.replace(plain.menus, refits=refits[:1]))


def test_a_table_without_errors_makes_no_claim() -> None:
    """Menus that say nothing of their uncertainty have no interval; a level that is none is refused."""
    bare = BudgetProblem(
        name="bare",
        options=(Option(name="a"),),
        menus=TableMenus(value=Matrix([[0.5]]), cost=(Cost(resource="usd", amount=Matrix([[1.0]])),)),
    )
    assert claim(bare, decision_of(np.zeros(1, dtype=np.int64))) is None
    with pytest.raises(InputError):
        claim(bare, decision_of(np.zeros(1, dtype=np.int64)), level=1.0)


@pytest.mark.parametrize("by", ["samples", "prompts"])
def test_cross_fitted_claims_are_free_of_selection(by: str) -> None:
    """The luckiest arm (of each prompt, or of all) is claimed at what it is worth elsewhere."""
    random = np.random.default_rng(3)
    inside, bias = [], []

    def plan(part: Outcomes) -> IntArray:
        rate = part.successes / np.maximum(part.samples, 1)
        if by == "samples":
            return np.asarray(rate.argmax(axis=1), dtype=np.int64)
        return np.array([rate.mean(axis=0).argmax()])

    def score(arm: IntArray, part: Outcomes) -> FloatArray:
        rows = np.arange(len(part.prompts))
        chosen = np.broadcast_to(arm, rows.shape)
        return np.asarray(part.successes[rows, chosen] / part.samples[rows, chosen])

    for _ in range(150):
        rates = 0.1 * np.arange(ARMS) + 0.3 * random.random((60, 1))
        outcomes = outcomes_of(rates, 10, random)
        made = claim_by_cross_fitting(
            outcomes, plan, score, by="samples" if by == "samples" else "prompts", folds=5, scored_prompts=None
        )
        truth = 0.65
        if by == "samples":  # what plans made on four fifths of the samples are worth
            arms = [plan(rest) for rest, _ in sample_folds(outcomes, 5, seed=0)]
            truth = float(np.mean([rates[np.arange(60), arm].mean() for arm in arms]))
        inside.append(made.low <= truth <= made.high)
        bias.append(made.value - truth)
    assert 0.88 <= np.mean(inside) <= 1.0
    assert abs(np.mean(bias)) < 0.01


def test_folds_hold_every_sample_once() -> None:
    """The folds of the samples add up to the outcomes, and each with its rest too."""
    random = np.random.default_rng(4)
    outcomes = outcomes_of(rates_of(9, random), 11, random)
    pairs = sample_folds(outcomes, 4, seed=0)
    assert (sum(held.successes for _, held in pairs) == outcomes.successes).all()
    assert (sum(held.samples for _, held in pairs) == outcomes.samples).all()
    for rest, held in pairs:
        assert (rest.successes + held.successes == outcomes.successes).all()
        assert held.samples.min() >= 2
    with pytest.raises(InputError):
        claim_by_cross_fitting(outcomes, lambda part: part, lambda _, part: np.zeros(len(part.prompts)), folds=1)
