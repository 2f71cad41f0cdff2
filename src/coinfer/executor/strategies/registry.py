"""The strategies that there are, by name."""

from __future__ import annotations

from collections.abc import Mapping
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
    "decode",
    "early_cut",
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


def strategy_named(name: str, programs: Mapping[str, Strategy] | None = None) -> Strategy:
    """Return a strategy.

    Parameters
    ----------
    name
        As plans have it: of a prompt program of a user, with its hash.
    programs
        A user's strategies, by their names.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    there = {**strategies(), **(programs or {})}
    found = there.get(name)
    if found is None:
        program, is_program, _ = name.partition("@")
        other = next((each for each in there if is_program and each.partition("@")[0] == program), None)
        if other is not None:
            raise InputError("strategy", expected=f"{other!r}, the program as it is now", found=name)
        if is_program:
            raise InputError("strategy", expected="a program that the file of endpoints names", found=name)
        raise InputError("strategy", expected=f"one of {', '.join(there)}", found=name)
    return found


def option_to_run(name: str, settings: dict[str, float] | None) -> StrategyOption:
    """Return an option as a plan names it: enough to start a session, without figures for planning."""
    return StrategyOption(strategy=name, settings=settings or {}, value=None, expected={}, worst={})
