"""Values of options per stratum, pulled toward what all prompts say where a stratum says too little.

Two effects make raw means per stratum lose at large budgets: with many options the luckiest looks best, and few prompts
make the luck large. Three remedies, each a number in 0..1 and 0 for none: strata learn from close ones, prompts learn
from equally hard ones, and what is left is drawn toward the mean over all prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.difficulty.frontier import Frontier, frontier
from coinfer.models.budget.difficulty.strata import Partition
from coinfer.solver.program import FloatArray, IntArray

_FARTHEST = 1e-3
"""Weight of prompts that are in no way close: an empty stratum then has the mean of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinkage:
    """How strata borrow from each other.

    Attributes
    ----------
    width
        Levels so far apart count e^-0.5 of a prompt; 0: only equal levels.
    across
        Weight of prompts of another group.
    hardness
        Share of a prompt's values that is replaced by the mean of prompts that are equally hard over all options: one
        factor, which removes the luck of single options.
    pull
        Weight of the mean over all prompts in the result; 1: strata are not told apart.
    """

    width: float = 0.0
    across: float = 0.0
    hardness: float = 0.0
    pull: float = 0.0


NOTHING_LEARNED = Shrinkage(pull=1.0)
ORDERED = Shrinkage(width=0.1, across=0.15, hardness=0.5)
"""For strata that have an order, such as counts of past successes."""
CANDIDATES = tuple(
    Shrinkage(width=0.1, across=across, hardness=hardness, pull=pull)
    for across in (0.0, 0.15)
    for hardness in (0.0, 0.5, 1.0)
    for pull in (0.0, 0.3)
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StratumValues:
    """What options are worth for a prompt of each stratum.

    Attributes
    ----------
    value, error
        (strata, options): estimate, and the standard error of the measured mean that it comes from (over prompts drawn
        like those; what shrinkage takes off is not counted).
    """

    value: FloatArray
    error: FloatArray


def stratum_values(table: FloatArray, partition: Partition, shrinkage: Shrinkage | None = None) -> StratumValues:
    """Return the values of options per stratum.

    Parameters
    ----------
    table
        (prompts, options): what was measured on each prompt of the partition; NaN: not measured.
    partition
        Strata of the same prompts.
    shrinkage
        How strata borrow from each other; absent: :data:`ORDERED` where strata have levels, else
        :func:`empirical_bayes`, with which a label did not lose on measured outcomes.

    Raises
    ------
    ProblemError
        If an option was measured on no prompt.
    """
    if shrinkage is None:
        if len(np.unique(partition.level)) < 2:
            return empirical_bayes(table, partition, hardness=ORDERED.hardness)
        shrinkage = ORDERED
    _check(table, partition)
    known = np.isfinite(table)
    filled = np.where(known, table, 0.0)
    overall = filled.sum(axis=0) / known.sum(axis=0)
    weights = _closeness(partition, shrinkage)
    error = _error(filled, known, overall, weights)
    if shrinkage.hardness:
        filled, known = _equally_hard(filled, known, overall, shrinkage.hardness)
    total = weights @ known
    near = np.broadcast_to(overall, total.shape).copy()
    value = np.divide(weights @ (filled * known), total, out=near, where=total > 0.0)
    pull = shrinkage.pull
    return StratumValues(value=(1.0 - pull) * value + pull * overall, error=error)


def empirical_bayes(table: FloatArray, partition: Partition, *, hardness: float = 0.0) -> StratumValues:
    r"""Return means per stratum, each drawn toward the mean of all by its noise.

    For every option the spread of the strata around the common mean is estimated by moments (DerSimonian and Laird
    1986): :math:`\tau^2 = (Q - (m - 1)) / (\sum w - \sum w^2 / \sum w)` with :math:`w = 1 / \sigma^2`; the mean of a
    stratum keeps the share :math:`\tau^2 / (\tau^2 + \sigma^2)`. The variance within strata is pooled.
    ``hardness`` is that of :class:`Shrinkage`.
    """
    _check(table, partition)
    known = np.isfinite(table)
    filled = np.where(known, table, 0.0)
    overall = filled.sum(axis=0) / known.sum(axis=0)
    own = np.equal.outer(np.arange(len(partition.names)), partition.of_prompt).astype(np.float64)
    error = _error(filled, known, overall, own)
    if hardness:
        filled, known = _equally_hard(filled, known, overall, hardness)
    count = own @ known
    mean = np.divide(own @ filled, count, out=np.zeros(count.shape), where=count > 0)
    within = ((filled - mean[partition.of_prompt]) ** 2 * known).sum(axis=0)
    freedom = np.maximum(known.sum(axis=0) - (count > 0).sum(axis=0), 1)
    variance = np.maximum(within / freedom, 1e-12)
    weight = count / variance
    total = weight.sum(axis=0)
    center = (weight * mean).sum(axis=0) / total
    spread = (weight * (mean - center) ** 2).sum(axis=0) - ((count > 0).sum(axis=0) - 1)
    scale = total - (weight**2).sum(axis=0) / total
    between = np.maximum(np.divide(spread, scale, out=np.zeros(len(scale)), where=scale > 1e-9), 0.0)
    share = between * count / (between * count + variance)
    value = share * mean + (1.0 - share) * overall
    return StratumValues(value=value, error=error)


def chosen_shrinkage(
    table: FloatArray,
    cost: FloatArray,
    partition: Partition,
    budgets: FloatArray,
    *,
    candidates: Sequence[Shrinkage] = CANDIDATES,
    folds: int = 5,
    repeats: int = 2,
    seed: int = 0,
) -> Shrinkage:
    """Return the candidate whose plans gain most on prompts that they were not made from.

    Every candidate plans for the prompts of one fold by the values of the others, at all ``budgets``. Strata are told
    apart only where that gains more than its noise: the choice must beat the plan that does not tell them apart by half
    a standard error, or that one is returned. So weak information costs little.

    Parameters
    ----------
    table
        (prompts, options): measured values.
    cost
        (options,): what they take.
    partition
        Strata of the prompts.
    budgets
        (budgets,): mean spends at which the plans matter.
    candidates, folds, repeats, seed
        What to try, and how the prompts are split.
    """
    _check(table, partition)
    random = np.random.default_rng(seed)
    gains = []
    for _ in range(repeats):
        fold = random.permutation(len(table)) % folds
        for part in range(folds):
            out, rest = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
            learn, score = partition.only(rest), partition.only(out)
            if not np.isfinite(table[rest]).any(axis=0).all():
                continue
            base = _held_out(table, cost, learn, score, rest, out, NOTHING_LEARNED).at(budgets)
            tried = [_held_out(table, cost, learn, score, rest, out, each).at(budgets) for each in candidates]
            gains.append(np.mean(np.array(tried) - base, axis=1))
    if not gains:
        return NOTHING_LEARNED
    found = np.array(gains)
    surplus = found.mean(axis=0) - 0.5 * found.std(axis=0) / np.sqrt(folds)
    best = int(np.argmax(surplus))
    return candidates[best] if surplus[best] > 0.0 else NOTHING_LEARNED


def mean_per_stratum(table: FloatArray, partition: Partition) -> FloatArray:
    """Return (strata, columns) plain means over the prompts of each stratum; 0 where there is none."""
    known = np.isfinite(table)
    own = np.equal.outer(np.arange(len(partition.names)), partition.of_prompt).astype(np.float64)
    count = own @ known
    return np.divide(own @ np.where(known, table, 0.0), count, out=np.zeros(count.shape), where=count > 0)


def _held_out(
    table: FloatArray,
    cost: FloatArray,
    learn: Partition,
    score: Partition,
    rest: IntArray,
    out: IntArray,
    shrinkage: Shrinkage,
) -> Frontier:
    value = stratum_values(table[rest], learn, shrinkage).value
    truth = mean_per_stratum(table[out], score)
    costs = np.broadcast_to(cost, value.shape)
    return frontier(value, costs, score.prompts.astype(np.float64), true_value=truth)


def _error(filled: FloatArray, known: NDArray[np.bool_], overall: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the standard error of weighted means of the values as they were measured.

    One prompt of the spread of all is added to each stratum, so that a few equal prompts do not look certain.
    """
    total, squares = weights @ known, weights**2 @ known
    there = total > 0.0
    size = np.divide(total**2, squares, out=np.zeros(total.shape), where=there)
    mean = np.divide(weights @ filled, total, out=np.zeros(total.shape), where=there)
    spread = np.divide(weights @ filled**2, total, out=np.zeros(total.shape), where=there) - mean**2
    common = (filled**2).sum(axis=0) / known.sum(axis=0) - overall**2
    variance = (size * np.maximum(spread, 0.0) + np.maximum(common, 0.0)) / (size + 1.0)
    error: FloatArray = np.sqrt(variance / np.maximum(size, 1.0))
    return error


def _equally_hard(
    filled: FloatArray, known: NDArray[np.bool_], overall: FloatArray, share: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the values with a share of each replaced by the mean over prompts of about the same rank of hardness."""
    width = 0.07  # of all ranks: some 14 of 200 prompts to either side
    ease = np.where(known, filled - overall, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    ordered = np.sort(ease)
    rank = (np.searchsorted(ordered, ease, "left") + np.searchsorted(ordered, ease, "right")) / (2.0 * len(ease))
    kernel = np.exp(-0.5 * ((rank[:, None] - rank) / width) ** 2)
    smooth = (kernel @ (filled * known)) / np.maximum(kernel @ known, 1e-300)
    mixed = np.where(known, (1.0 - share) * filled + share * smooth, smooth)
    shifted = mixed + (overall - mixed.mean(axis=0))  # the mean of all stays
    return np.clip(shifted, 0.0, None), np.ones_like(known)


def _closeness(partition: Partition, shrinkage: Shrinkage) -> FloatArray:
    """Return (strata, prompts): how much each prompt says about each stratum."""
    level, group = partition.level[partition.of_prompt], partition.group[partition.of_prompt]
    apart = np.abs(np.subtract.outer(partition.level, level))
    steep = 1.0 / shrinkage.width if shrinkage.width > 0.0 else 1e9
    near = np.exp(-0.5 * np.minimum(apart * steep, 100.0) ** 2)
    same = np.equal.outer(partition.group, group)
    weights: FloatArray = np.where(same, 1.0, shrinkage.across) * near
    return weights + _FARTHEST * np.where(weights.sum(axis=1, keepdims=True) > 0.0, shrinkage.width > 0.0, 1.0)


def _check(table: FloatArray, partition: Partition) -> None:
    if table.ndim != 2 or len(table) != len(partition.of_prompt):
        expected = f"one row for each of {len(partition.of_prompt)} prompts"
        raise ProblemError("table", expected=expected, found=Plain(f"shape {table.shape}"))
    missing = ~np.isfinite(table).any(axis=0)
    if missing.any():
        column = int(np.argmax(missing))
        raise ProblemError(f"options[{column}]", expected="measured on some prompt", found=Plain("nowhere"))
