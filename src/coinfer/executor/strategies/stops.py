"""When a vote may stop, and how many votes at least it takes until it could: so many are asked for at once.

Votes that are drawn one by one stop after the first that satisfies the rule. No fewer than ``needed`` further votes can
do that, so these are drawn together: the same votes are counted in fewer steps, and none is thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from coinfer.models.budget.curves.stopping import leader_chance

Chance = Callable[[tuple[int, ...]], float]
_QUANTILES = (np.arange(64) + 0.5) / 64


@dataclass(frozen=True, slots=True)
class Window:
    """Stop when all votes of a window are the same; windows do not overlap (ESC, Li et al. 2401.10480)."""

    window: int


@dataclass(frozen=True, slots=True)
class Sure:
    """Stop when the leader is the likeliest answer with at least a chance (Aggarwal et al. 2305.11860).

    Attributes
    ----------
    threshold
        The chance.
    dirichlet
        False: against the second alone, :math:`1 - I_{1/2}(v_1 + 1, v_2 + 1)`; true: against all answers that were
        given, with a Dirichlet posterior.
    """

    threshold: float
    dirichlet: bool = False


Rule = Window | Sure


def needed(rule: Rule, votes: tuple[int, ...], latest: int) -> int:
    """Return how many further votes at least it takes until the rule could stop; 0: it stops now.

    Parameters
    ----------
    rule
        The rule.
    votes
        Of each answer, the most first.
    latest
        Votes of the last window that are all the same; 0 where it was not unanimous. Only windows look at it.
    """
    if isinstance(rule, Window):
        return 0 if latest == rule.window else rule.window
    return _needed(rule, votes or (0,))


@lru_cache(maxsize=100_000)
def _needed(rule: Sure, votes: tuple[int, ...]) -> int:
    more = 0
    while leads(rule, (votes[0] + more, *votes[1:])) < rule.threshold:
        more += 1
    return more


@lru_cache(maxsize=100_000)
def leads(rule: Sure, votes: tuple[int, ...]) -> float:
    """Return the chance that the first answer is the likeliest."""
    if not rule.dirichlet or len(votes) < 3:
        second = votes[1] if len(votes) > 1 else 0
        return _leads(votes[0], second)
    from scipy.special import gammainc, gammaincinv

    # Shares of a Dirichlet distribution are gammas over their sum: the first is the largest where its gamma is.
    places = gammaincinv(votes[0] + 1.0, _QUANTILES)
    others = np.array(votes[1:], dtype=np.float64) + 1.0
    return float(np.prod(gammainc(others[:, None], places[None, :]), axis=0).mean())


@lru_cache(maxsize=10_000)
def _leads(first: int, second: int) -> float:
    size = max(first, second)
    return float(_table(1 << size.bit_length())[first, second])


@lru_cache(maxsize=16)
def _table(most: int) -> np.ndarray:
    return leader_chance(most)


@lru_cache(maxsize=10_000)
def expected_gain(first: int, second: int, more: int) -> float:
    r"""Return by how much so many further votes raise the chance that the leader is the likelier of the first two.

    :math:`\sum_j P(j) \max(c(v_1 + j, v_2 + k - j), 1 - c) - c(v_1, v_2)`, with j of the k votes for the first by the
    Beta-binomial distribution of the posterior.
    """
    now = _leads(first, second)
    later = 0.0
    for j in range(more + 1):
        chance = _leads(first + j, second + more - j)
        later += _beta_binomial(j, more, first + 1.0, second + 1.0) * max(chance, 1.0 - chance)
    return max(0.0, later - max(now, 1.0 - now))


@lru_cache(maxsize=100_000)
def gain_per_vote(first: int, second: int, left: int) -> float:
    """Return the most that a vote gains in the mean of some number of further ones, at most ``left``.

    One vote, or a few, may change nothing where more of them would: at a lead of two the next vote cannot overtake.
    """
    return max((expected_gain(first, second, more) / more for more in range(1, left + 1)), default=0.0)


def _beta_binomial(j: int, n: int, alpha: float, beta: float) -> float:
    logs = math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
    logs += _log_beta(j + alpha, n - j + beta) - _log_beta(alpha, beta)
    return math.exp(logs)


def _log_beta(alpha: float, beta: float) -> float:
    return math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)
