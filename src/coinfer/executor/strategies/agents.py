"""Agents that read each other: who they are, how they are quoted, when they agree, and what turns of them take."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import ANSWER
from coinfer.executor.strategies.session import Answer
from coinfer.executor.strategies.strategy import (
    CHARACTERS_PER_TOKEN,
    Prior,
    Prompt,
    StrategyOption,
    Usage,
    estimated_tokens,
)
from coinfer.executor.strategies.tally import weighted_answer
from coinfer.models.budget.curves.majority import majority

MOST_AGENTS = 9
MOST_SAMPLES = 1000
MOST_ROUNDS = 9
OPEN, CLOSE = "<<<", ">>>"
_SCALE = 1e9  # curves.majority wants whole weights


def agent_roles(count: int) -> tuple[str, ...]:
    """Return the roles of so many agents.

    >>> agent_roles(2)
    ('agent 1', 'agent 2')
    """
    return tuple(f"agent {i}" for i in range(1, count + 1))


def label(place: int) -> str:
    """Return what the agent at a place, from 0, is called in the prompts of others."""
    return f"Agent {place + 1}"


def quoted(name: str, text: str, max_tokens: int) -> str:
    r"""Return what an agent wrote as a quotation, which nothing in the text can end.

    Of a text longer than ``max_tokens`` at :data:`CHARACTERS_PER_TOKEN`, its end is quoted, where the answer stands:
    so a prompt never passes the worst case that it was planned with.

    >>> quoted("Agent 1", "It is 4.", 100)
    '<<< Agent 1\nIt is 4.\n>>>\n'
    """
    kept = text[-max(1, int(max_tokens * CHARACTERS_PER_TOKEN)) :]
    plain = kept.replace(OPEN, "\u2039" * 3).replace(CLOSE, "\u203a" * 3)
    return f"{OPEN} {name}\n{plain}\n{CLOSE}\n"


def whole(settings: Mapping[str, float], name: str, least: int, most: int) -> int:
    """Return a setting that is a whole number.

    Raises
    ------
    RequestError
        If it is absent, not whole, or outside ``least``..``most``.
    """
    found = settings.get(name, math.nan)
    if not (least <= found <= most and found == int(found)):
        raise RequestError(f"settings.{name}", expected=f"a whole number from {least} to {most}", found=found)
    return int(found)


def number(settings: Mapping[str, float], name: str, least: float, most: float) -> float:
    """Return a setting.

    Raises
    ------
    RequestError
        If it is absent, no number, or outside ``least``..``most``.
    """
    found = settings.get(name, math.nan)
    if not least <= found <= most:
        raise RequestError(f"settings.{name}", expected=f"a number from {least:g} to {most:g}", found=found)
    return found


def agreed(answers: Sequence[str | None]) -> bool:
    """Return whether two or more answers are there and all are the same; a text without an answer agrees with none."""
    return len(answers) > 1 and answers[0] is not None and all(each == answers[0] for each in answers)


def vote(prompt: Prompt, latest: Iterable[Completion | None], *, rounds: int) -> Answer:
    """Return the answer that most of the latest completions give, ties to the first; missing ones are left out."""
    there = [(each, 1.0) for each in latest if each is not None]
    return weighted_answer(prompt, there, details={"rounds": float(rounds)})


def agreement(prior: Prior, roles: Sequence[str]) -> float:
    r"""Return the chance that independent answers of all roles are the same.

    With :math:`\rho_i` the rate of role i (``Prior.rate``, else ``Prior.answers[0]``) and :math:`q_w` the share of the
    wrong answer w among wrong ones, :math:`\prod_i \rho_i + \sum_w q_w^n \prod_i (1 - \rho_i)`. Without
    ``Prior.answers`` wrong answers are taken to differ; where nothing is known it is 0, as if they never agreed.
    """
    known = prior.answers
    default = known[0] if known else prior.rate.get(ANSWER)
    rates = [prior.rate.get(role, default) for role in roles]
    given = [rate for rate in rates if rate is not None]
    if len(given) < len(rates):
        return 0.0
    wrong = 0.0
    if known and known[0] < 1.0:
        wrong = sum((each / (1.0 - known[0])) ** len(roles) for each in known[1:])
    return math.prod(given) + wrong * math.prod(1.0 - rate for rate in given)


def vote_value(prior: Prior, roles: Sequence[str]) -> float | None:
    r"""Return the chance that a plain vote of independent answers is right; ``None`` where agents differ or unknown.

    Of k votes s are answers of their own, with the binomial chance of :math:`1 - \sum_a p_a`. They matter only where
    every vote is different: there the right answer wins one time in k, not one in k - s as among the rest. That has
    the chance :math:`(k-s)!\, p_0\, e_{k-s-1}(p_1, \dots)` with e the elementary symmetric polynomial.
    """
    known, votes = prior.answers, len(roles)
    if not known or any(abs(prior.rate.get(role, known[0]) - known[0]) > 1e-9 for role in roles):
        return None
    total = min(1.0, sum(known))
    if known[0] <= 0.0:
        return 0.0
    shares = [each / sum(known) for each in known]
    weights = [[float(round(each * _SCALE)) for each in shares]]
    curve = majority(weights, [0], range(votes + 1), drawing="with_replacement").value[0]
    symmetric = np.poly1d([1.0])
    for each in shares[1:]:
        symmetric = symmetric * np.poly1d([each, 1.0])
    value = 0.0
    for j in range(1, votes + 1):
        ways = symmetric.coeffs[::-1]
        alone = math.factorial(j) * shares[0] * (float(ways[j - 1]) if j <= len(ways) else 0.0)
        chance = math.comb(votes, j) * total**j * (1.0 - total) ** (votes - j)
        value += chance * (float(curve[j]) - alone / j + alone / votes)
    return min(1.0, max(0.0, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A call of a role, as a cost model sees it.

    Attributes
    ----------
    role
        Who is asked.
    template
        What it reads besides the question and the texts of others.
    texts
        Texts of one completion each that it reads; a part of one counts as that part.
    chance
        That the turn is taken.
    samples
        Completions of the call.
    """

    role: str
    template: str
    texts: float = 0
    chance: float = 1.0
    samples: int = 1


