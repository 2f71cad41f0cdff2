"""Menus of posteriors have the closed form of the Beta distribution."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.models.budget.parts import Amount, Arm, Option, PosteriorMenus
from coinfer.models.budget.posterior import columns, until_right, worst
from coinfer.records import Matrix


def menus(alpha: float, beta: float, *, stop: bool, once: float = 0.0, scale: float | None = None) -> PosteriorMenus:
    arm = Arm(
        name="arm",
        per_sample=(Amount(resource="usd", amount=2.0),),
        per_prompt=(Amount(resource="usd", amount=once), Amount(resource="s", amount=1.0)),
        sample_s=3.0,
        stop_on_success=stop,
    )
    return PosteriorMenus(
        arms=(arm,),
        alpha=Matrix([[alpha]]),
        beta=Matrix([[beta]]),
        scale=None if scale is None else Matrix([[scale]]),
    )


def options(*counts: int) -> tuple[Option, ...]:
    return tuple(Option(name=f"x{count}", arm="arm", samples=count) for count in counts)


def failing(alpha: float, beta: float, count: int) -> Fraction:
    """Return the probability that so many samples all fail."""
    product, a, b = Fraction(1), Fraction(alpha), Fraction(beta)
    for j in range(count):
        product *= (b + j) / (a + b + j)
    return product


@given(
    alpha=st.floats(1e-6, 1e4, allow_subnormal=False),
    beta=st.floats(1e-6, 1e4, allow_subnormal=False),
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    stop=st.booleans(),
)
@settings(max_examples=150)
def test_value_and_expected_samples_are_the_closed_form(
    alpha: float, beta: float, counts: list[int], stop: bool
) -> None:
    """Coverage is 1 - E[(1-p)^k], and stopping at success draws the sum of E[(1-p)^j] samples, to 12 digits."""
    value, cost, seconds = columns(menus(alpha, beta, stop=stop), options(*counts), ("usd", "s"), 0, 1)
    for i, count in enumerate(counts):
        fails = [failing(alpha, beta, j) for j in range(count + 1)]
        drawn = float(sum(fails[:count])) if stop else count
        np.testing.assert_allclose(value[0, i], float(1 - fails[count]), rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(cost[:, 0, i], [2.0 * drawn, min(count, 1)], rtol=1e-12)
        np.testing.assert_allclose(seconds[0, i], 3.0 * drawn, rtol=1e-12)


def test_what_is_paid_once_is_paid_once_and_never_for_nothing() -> None:
    """A prompt that is not sampled costs nothing; one that is pays the prompt once, and long prompts more a sample."""
    _, cost, _ = columns(menus(1.0, 1.0, stop=False, once=5.0, scale=4.0), options(0, 1, 3), ("usd",), 0, 1)
    assert cost[0, 0].tolist() == [0.0, 5.0 + 8.0, 5.0 + 24.0]


def test_the_worst_case_is_all_samples() -> None:
    """An option that may stop early can still take all its samples."""
    assert worst(menus(9.0, 1.0, stop=True, once=5.0), options(4)[0], ("usd", "s")).tolist() == [[13.0], [1.0]]


@given(stop=st.booleans(), count=st.integers(1, 6), alpha=st.floats(2.5, 8.0), beta=st.floats(0.5, 20.0))
@settings(max_examples=8, deadline=None)
def test_repeating_an_option_until_right_costs_what_simulated_prompts_take(
    stop: bool, count: int, alpha: float, beta: float
) -> None:
    """All rounds of a prompt share its rate: the mean cost over drawn prompts is the one of the menu."""
    random = np.random.default_rng(5)
    rate = random.beta(alpha, beta, 200_000)
    tries = random.geometric(rate)
    rounds = -(-tries // count)
    drawn = tries if stop else rounds * count
    paid = 1.5 * 2.0 * drawn + 7.0 * rounds
    found = until_right(menus(alpha, beta, stop=stop, once=7.0, scale=1.5), options(count), ("usd", "s"), 0, 1)
    assert abs(found[0, 0, 0] - paid.mean()) < 6.0 * paid.std() / len(paid) ** 0.5
    assert abs(found[1, 0, 0] - rounds.mean()) < 6.0 * rounds.std() / len(rounds) ** 0.5


def test_an_option_that_draws_nothing_or_has_no_mean_number_of_tries_never_ends() -> None:
    """No samples, or alpha at most 1: the cost until right is infinite."""
    assert np.isinf(until_right(menus(2.0, 1.0, stop=True), options(0), ("usd", "s"), 0, 1)).all()
    assert np.isinf(until_right(menus(1.0, 1.0, stop=True), options(4), ("usd", "s"), 0, 1)).all()
