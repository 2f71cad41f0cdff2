r"""Selections that the calibration prompts cannot tell from the best one.

With :math:`d_i` the difference of the values of prompt :math:`i` under two selections and :math:`w_i` its share of
the traffic, the mean difference is :math:`\Delta = \sum_i w_i d_i`, and its standard error

.. math:: s = \sqrt{\frac{n}{n - 1} \sum_i w_i^2 (d_i - \Delta)^2},

which for equal weights is the standard deviation of the differences divided by the root of their number
(the linearised variance of a ratio mean; W. G. Cochran, "Sampling Techniques", 3rd ed., 1977, section 6.3). The two
are tied when :math:`|\Delta| \le z s`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from coinfer.errors import InputError
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.values import values
from coinfer.planner.bound import TOLERANCE, scale_of
from coinfer.planner.explore.answers import Answers, weights_of, worth_of
from coinfer.planner.explore.best import Candidate, OnFound, ranked
from coinfer.planner.explore.optimum import How
from coinfer.solver.program import FloatArray

Z = 1.96
"""Standard errors of a two-sided test at the 5 % level."""
LOOK_AT, LOOK_AT_PLANNED = 500, 20
"""Selections to look at: where one search finds all, and where each takes solves of its own."""
RUNNERS_UP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """How two selections differ on the same prompts.

    Attributes
    ----------
    difference
        Mean of the differences, weighted by traffic.
    standard_error
        Of that mean; ``None`` with a single prompt, which says nothing of it.
    tied
        True when the difference is within :data:`Z` standard errors; ``None`` without a standard error.
    """

    difference: float
    standard_error: float | None
    tied: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tied:
    """A selection that is tied with the best.

    Attributes
    ----------
    selection, gap
        The selection, and its paired difference from the best.
    """

    selection: Candidate
    gap: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """All tied selections that were found.

    Attributes
    ----------
    best
        The best selection.
    tied
        The others, best first.
    contains
        By expert, how many of the best and the tied selections contain it; experts in none are absent.
    sure
        Experts in all of them.
    looked_at
        How many selections were compared with the best.
    bound
        No selection off that list is worth more; ``None`` where there is no other, or nothing is proven.
    reach
        No selection that is worth less by more than this can be tied, whatever its answers; ``None`` with too few
        prompts to say.
    complete
        True when it is proven that there are no further ties.
    effective_prompts
        Number of equally weighted prompts that the weights amount to, ``1 / sum of squared shares``.
    """

    best: Candidate
    tied: tuple[Tied, ...]
    contains: dict[str, int]
    sure: tuple[str, ...]
    looked_at: int
    bound: float | None
    reach: float | None
    complete: bool
    effective_prompts: float


def paired(first: FloatArray, second: FloatArray, shares: FloatArray, *, rounding: float = 0.0) -> Gap:
    """Compare two selections by the values of the same prompts, all (prompts,); ``shares`` add up to 1.

    Differences of at most ``rounding`` count as none.
    """
    differences = first - second
    differences[np.abs(differences) <= rounding] = 0.0
    mean, count = float(shares @ differences), len(shares)
    if count < 2:
        return Gap(difference=mean, standard_error=None, tied=None)
    error = math.sqrt(count / (count - 1) * float(shares**2 @ (differences - mean) ** 2))
    return Gap(difference=mean, standard_error=error, tied=abs(mean) <= Z * error)


def tied_selections(
    problem: SelectionProblem, *, count: int | None = None, how: How | None = None, on_found: OnFound | None = None
) -> Ties:
    """Return the selections that the calibration prompts cannot tell from the best one.

    The prompts are taken as drawn independently from the traffic, in proportion to it or with the weights that make
    up for that. Every selection has the routing that is best on these very prompts (the routes found, where a limit
    couples them), and each is compared with the best alone: the many comparisons are not corrected for.

    Parameters
    ----------
    problem
        The problem; at least two prompts.
    count
        Most selections to look at; by default 500, and 20 where each takes solves of its own.
    how, on_found
        As in :func:`coinfer.planner.explore.best.best_selections`.

    Raises
    ------
    InputError
        If there is only one prompt.
    Infeasible, LimitReached
        As there.
    """
    how = how or How()
    if len(problem.prompts) < 2:
        raise InputError("prompts", expected="at least 2, to tell ties from differences", found=len(problem.prompts))
    count = count or (LOOK_AT if how.monotonic(problem) else LOOK_AT_PLANNED)
    first = ranked(problem, count=1, within=0.0, how=how)
    top = _lean(problem, first.ranking.selections[0])
    answers, shares, rounding = Answers(problem), weights_of(problem), TOLERANCE * scale_of(problem)
    best = _worth(problem, answers, top, first.decisions[0])
    reach = _reach(problem, best, shares)
    found = ranked(problem, count=count, within=math.inf if reach is None else reach, how=how, on_found=on_found)
    gaps = [
        (item, paired(best, _worth(problem, answers, item, made), shares, rounding=rounding))
        for item, made in zip(found.ranking.selections, found.decisions, strict=True)
        if item.selected != top.selected
    ]
    tied = tuple(Tied(selection=item, gap=gap) for item, gap in gaps if gap.tied)
    members = [top.selected, *(item.selection.selected for item in tied)]
    contains = {
        expert.name: held for expert in problem.experts if (held := sum(expert.name in names for names in members))
    }
    ranking = found.ranking
    outside = reach is not None and (ranking.bound is None or ranking.bound < top.value - reach)
    proven = ranking.complete and ranking.selections[0].value <= top.value + rounding
    return Ties(
        best=top,
        tied=tied,
        contains=contains,
        sure=tuple(name for name, held in contains.items() if held == len(members)),
        looked_at=len(gaps),
        bound=ranking.bound,
        reach=reach,
        complete=proven and (outside or len(ranking.selections) < count),
        effective_prompts=1.0 / float(shares @ shares),
    )


def tied_gap(problem: SelectionProblem, decision: SelectionDecision, *, how: How | None = None) -> Gap | None:
    """Return the paired difference between a decision and the best selection that answers otherwise.

    Selections that differ only in experts that answer nothing are passed over; ``None`` where none of the
    next best ones answers anything otherwise.
    """
    how, shares = how or How(), weights_of(problem)
    own, answers, rounding = worth_of(problem, decision), Answers(problem), TOLERANCE * scale_of(problem)
    found = ranked(problem, count=RUNNERS_UP, within=math.inf, how=how)
    for item, made in zip(found.ranking.selections, found.decisions, strict=True):
        other = _worth(problem, answers, item, made)
        if set(item.selected) != set(decision.selected) and (np.abs(other - own) > rounding).any():
            return paired(own, other, shares, rounding=rounding)
    return None


def _lean(problem: SelectionProblem, item: Candidate) -> Candidate:
    """Return a selection without the idle experts that it need not hold: every limit still holds."""
    spare = set(item.idle) - set(problem.required)
    return replace(
        item,
        selected=tuple(name for name in item.selected if name not in spare),
        idle=tuple(name for name in item.idle if name not in spare),
    )


def _worth(
    problem: SelectionProblem, answers: Answers, item: Candidate, decision: SelectionDecision | None
) -> FloatArray:
    return answers.worth(item.selected) if decision is None else worth_of(problem, decision)


def _reach(problem: SelectionProblem, best: FloatArray, shares: FloatArray) -> float | None:
    r"""Return a difference above which nothing can be tied, whatever its answers.

    With :math:`m_i` the largest possible :math:`|d_i|`, a tie at :math:`\Delta \ge 0` has
    :math:`\Delta \le z c (\lVert w m \rVert + \Delta \lVert w \rVert)`, :math:`c = \sqrt{n / (n - 1)}`.
    """
    table = values(problem)
    low, high = np.nanmin(table, axis=1), np.nanmax(table, axis=1)
    largest = np.maximum(np.abs(best - low), np.abs(best - high))
    factor = Z * math.sqrt(len(shares) / (len(shares) - 1))
    own = factor * float(np.linalg.norm(shares))
    return factor * float(np.linalg.norm(shares * largest)) / (1.0 - own) if own < 1.0 else None
