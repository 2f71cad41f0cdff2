"""Budget problems from measured outcomes: one row of the menus for each stratum of difficulty, or for each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.calibration.update import REFITS, empirical_posteriors, empirical_refits
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.difficulty.measured import option_costs, option_values
from coinfer.models.budget.difficulty.shrink import Shrinkage, mean_per_stratum, stratum_values
from coinfer.models.budget.difficulty.strata import Partition
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Arm, Budget, Cost, Option, PosteriorMenus, Refit, Strata, TableMenus
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray, IntArray

NOTHING = Option(name="nothing", strategy="samples", samples=0)
"""The option that leaves a prompt alone."""
MOST_REFITTED = 2_000
"""Prompts up to which the fit is repeated, for the interval of a plan."""
FEW = 30
"""Prompts below which a stratum has no model of rates of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmKind:
    """What an arm of the outcomes is: the columns of a compute-optimal menu (Snell et al., arXiv 2408.03314).

    Attributes
    ----------
    arm
        Its name in the outcomes.
    strategy, model, endpoint, settings
        As in :class:`coinfer.models.budget.parts.Option`; ``settings`` has ``generations``, ``beam_width``,
        ``sequential_ratio``, ``temperature`` and so on.
    """

    arm: str
    strategy: str = "samples"
    model: str | None = None
    endpoint: str | None = None
    settings: Mapping[str, float] | None = None


def arm_grid(strategies: Sequence[str], models: Sequence[str], **settings: Sequence[float]) -> tuple[ArmKind, ...]:
    """Return strategy x model x every setting, named like ``beam/small/beam_width=4/generations=16``.

    >>> [kind.arm for kind in arm_grid(["beam"], ["small"], generations=[4, 16])]
    ['beam/small/generations=4', 'beam/small/generations=16']
    """
    kinds = []
    for strategy, model in product(strategies, models):
        for numbers in product(*settings.values()):
            own = dict(zip(settings, numbers, strict=True))
            name = "/".join([strategy, model, *(f"{key}={number:g}" for key, number in own.items())])
            kinds.append(ArmKind(arm=name, strategy=strategy, model=model, settings=own or None))
    return tuple(kinds)


def options_of(
    outcomes: Outcomes, counts: Sequence[int], kinds: Sequence[ArmKind] = ()
) -> tuple[tuple[Option, ...], tuple[tuple[int, int], ...]]:
    """Return an option for every arm and count of samples, and the position of the arm and the count of each.

    Parameters
    ----------
    outcomes
        What was measured.
    counts
        Numbers of samples, at least 1 each.
    kinds
        What the arms are; absent: all arms, each a model that is sampled.
    """
    if not counts or min(counts) < 1:
        raise ProblemError("counts", expected="numbers of samples, at least 1", found=list(counts))
    options, pairs = [], []
    for kind in kinds or [ArmKind(arm=arm, model=arm) for arm in outcomes.arms]:
        if kind.arm not in outcomes.arms:
            raise ProblemError("kinds", expected=f"arms of the outcomes: {', '.join(outcomes.arms)}", found=kind.arm)
        for count in sorted(set(counts)):
            options.append(
                Option(
                    name=f"{kind.arm} x {count}",
                    strategy=kind.strategy,
                    model=kind.model,
                    endpoint=kind.endpoint,
                    arm=kind.arm,
                    samples=count,
                    settings=None if kind.settings is None else dict(kind.settings),
                )
            )
            pairs.append((outcomes.arms.index(kind.arm), count))
    return tuple(options), tuple(pairs)


def stratum_problem(
    outcomes: Outcomes,
    partition: Partition,
    counts: Sequence[int],
    *,
    name: str,
    prompts: IntArray | None = None,
    budgets: tuple[Budget, ...] = (),
    kinds: Sequence[ArmKind] = (),
    shrinkage: Shrinkage | None = None,
    stop: bool = False,
) -> BudgetProblem:
    """Return the problem of giving each stratum its options, valued by the outcomes of the prompts in it.

    Parameters
    ----------
    outcomes, partition
        What was measured, and the strata of the same prompts.
    counts, kinds
        See :func:`options_of`. An option that was measured on no prompt is left out.
    name
        Of the problem.
    prompts
        (strata,): prompts to be planned for in each; absent: those that were measured. Strata without any are left out.
    budgets
        Limits over the prompts to be planned for.
    shrinkage
        See :func:`coinfer.models.budget.difficulty.shrink.stratum_values`.
    stop
        Whether a verifier stops at the first right sample, so that later ones are not paid.
    """
    options, pairs = options_of(outcomes, counts, kinds)
    table = option_values(outcomes, pairs)
    kept = np.flatnonzero(np.isfinite(table).any(axis=0))
    if not len(kept):
        raise ProblemError("counts", expected="numbers of samples that were drawn", found=list(counts))
    values = stratum_values(table[:, kept], partition, shrinkage)
    costs = option_costs(outcomes, [pairs[column] for column in kept], stop=stop)
    amounts = [stratum_cost(costs[r], partition, resource) for r, resource in enumerate(outcomes.resources)]
    chosen = (NOTHING, *(options[column] for column in kept))
    return assembled(name, chosen, values.value, values.error, outcomes.resources, amounts, partition, prompts, budgets)


