"""A budget problem from outcomes, with plain defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.difficulty.menus import prompt_problem, stratum_problem
from coinfer.models.budget.difficulty.strata import by_label, pooled
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Budget, Information

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Numbers of samples that are offered where nothing else is asked for; those that were never drawn drop out."""
Per = Literal["stratum", "prompt"]
Strategy = Literal["samples", "stop_on_success"]


def problem_from(
    outcomes: Outcomes,
    *,
    name: str,
    budgets: Sequence[Budget] = (),
    samples: Sequence[int] = COUNTS,
    strategy: Strategy = "samples",
    per: Per = "stratum",
    objective: Literal["value", "cost", "cost_of_pass"] = "value",
    minimise: str | None = None,
    value_floor: float | None = None,
) -> BudgetProblem:
    """Return the problem of giving prompts so many samples of an arm, where any right one counts.

    Parameters
    ----------
    outcomes
        What was measured.
    name
        Of the problem.
    budgets
        Limits over all prompts of the outcomes.
    samples
        Numbers of samples offered of every arm.
    strategy
        ``samples``: all are drawn and paid. ``stop_on_success``: a verifier stops at the first right one.
    per
        ``stratum``: one row for each label, or one for all prompts where there are none; values are means over its
        prompts. ``prompt``: one row for each prompt, a posterior of its own counts over a prior that is fitted to all
        prompts of its label. That is for prompts that come again: their past samples are what tells them apart, and
        the problem says so.
    objective, minimise, value_floor
        As in :class:`coinfer.models.budget.data.BudgetProblem`.

    Raises
    ------
    ProblemError
        If the outcomes cannot carry the problem.
    """
    if not outcomes.resources:
        raise ProblemError("outcomes.resources", expected="at least one", found=Plain("none"))
    if strategy not in ("samples", "stop_on_success"):
        raise ProblemError("strategy", expected="'samples' or 'stop_on_success'", found=strategy)
    if not (samples and all(isinstance(count, int) and 1 <= count <= 1_000_000 for count in samples)):
        raise ProblemError("samples", expected="whole numbers in 1..1,000,000", found=list(samples))
    partition = by_label(outcomes) if outcomes.labels else pooled(len(outcomes.prompts))
    stop, limits = strategy == "stop_on_success", tuple(budgets)
    if per == "stratum":
        made = stratum_problem(outcomes, partition, samples, name=name, budgets=limits, stop=stop)
    elif per == "prompt":
        made = prompt_problem(outcomes, partition, samples, name=name, budgets=limits, stop=stop)
        made = msgspec.structs.replace(made, information=_history(outcomes))
    else:
        raise ProblemError("per", expected="'stratum' or 'prompt'", found=per)
    options = tuple(
        msgspec.structs.replace(option, strategy=strategy) if option.samples else option for option in made.options
    )
    return msgspec.structs.replace(
        made, options=options, objective=objective, minimise=minimise, value_floor=value_floor
    )


def _history(outcomes: Outcomes) -> Information:
    """Say what tells single prompts apart: their own past samples, which have been paid."""
    drawn = outcomes.samples.sum(axis=1)
    cost = []
    for r, resource in enumerate(outcomes.resources):
        spent = outcomes.sample_cost[r] * outcomes.samples
        if np.isfinite(spent[outcomes.samples > 0]).all():
            amount = float(np.where(outcomes.samples > 0, spent, 0.0).sum() / len(outcomes.prompts))
            cost.append(Amount(resource=resource, amount=amount))
    description = f"past samples of the prompts themselves, {drawn.mean():.4g} for each; not charged"
    return Information(source="history", cost=tuple(cost), charged=False, description=description)
