"""From strategies and what is known of prompts to a budget problem: one column for each option that can be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.executor.strategies.provider import TokenPrice
from coinfer.executor.strategies.strategy import Need, Prior, Strategy, StrategyOption, Usage, why_no_option
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.parts import Budget, Cost, Information, Option, Strata, TableMenus
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray

RESOURCES = ("tokens", "completions", "usd")
"""Tokens generated; completions, programs, searches and scores; and money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Prompts that a planner cannot tell apart.

    Attributes
    ----------
    name
        Unique name.
    prompts
        How many there are.
    priors
        What is known of some of them, one for each prompt of a pilot: menus are means over these, since the mean of a
        majority is not the majority of the means.
    """

    name: str
    prompts: int
    priors: tuple[Prior, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """A budget problem made of strategies.

    Attributes
    ----------
    problem
        The problem.
    left_out
        For options that are on no menu, why.
    """

    problem: BudgetProblem
    left_out: Mapping[str, str]


def menu(
    name: str,
    strata: Sequence[Stratum],
    strategies: Iterable[Strategy],
    *,
    offers: Mapping[str, frozenset[Need]],
    budgets: Sequence[Budget] = (),
    prices: Mapping[str, TokenPrice] | None = None,
    information: Information | None = None,
    missing: Mapping[Need, str] | None = None,
) -> Menu:
    """Return the problem of choosing a strategy for each prompt.

    Parameters
    ----------
    name
        Of the problem.
    strata
        At least one, each with a prior.
    strategies
        Who could answer.
    offers
        What the provider of each role offers: an option whose roles or needs are not there leaves the menu.
    budgets, information
        As in the problem; resources are those of :data:`RESOURCES`.
    prices
        What tokens cost, by role; absent: nothing.
    missing
        Why a need cannot be had (no sandbox on this machine), for the reasons.

    Raises
    ------
    InputError
        If there is no stratum, one has no prior, or no option is left.
    """
    if not strata or any(not each.priors or each.prompts < 1 for each in strata):
        raise InputError("strata", expected="at least one, each with prompts and a prior", found=Plain("fewer"))
    there = frozenset[Need]().union(*offers.values()) if offers else frozenset[Need]()
    kept: dict[str, StrategyOption] = {}
    left_out: dict[str, str] = {}
    silent, spoken = dict[str, str](), set[str]()
    cells: dict[str, list[list[StrategyOption]]] = {}
    for row, stratum in enumerate(strata):
        for strategy in strategies:
            for prior in stratum.priors:
                options = strategy.options(prior)
                if not options:
                    silent.setdefault(strategy.name, why_no_option(strategy))
                for option in map(partial(_with_measured, prior), options):
                    spoken.add(strategy.name)
                    reason = _unfit(option, offers, there, missing or {})
                    if reason is not None:
                        left_out[option.name] = reason
                        continue
                    kept.setdefault(option.name, option)
                    cells.setdefault(option.name, [[] for _ in strata])[row].append(option)
    whole = [
        name
        for name in kept
        if any(len(own) == len(each.priors) for own, each in zip(cells[name], strata, strict=True))
    ]
    left_out |= {name: "the priors do not give it for all prompts of any stratum" for name in kept if name not in whole}
    left_out |= {name: reason for name, reason in silent.items() if name not in spoken}
    if not whole:
        raise InputError("strategies", expected="an option that can be run", found=Plain(_first(left_out)))
    problem = BudgetProblem(
        name=name,
        options=tuple(
            Option(
                name=each,
                strategy=kept[each].strategy,
                settings=dict(kept[each].settings) or None,
                upper_bound=_bound_of(cells[each]),
            )
            for each in whole
        ),
        menus=_table(strata, [cells[each] for each in whole], prices or {}),
        budgets=tuple(budgets),
        strata=Strata(
            names=tuple(each.name for each in strata), prompts=Matrix([[float(each.prompts)] for each in strata])
        ),
        information=information,
    )
    return Menu(problem=problem, left_out=left_out)


def _with_measured(prior: Prior, option: StrategyOption) -> StrategyOption:
    """Return an option with what it was seen to take; its value is what was seen where it has none of its own."""
    found = prior.measured.get(option.name)
    if found is None:
        return option
    value = found.value if option.value is None else option.value
    return replace(option, value=value, expected={**option.expected, **found.usage}, upper_bound=None)


def _bound_of(cells: Sequence[Sequence[StrategyOption]]) -> str | None:
    """Return why the costs of an option are upper bounds; ``None`` where all are means."""
    return next((option.upper_bound for own in cells for option in own if option.upper_bound is not None), None)


def why_not(option: StrategyOption, offers: Mapping[str, frozenset[Need]], missing: Mapping[Need, str]) -> str | None:
    """Return which role or need of an option is not there; ``None`` where it can be run."""
    return _lacking(option, offers, frozenset[Need]().union(*offers.values()), missing)


def _unfit(
    option: StrategyOption,
    offers: Mapping[str, frozenset[Need]],
    there: frozenset[Need],
    missing: Mapping[Need, str],
) -> str | None:
    """Return why an option cannot be run or judged; ``None`` where it can."""
    lacking = _lacking(option, offers, there, missing)
    if lacking is None and option.value is None:
        return "nothing is known of how often it is right; pilot with --try to measure it"
    return lacking


def _lacking(
    option: StrategyOption,
    offers: Mapping[str, frozenset[Need]],
    there: frozenset[Need],
    missing: Mapping[Need, str],
) -> str | None:
    """Return which role or need of an option is not there; logits must be offered by each of its roles."""
    for role in option.worst:
        if role not in offers:
            return f"nobody serves the role {role!r}"
        if "logits" in option.needs and "logits" not in offers[role]:
            return f"it needs logits of {role!r}: {missing.get('logits', 'no endpoint offers them')}"
    for need in sorted(option.needs - there):
        return f"it needs {need}: {missing.get(need, 'no endpoint offers it')}"
    return None


def _first(left_out: Mapping[str, str]) -> str:
    return next((f"{name}: {reason}" for name, reason in left_out.items()), "no strategies")


def _table(
    strata: Sequence[Stratum], cells: Sequence[Sequence[Sequence[StrategyOption]]], prices: Mapping[str, TokenPrice]
) -> TableMenus:
    """Return means over the priors of each stratum; the standard error is that of the mean over its prompts."""
    shape = (len(strata), len(cells))
    value, error, present = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    seconds = np.full(shape, np.nan)
    expected, worst = np.zeros((len(RESOURCES), *shape)), np.zeros((len(RESOURCES), *shape))
    for column, rows in enumerate(cells):
        for row, (own, stratum) in enumerate(zip(rows, strata, strict=True)):
            if len(own) != len(stratum.priors):
                continue
            values = np.array([option.value for option in own], dtype=np.float64)
            present[row, column], value[row, column] = 1.0, values.mean()
            error[row, column] = _standard_error(values)
            expected[:, row, column] = np.mean([_amounts(option.expected, prices) for option in own], axis=0)
            worst[:, row, column] = np.max([_amounts(option.worst, prices) for option in own], axis=0)
            # Rounding of sums and prices must not leave the most below the mean.
            worst[:, row, column] = np.maximum(worst[:, row, column], expected[:, row, column])
            times = [option.latency_s for option in own if option.latency_s is not None]
            if len(times) == len(own):
                seconds[row, column] = float(np.mean(times))
    known = not np.isnan(seconds[present > 0.0]).any()
    paid = [i for i, name in enumerate(RESOURCES) if name != "usd" or expected[i].any()]
    return TableMenus(
        value=Matrix(value),
        value_error=Matrix(error),
        cost=tuple(Cost(resource=RESOURCES[i], amount=Matrix(expected[i]), worst=Matrix(worst[i])) for i in paid),
        latency_s=Matrix(np.where(present > 0.0, seconds, 0.0)) if known else None,
        available=None if present.all() else Matrix(present),
    )


def _standard_error(values: FloatArray) -> float:
    r"""Return that of the mean; with one prompt, that of a single right or wrong answer.

    Where all n prompts look alike it is that of a share of which nothing was seen, by the posterior of Jeffreys:
    :math:`\sqrt{1/2} / (n + 1)`. A few prompts that all fail do not show that every prompt does.
    """
    own = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else (values[0] * (1.0 - values[0])) ** 0.5
    return float(max(own, 0.5**0.5 / (len(values) + 1)))


def _amounts(usage: Mapping[str, Usage], prices: Mapping[str, TokenPrice]) -> tuple[float, float, float]:
    """Return tokens generated, calls, and money."""
    tokens = sum(each.output_tokens for each in usage.values())
    calls = sum(each.calls for each in usage.values())
    free = TokenPrice()
    usd = sum(
        each.prompt_tokens * prices.get(role, free).prompt_usd + each.output_tokens * prices.get(role, free).output_usd
        for role, each in usage.items()
    )
    return tokens, calls, usd
