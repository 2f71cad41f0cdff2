"""The strategies that there are, by name."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from coinfer.errors import InputError
from coinfer.executor.strategies.strategy import Strategy, StrategyOption

MODULES = (
    "single",
    "confidence",
    "reward",
    "beam",
    "particles",
    "threads",
    "votes",
    "accept",
    "judged",
    "panel",
    "discussion",
    "debate",
    "relays",
    "programs",
    "revise",
    "cascade",
    "diverse",
    "reflect",
    "adviser",
    "programs_of_thought",
)
"""Modules of this package with a tuple ``STRATEGIES``."""


@lru_cache(maxsize=1)
def strategies() -> dict[str, Strategy]:
    """Return every strategy by its name, in the order of the documentation."""
    found: dict[str, Strategy] = {}
    for module in MODULES:
        for strategy in import_module(f"coinfer.executor.strategies.{module}").STRATEGIES:
            assert strategy.name not in found, f"two strategies are named {strategy.name!r}"  # noqa: S101
            found[strategy.name] = strategy
    return found


def strategy_named(name: str) -> Strategy:
    """Return a strategy.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    found = strategies().get(name)
    if found is None:
        raise InputError("strategy", expected=f"one of {', '.join(strategies())}", found=name)
    return found


def option_to_run(name: str, settings: dict[str, float] | None) -> StrategyOption:
    """Return an option as a plan names it: enough to start a session, without figures for planning."""
    strategy_named(name)
    return StrategyOption(strategy=name, settings=settings or {}, value=None, expected={}, worst={})
