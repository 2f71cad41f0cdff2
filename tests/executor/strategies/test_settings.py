"""Settings of a plan, which anybody may write: every one is a run within bounds, or a sentence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from coinfer.errors import CoinferError
from coinfer.executor.strategies.registry import option_to_run, strategies
from coinfer.executor.strategies.strategy import Prior
from coinfer.testing.strategies import Simulated, drive, question

AGENTS = {f"agent {i}": 0.6 for i in range(1, 8)}
GAINS = {f"gain {i} {j}": 0.2 for i in range(1, 4) for j in range(1, 4) if i != j}
PRIOR = Prior(
    prompt_tokens=40,
    output_tokens=30,
    max_tokens=64,
    answers=(0.6, 0.3),
    rate={"answer": 0.6, **AGENTS},
    scorer=((0.9, 1.0), (0.3, 0.0)),
    extra={
        "steps": 4.0,
        "document_tokens": 500.0,
        "tests": 1.0,
        "approaches": 3.0,
        **GAINS,
    },
)
EXTRA = {"document": "Some text here. " * 125, "tests": "assert True", "approaches": "a\nb\nc"}
ODD = (0.0, -1.0, 2.5, 1e9, 1e308, math.nan, math.inf, -math.inf, None)
MOST_CALLS = 3000


@pytest.mark.parametrize("name", strategies())
def test_odd_settings_are_a_sentence_or_a_bounded_run(name: str) -> None:
    """Each setting in turn is odd or absent: no other error, and never more calls than a large option has."""
    strategy = strategies()[name]
    prompt = replace(question(max_tokens=64, tokens=40.0), extra=EXTRA)
    for option in strategy.options(PRIOR)[:1]:
        for key in option.settings:
            for odd in ODD:
                settings = {**option.settings, key: odd} if odd is not None else dict(option.settings)
                if odd is None:
                    del settings[key]
                try:
                    done = drive(strategy.start(prompt, option_to_run(name, settings)), Simulated(PRIOR, 0))  # type: ignore[arg-type]
                except CoinferError as error:
                    assert "\n" not in str(error)
                else:
                    assert sum(used.calls for used in done.usage.values()) <= MOST_CALLS
