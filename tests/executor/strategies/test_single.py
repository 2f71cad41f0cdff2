"""One completion is one call."""

from __future__ import annotations

import pytest

from coinfer.executor.strategies.single import Single
from coinfer.executor.strategies.strategy import Prior
from coinfer.testing.strategies import check_contract, simulated_usage, simulated_value

PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, rate={"answer": 0.6}, output_s=0.01)


def test_a_single_completion_keeps_the_contract_of_strategies() -> None:
    """It ends, within its worst case, whatever the replies."""
    check_contract(Single(), PRIOR)


def test_what_it_takes_and_is_worth_is_what_its_menu_says() -> None:
    """Expected usage within 5 % of simulated prompts, and the value within their noise."""
    (option,) = Single().options(PRIOR)
    used = simulated_usage(Single(), option, PRIOR)["answer"]
    assert used.prompt_tokens == pytest.approx(option.expected["answer"].prompt_tokens, rel=0.05)
    assert used.output_tokens == pytest.approx(option.expected["answer"].output_tokens, rel=0.05)
    assert simulated_value(Single(), option, PRIOR) == pytest.approx(option.value, abs=0.08)
