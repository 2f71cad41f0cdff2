"""Measured outcomes as a table: what each number of samples of each arm was worth, and took, on each prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.curves.coverage import unbiased_coverage
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray, IntArray


def any_right(successes: IntArray, samples: IntArray, counts: Sequence[int]) -> FloatArray:
    """Return the unbiased chance that any of so many samples is right, (prompts, counts); NaN where fewer were drawn.

    Each pair of counts is computed once, however many prompts share it.
    """
    wanted = np.asarray(counts)
    pairs, place = np.unique(np.stack([successes, samples]), axis=1, return_inverse=True)
    value = np.full((pairs.shape[1], len(wanted)), np.nan)
    for drawn in np.unique(pairs[1]):
        mine, enough = np.flatnonzero(pairs[1] == drawn), np.flatnonzero(wanted <= drawn)
        if enough.size:
            value[np.ix_(mine, enough)] = unbiased_coverage(pairs[0, mine], pairs[1, mine], wanted[enough])
    return value[place.reshape(-1)]


def option_values(outcomes: Outcomes, pairs: Sequence[tuple[int, int]]) -> FloatArray:
    """Return (prompts, pairs) what each (arm, samples) was worth; NaN where too few samples were drawn."""
    if not pairs:
        raise ProblemError("options", expected="at least one", found=Plain("none"))
    table = np.empty((len(outcomes.prompts), len(pairs)))
    for arm in {arm for arm, _ in pairs}:
        mine = [column for column, pair in enumerate(pairs) if pair[0] == arm]
        counts = [pairs[column][1] for column in mine]
        table[:, mine] = any_right(outcomes.successes[:, arm], outcomes.samples[:, arm], counts)
    return table


def option_costs(outcomes: Outcomes, pairs: Sequence[tuple[int, int]], *, stop: bool = False) -> FloatArray:
    """Return (resources, prompts, pairs) what each (arm, samples) takes; NaN where not measured.

    Parameters
    ----------
    outcomes
        What was measured.
    pairs
        Positions of arms, and samples of each.
    stop
        True: a verifier stops at the first right sample, so that sample j + 1 is paid with the chance that j failed.
    """
    sheets = []
    for arm, count in pairs:
        drawn = np.full(len(outcomes.prompts), float(count))
        if stop:
            drawn = (1.0 - any_right(outcomes.successes[:, arm], outcomes.samples[:, arm], range(count))).sum(axis=1)
        sheets.append(np.where(drawn == 0.0, 0.0, outcomes.sample_cost[:, :, arm] * drawn))
    return np.stack(sheets, axis=2)
