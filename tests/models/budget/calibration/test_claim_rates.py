"""Intervals of posterior menus hold the values of rates that are drawn from the posteriors, whatever dominates."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.models.budget.calibration.claim import Claimed, claim
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.parts import Amount, Arm, Option, PosteriorMenus, Strata
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray

SAMPLES = (1, 16, 64)
ARMS = 2
DRAWN = 8_000


def made(alpha: FloatArray, beta: FloatArray, taken: list[list[int]]) -> Claimed:
    """Return the claim; option 3 a + s is SAMPLES[s] samples of arm a."""
    arms = tuple(Arm(name=name, per_sample=(Amount(resource="usd", amount=1.0),)) for name in "ab")
    served = np.bincount([stratum for stratum, _, _ in taken], weights=[count for _, _, count in taken])
    problem = BudgetProblem(
        name="drawn",
        options=tuple(Option(name=f"{arm}{count}", arm=arm, samples=count) for arm in "ab" for count in SAMPLES),
        menus=PosteriorMenus(arms=arms, alpha=Matrix(alpha), beta=Matrix(beta)),
        strata=Strata(prompts=Matrix(served[:, None])),
    )
    found = claim(problem, BudgetDecision(taken=Matrix(np.array(taken, dtype=np.float64))))
    assert found is not None
    return found


def held(alpha: FloatArray, beta: FloatArray, taken: list[list[int]]) -> tuple[float, float]:
    """Return how often what drawn rates reach lies below the interval, and above it."""
    found = made(alpha, beta, taken)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    stratum, option, prompts = np.array(taken).T
    rate = np.random.default_rng(3).beta(alpha, beta, (DRAWN, *alpha.shape))[:, stratum, option // len(SAMPLES)]
    right = 1.0 - (1.0 - rate) ** np.array(SAMPLES)[option % len(SAMPLES)]
    reached = right @ prompts / prompts.sum()
    assert found.value == pytest.approx(reached.mean(), abs=5.0 * reached.std() / DRAWN**0.5)
    return float((reached < found.low - 1e-12).mean()), float((reached > found.high + 1e-12).mean())


REGIMES = {
    "a million prompts of one stratum": (1.0, 1.0, [[0, 0, 10**6]]),
    "two options of one arm": (1.5, 30.0, [[0, 1, 5], [0, 2, 5]]),
    "two options of one arm, two humps": (0.3, 3.0, [[0, 0, 5], [0, 2, 5]]),
    "two strata, each right or wrong": (0.2, 0.2, [[0, 0, 5], [1, 3, 5]]),
    "one stratum dominates": (0.5, 20.0, [[0, 1, 900], [1, 0, 50], [2, 3, 50]]),
    "few large strata": (0.8, 9.0, [[i, i % 6, max(1, int(300 / (i + 1) ** 1.5))] for i in range(40)]),
    "many copies in many strata": (1.0, 9.0, [[i, i % 6, 10] for i in range(300)]),
    "two options of one arm in many strata": (1.0, 9.0, [[i, option, 5] for i in range(200) for option in (1, 2)]),
}


@pytest.mark.parametrize("name", REGIMES)
def test_intervals_hold_drawn_rates(name: str) -> None:
    """Of values reached with drawn rates, 1.5 to 3.5 % lie below the 95 % interval, and as many above."""
    alpha, beta, taken = REGIMES[name]
    shape = (taken[-1][0] + 1, ARMS)
    below, above = held(np.full(shape, alpha), np.full(shape, beta), taken)
    assert 0.015 <= below <= 0.035
    assert 0.015 <= above <= 0.035


def test_prompts_that_differ_are_no_surer_than_their_strata() -> None:
    """The same strata with a thousand times the prompts have the same interval."""
    alpha, beta = np.full((3, ARMS), 2.0), np.full((3, ARMS), 5.0)
    first = made(alpha, beta, [[i, 1, 1] for i in range(3)])
    second = made(alpha, beta, [[i, 1, 1000] for i in range(3)])
    assert (second.low, second.value, second.high) == pytest.approx((first.low, first.value, first.high))
    assert second == made(alpha, beta, [[i, 1, 1000] for i in range(3)])


def test_options_of_different_arms_err_apart() -> None:
    """Two arms of one stratum are surer together than two options of one arm with the same posteriors."""
    alpha, beta = np.full((1, ARMS), 20.0), np.full((1, ARMS), 300.0)
    apart = made(alpha, beta, [[0, 1, 5], [0, 4, 5]])
    alone = made(alpha, beta, [[0, 1, 10]])
    assert (alone.high - alone.low) / (apart.high - apart.low) == pytest.approx(2.0**0.5, rel=0.02)
