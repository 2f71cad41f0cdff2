"""How sure a cost of a pass is: posterior draws of the rates, and a bootstrap over prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.economics.cost_of_pass import FALLBACK, NOBODY
from coinfer.solver.program import FloatArray, IntArray

_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a number lies.

    Attributes
    ----------
    low, high
        Its ends; ``None`` where an end is infinite.
    level
        The share of draws between them.
    """

    low: float | None
    high: float | None
    level: float


def pass_interval(cost: float, alpha: float, beta: float, *, level: float = 0.9) -> Interval:
    """Return the interval of cost / p for p ~ Beta(alpha, beta), exactly, by the quantiles of p.

    It is finite also where the mean of 1 / p is not (alpha of at most 1).

    >>> found = pass_interval(1.0, 1.0, 1.0)
    >>> found.low is not None and round(found.low, 6), found.high is not None and round(found.high, 6)
    (1.052632, 20.0)
    """
    from scipy.special import betaincinv

    if not (cost >= 0.0 and alpha > 0.0 and beta > 0.0):
        raise ProblemError("cost", expected="a cost of at least 0 and parameters above 0", found=(cost, alpha, beta))
    side = _side(level)
    ends = [float(cost / rate) if rate > 0.0 else None for rate in betaincinv(alpha, beta, [1.0 - side, side])]
    return Interval(low=ends[0], high=ends[1], level=level)


def frontier_interval(
    cost: ArrayLike,
    alpha: FloatArray,
    beta: FloatArray,
    option: IntArray,
    *,
    prompts: ArrayLike | None = None,
    fallback: ArrayLike = 0.0,
    population: bool = False,
    level: float = 0.9,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return where the mean cost of a pass lies when every stratum uses the option it was given.

    The options are those that were chosen beforehand: taking the cheapest of each draw anew would praise luck.

    Parameters
    ----------
    cost
        One try of each option, (strata, options) or broadcast to it.
    alpha, beta
        (strata, options): posteriors of the chance that a try is right.
    option
        (strata,): as in :class:`coinfer.models.budget.economics.cost_of_pass.PassFrontier`.
    prompts
        (strata,): prompts in each; absent: 1.
    fallback
        Price of the expert where a stratum uses one, (strata,) or one number.
    population
        False: these prompts. True: prompts like these, by drawing the strata again with replacement (weighted alike,
        so it needs strata that are prompts).
    level, draws, seed
        Share of the draws inside, how many, and from which seed.
    """
    rows, columns = alpha.shape
    if beta.shape != alpha.shape or option.shape != (rows,) or option.max(initial=NOBODY) >= columns:
        found = Plain(f"{alpha.shape}, {beta.shape} and {option.shape}")
        raise ProblemError("alpha", expected="two matrices and an option of each row", found=found)
    weights = np.ones(rows) if prompts is None else np.asarray(prompts, dtype=np.float64)
    if population and len(np.unique(weights)) > 1:
        raise ProblemError("prompts", expected="strata of one size where they are drawn again", found=Plain("others"))
    random = np.random.default_rng(seed)
    place = np.maximum(option, 0)
    line = np.arange(rows)
    spent = np.broadcast_to(np.asarray(cost, dtype=np.float64), alpha.shape)[line, place]
    price = np.broadcast_to(np.asarray(fallback, dtype=np.float64), (rows,))
    means = np.empty(draws)
    at_once = max(1, _AT_ONCE // rows)
    for first in range(0, draws, at_once):
        size = min(at_once, draws - first), rows
        rate = random.beta(alpha[line, place], beta[line, place], size)
        with np.errstate(over="ignore"):
            paid = np.divide(spent, rate, out=np.full(size, np.inf), where=rate > 0.0)
        paid = np.where(option == FALLBACK, price, np.where(option == NOBODY, np.inf, paid))
        if population:
            paid = np.take_along_axis(paid, random.integers(0, rows, size), axis=1)
        means[first : first + at_once] = np.average(paid, axis=1, weights=weights)
    side = _side(level)
    ends = np.quantile(means, [side, 1.0 - side], method="nearest")
    low, high = (float(end) if np.isfinite(end) else None for end in ends)
    return Interval(low=low, high=high, level=level)


def _side(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ProblemError("level", expected="a share between 0 and 1", found=level)
    return (1.0 - level) / 2.0