def prompt_problem(
    outcomes: Outcomes,
    partition: Partition,
    counts: Sequence[int],
    *,
    name: str,
    budgets: tuple[Budget, ...] = (),
    stop: bool = False,
) -> BudgetProblem:
    """Return the problem of giving each prompt its options, by the posterior of its own counts.

    The posterior of each rate is that given the results of all arms on the prompt, by a model fitted to the prompts of
    its stratum, or of all where the stratum has few: see
    :func:`coinfer.models.budget.calibration.update.empirical_posteriors`. Costs are the means over all prompts;
    ``scale`` says how much each prompt differs where that was measured.
    """
    fitted, refits = _posteriors(outcomes, partition)
    measured = np.isfinite(outcomes.sample_cost)
    if not measured.any(axis=1).all():
        resource, arm = np.argwhere(~measured.any(axis=1))[0]
        where = f"outcomes.sample_cost[{resource}][:][{arm}]"
        raise ProblemError(where, expected="measured on some prompt", found=Plain("nowhere"))
    mean = np.where(measured, outcomes.sample_cost, 0.0).sum(axis=1) / measured.sum(axis=1)
    ratio = np.divide(
        outcomes.sample_cost,
        mean[:, None],
        out=np.ones(outcomes.sample_cost.shape),
        where=measured & (mean[:, None] > 0),
    )
    arms = tuple(
        Arm(
            name=arm,
            per_sample=tuple(
                Amount(resource=resource, amount=float(as_decimals(mean[r : r + 1, a])[0]))
                for r, resource in enumerate(outcomes.resources)
            ),
            stop_on_success=stop,
        )
        for a, arm in enumerate(outcomes.arms)
    )
    options, _ = options_of(outcomes, counts)
    nothing = Option(name=NOTHING.name, strategy="samples", arm=outcomes.arms[0], samples=0)
    return BudgetProblem(
        name=name,
        options=(nothing, *options),
        menus=PosteriorMenus(
            arms=arms,
            alpha=fitted.alpha,
            beta=fitted.beta,
            scale=Matrix(np.maximum(ratio.mean(axis=0), 1e-12)),
            refits=refits,
        ),
        budgets=budgets,
        strata=Strata(names=outcomes.prompts),
        information=partition.information,
    )


def _posteriors(outcomes: Outcomes, partition: Partition) -> tuple[Refit, tuple[Refit, ...]]:
    """Return alpha and beta, (prompts, arms), and those of refits where the prompts are not too many for that."""
    sizes = np.bincount(partition.of_prompt, minlength=len(partition.names))
    group = np.where(sizes >= FEW, np.arange(len(sizes)), -1)[partition.of_prompt]
    count = 1 + (REFITS if len(group) <= MOST_REFITTED else 0)
    alpha, beta = np.empty((count, *outcomes.successes.shape)), np.empty((count, *outcomes.successes.shape))
    for name in np.unique(group):
        rows = np.flatnonzero(group == name)
        own = outcomes.only(rows)
        made = (empirical_posteriors(own), *(empirical_refits(own) if count > 1 else ()))
        for i, each in enumerate(made):
            alpha[i, rows], beta[i, rows] = each.alpha.array, each.beta.array
    first, *others = (Refit(alpha=Matrix(a), beta=Matrix(b)) for a, b in zip(alpha, beta, strict=True))
    return first, tuple(others)


def stratum_cost(cost: FloatArray, partition: Partition, resource: str) -> FloatArray:
    """Return (strata, options) mean costs; a stratum where nothing was measured takes the mean of all."""
    known = np.isfinite(cost)
    if not known.any(axis=0).all():
        column = int(np.argmin(known.any(axis=0)))
        where = f"cost of {resource} of option {column}"
        raise ProblemError(where, expected="measured on some prompt", found=Plain("nowhere"))
    overall = np.where(known, cost, 0.0).sum(axis=0) / known.sum(axis=0)
    own = np.equal.outer(np.arange(len(partition.names)), partition.of_prompt).astype(np.float64)
    return np.where(own @ known > 0, mean_per_stratum(cost, partition), overall)


def as_decimals(numbers: FloatArray) -> FloatArray:
    """Round to at least six significant digits, and at most twelve decimal places.

    A mean of measurements is known to fewer, and short decimals are planned and checked in whole numbers.
    """
    smallest = numbers[numbers > 0.0].min(initial=1.0)
    places = int(np.clip(5 - np.floor(np.log10(smallest)), 6, 12))
    rounded: FloatArray = np.round(numbers, places)
    return rounded


def assembled(
    name: str,
    options: tuple[Option, ...],
    value: FloatArray,
    error: FloatArray,
    resources: tuple[str, ...],
    amounts: list[FloatArray],
    partition: Partition,
    prompts: IntArray | None,
    budgets: tuple[Budget, ...],
) -> BudgetProblem:
    """Return the problem of some options and of doing nothing; strata without prompts are left out."""
    held = partition.prompts if prompts is None else prompts
    if held.shape != (len(partition.names),) or held.min() < 0 or not held.any():
        expected = f"{len(partition.names)} numbers, at least 0, some above"
        raise ProblemError("prompts", expected=expected, found=held)
    here = np.flatnonzero(held)
    nothing = np.zeros((len(here), 1))
    return BudgetProblem(
        name=name,
        options=options,
        menus=TableMenus(
            value=Matrix(np.hstack([nothing, np.clip(as_decimals(value[here]), 0.0, 1.0)])),
            value_error=Matrix(np.hstack([nothing, as_decimals(error[here])])),
            cost=tuple(
                Cost(resource=resource, amount=Matrix(np.hstack([nothing, as_decimals(amount[here])])))
                for resource, amount in zip(resources, amounts, strict=True)
            ),
        ),
        budgets=budgets,
        strata=Strata(names=tuple(partition.names[row] for row in here), prompts=Matrix(held[here, None])),
        information=partition.information,
    )
