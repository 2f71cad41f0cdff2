"""What a search over steps takes: every round reads the prefixes again, and the reward model reads every prefix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from coinfer.executor.strategies.ask import ANSWER, REWARD
from coinfer.executor.strategies.stepwise import StepRule
from coinfer.executor.strategies.strategy import Need, Prior, StrategyOption, Usage

STEPS = "steps"
NO_STEPS = "the sampled answers have no steps, which blank lines end, so there are no beginnings to search among"
"""Name in ``Prior.extra``: mean steps of a solution, measured with the separator of the rule."""
NEEDS: frozenset[Need] = frozenset({"completions", "prefix", "reward"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One search over steps.

    Attributes
    ----------
    candidates
        N, steps written in each round.
    calls
        Calls of every round after the first: prefixes that are gone on from. The first round is one call.
    lookahead
        k, steps that each candidate is rolled on before it is scored, one call each.
    times
        How often the search is run.
    """

    candidates: int
    calls: int
    lookahead: int = 0
    times: int = 1


def mean_steps(prior: Prior, rule: StepRule) -> float | None:
    """Return the mean steps of a solution, at most those of the rule; ``None`` where that is not known."""
    if rule.step_tokens is not None:
        found: float | None = max(1.0, math.ceil(prior.output_tokens / rule.step_tokens))
    else:
        found = prior.extra.get(STEPS)
    return None if found is None or not found >= 1.0 else min(found, float(rule.rounds))


def expected_usage(prior: Prior, steps: float, search: Pass) -> dict[str, Usage]:
    r"""Return what a search takes where all solutions have ``steps`` steps of A / steps tokens.

    With D steps of S tokens, N candidates, K calls a round, P the prompt and r(d) = min(k, D - 1 - d) steps rolled:

    * output :math:`N S\,[D + \sum_d r(d)]`, and as many completions as steps;
    * input :math:`P + K\,[(D-1) P + S D (D-1) / 2] + N \sum_d \sum_{j \le r(d)} [P + (d+j) S]`;
    * scored: N D prefixes, the prompt before each, and :math:`N S \sum_d [d + 1 + r(d)]` tokens.

    Without lookahead and with K = N it is :func:`coinfer.models.budget.curves.search.beam_search` but for the first
    round, which is one call here. A mean that is no whole number: between those of the two next to it, exact where
    solutions have one of these two lengths.
    """
    low = math.floor(steps)
    size = prior.output_tokens / steps
    part = steps - low
    below = _rounds(prior.prompt_tokens, low, search, lambda count: size * count)
    if not part:
        return below
    above = _rounds(prior.prompt_tokens, low + 1, search, lambda count: size * count)
    return {role: below[role].times(1.0 - part).plus(above[role].times(part)) for role in below}


def worst_usage(prompt_tokens: float, max_tokens: int, rule: StepRule, search: Pass) -> dict[str, Usage]:
    """Return the most that a search takes: all rounds, and no more written than N (k + 1) whole completions."""
    size = min(rule.step_tokens or max_tokens, max_tokens)
    most = _rounds(prompt_tokens, rule.rounds, search, lambda count: min(size * count, max_tokens), rolled_to_end=True)
    whole = search.times * search.candidates * (search.lookahead + 1) * max_tokens
    answer = most[ANSWER]
    capped = Usage(
        calls=answer.calls, prompt_tokens=answer.prompt_tokens, output_tokens=min(answer.output_tokens, whole)
    )
    return {ANSWER: capped, REWARD: most[REWARD]}


def _rounds(
    prompt: float,
    rounds: int,
    search: Pass,
    length: Callable[[int], float],
    *,
    rolled_to_end: bool = False,
) -> dict[str, Usage]:
    """Add up the rounds of searches over solutions whose first so many steps have ``length`` tokens."""
    n, k = search.candidates, search.lookahead
    answer, reward = Usage(), Usage()
    for d in range(rounds):
        calls = 1 if d == 0 else search.calls
        answer = answer.plus(
            Usage(calls=n, prompt_tokens=calls * (prompt + length(d)), output_tokens=n * length(1)),
        )
        rolled = k if rolled_to_end else min(k, rounds - 1 - d)
        for j in range(1, rolled + 1):
            ahead = Usage(calls=n, prompt_tokens=n * (prompt + length(d + j)), output_tokens=n * length(1))
            answer = answer.plus(ahead)
        read = Usage(calls=n, prompt_tokens=n * prompt, output_tokens=n * length(d + 1 + rolled))
        reward = reward.plus(read)
    return {ANSWER: answer.times(search.times), REWARD: reward.times(search.times)}


def total(*parts: dict[str, Usage]) -> dict[str, Usage]:
    """Return the sum of usages, by role."""
    made: dict[str, Usage] = {}
    for part in parts:
        for role, used in part.items():
            made[role] = made.get(role, Usage()).plus(used)
    return made


def step_option(
    name: str, settings: dict[str, float], prior: Prior, rule: StepRule, passes: tuple[Pass, ...], steps: float
) -> StrategyOption:
    """Return an option whose searches follow one another.

    Its value is what was measured of it, ``Prior.extra`` under the option's own name, else ``None``. Its latency is
    that of tokens of mean length that follow one another; what the reward model takes to read is not known here.
    """
    way = sum(each.times * (steps + _rolled(steps, each.lookahead)) for each in passes) * prior.output_tokens / steps
    option = StrategyOption(
        strategy=name,
        settings=settings,
        value=None,
        expected=total(*(expected_usage(prior, steps, each) for each in passes)),
        worst=total(*(worst_usage(prior.prompt_tokens, prior.max_tokens, rule, each) for each in passes)),
        latency_s=None if prior.output_s is None else way * prior.output_s,
        needs=NEEDS,
    )
    return replace(option, value=prior.extra.get(option.name))


def _rolled(steps: float, lookahead: int) -> float:
    """Return how many steps one candidate of every round is rolled on, all rounds together."""
    return sum(min(float(lookahead), max(0.0, steps - 1 - d)) for d in range(math.ceil(steps)))
