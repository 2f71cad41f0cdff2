r"""What each expert's answer to each prompt is worth: the matrix whose mean over the routes a plan makes largest.

.. math::

   v_{dn} = q_{dn}, \qquad v_{dn} = -e_{n k(d)}, \qquad
   v_{dn} = -\min\bigl(c_{n k(d)} / P_{dn},\; f_{k(d)}\bigr), \quad P_{dn} = \frac{a + m q_{dn}}{a + b + m}

for the objectives ``quality``, ``energy_j`` and ``cost_of_pass``. The last is minus the cost of a pass: expected cost
of an attempt over the chance that it is right, capped by the fallback. The fallback caps each entry, so that the
best value over a selection stays a facility location whatever is selected.

References
----------
M. H. Erol et al., "Cost-of-Pass: An Economic Framework for Evaluating Language Models", arXiv 2504.13359: the ratio,
and the minimum over models and a human fallback. The Beta prior is ours: the ratio is infinite where no run passed.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from coinfer.models.exact import exact
from coinfer.models.selection.data import NEEDED, CostOfPass, SelectionProblem
from coinfer.solver.program import FloatArray


def values(problem: SelectionProblem) -> FloatArray:
    """Return the value matrix, (prompts, experts), each entry computed from decimals and rounded once.

    An entry is NaN where the figure it needs is absent; that expert may not answer that prompt (see ``answerable``).
    With objective ``quality`` no entry is.
    """
    field = NEEDED[problem.objective]
    if field is None:
        return problem.quality.array
    table = np.full(problem.quality.shape, np.nan)
    rows: dict[str, list[int]] = {}
    for i, prompt in enumerate(problem.prompts):
        rows.setdefault(prompt.category, []).append(i)
    for n, expert in enumerate(problem.experts):
        figures: dict[str, float] = getattr(expert, field) or {}
        for category in rows.keys() & figures.keys():
            table[rows[category], n] = _column(problem, category, figures[category], rows[category], n)
    table.flags.writeable = False
    return table


def _column(problem: SelectionProblem, category: str, number: float, rows: list[int], n: int) -> FloatArray | float:
    """Return the values of expert ``n``, whose figure is ``number``, for the prompts of a category."""
    record = problem.cost_of_pass
    if record is None:
        return -number
    shares, place = np.unique(problem.quality.array[rows, n], return_inverse=True)
    costs = [float(cost_of_pass(record, category, number, share)) for share in shares.tolist()]
    return -np.array(costs)[place]


def cost_of_pass(record: CostOfPass, category: str, price_usd: float, share: float) -> Fraction:
    """Return the expected money for one right answer, USD: attempts until one passes, or the fallback if cheaper.

    Parameters
    ----------
    record
        Trials, prior and fallback.
    category
        Category of the prompt; it has a fallback.
    price_usd
        Money per attempt.
    share
        Share of the trials that passed, in [0, 1].
    """
    fallback, prior = exact(record.fallback_price_usd[category]), exact(record.prior_successes)
    chance = (prior + record.trials * exact(share)) / (prior + exact(record.prior_failures) + record.trials)
    # An expert that never passes leaves all to the fallback, even when it is free.
    return fallback if chance == 0 else min(exact(price_usd) / chance, fallback)