def planned(
    strategy: str,
    settings: Mapping[str, float],
    prior: Prior,
    turns: Sequence[Turn],
    *,
    steps: float,
    value: float | None = None,
) -> StrategyOption:
    """Return an option with the sums over its turns.

    A turn reads P + I + m T tokens and writes n T, with P the question's, I the template's (by
    :func:`estimated_tokens`), m the texts and n the samples; T is the mean of a completion, and its most in the worst
    case, where every turn is taken.

    Parameters
    ----------
    strategy, settings, prior
        Of the option.
    turns
        All that there may be.
    steps
        Expected steps one after the other: the latency is that of so many completions.
    value
        Of the option; absent, what was measured of it: ``Prior.extra`` by the option's name.
    """
    expected: defaultdict[str, Usage] = defaultdict(Usage)
    worst: defaultdict[str, Usage] = defaultdict(Usage)
    for turn in turns:
        fixed = prior.prompt_tokens + estimated_tokens(turn.template)
        mean = Usage(
            calls=turn.samples,
            prompt_tokens=fixed + turn.texts * prior.output_tokens,
            output_tokens=turn.samples * prior.output_tokens,
        )
        most = Usage(
            calls=turn.samples,
            prompt_tokens=fixed + turn.texts * prior.max_tokens,
            output_tokens=float(turn.samples * prior.max_tokens),
        )
        expected[turn.role] = expected[turn.role].plus(mean.times(turn.chance))
        worst[turn.role] = worst[turn.role].plus(most)
    made = StrategyOption(
        strategy=strategy,
        settings=settings,
        value=value,
        expected=dict(expected),
        worst=dict(worst),
        latency_s=None if prior.output_s is None else steps * prior.output_tokens * prior.output_s,
    )
    return made if value is not None else replace(made, value=prior.extra.get(made.name))
