"""Menus of posteriors, computed for a block of strata at a time and never stored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coinfer.models.budget.curves.passes import expected_rounds, expected_tries
from coinfer.models.budget.parts import Arm, Option, PosteriorMenus
from coinfer.solver.program import FloatArray

RUN = 1024
"""Strata that are computed together."""


def columns(
    menus: PosteriorMenus, options: tuple[Option, ...], resources: tuple[str, ...], start: int, stop: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Return value, cost and expected seconds of every option for strata ``start`` to ``stop``.

    With :math:`S_k = E[(1-p)^k] = \prod_{j<k} \frac{\beta + j}{\alpha + \beta + j}` an option of k samples is worth
    :math:`1 - S_k`. It pays for k samples, or for :math:`\sum_{j<k} S_j` of them where it stops at the first right one
    (the expected number: sample j + 1 is drawn where the first j failed).

    Returns
    -------
    value, cost, seconds
        (strata, options), (resources, strata, options), (strata, options); seconds are NaN where the arm has none.
    """
    rows = stop - start
    value, seconds = np.empty((rows, len(options))), np.empty((rows, len(options)))
    cost = np.empty((len(resources), rows, len(options)))
    for first in range(0, rows, RUN):  # small enough to be turned inside the processor's cache
        last = min(first + RUN, rows)
        parts = _turned(menus, options, resources, slice(start + first, start + last))
        value[first:last], seconds[first:last] = parts[0].T, parts[2].T
        cost[:, first:last] = parts[1].transpose(0, 2, 1)
    return value, cost, seconds


def _turned(
    menus: PosteriorMenus, options: tuple[Option, ...], resources: tuple[str, ...], rows: slice
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the same with the options first: whole columns are computed at a time."""
    alpha, beta = menus.alpha.array[rows], menus.beta.array[rows]
    shape = (len(options), len(alpha))
    value, seconds = np.empty(shape), np.full(shape, np.nan)
    cost = np.empty((len(resources), *shape))
    for index, arm in enumerate(menus.arms):
        mine = [i for i, option in enumerate(options) if option.arm == arm.name]
        scale = np.ones(len(alpha)) if menus.scale is None else menus.scale.array[rows, index]
        each = _per_sample(arm, resources)
        for i, right, drawn in _draws(arm, alpha[:, index], beta[:, index], options, mine):
            count = int(options[i].samples or 0)
            value[i] = right
            scaled = drawn * scale
            for r, once in enumerate(_cost(arm, resources, count)):
                cost[r, i] = each[r] * scaled + once
            if arm.sample_s is not None:
                seconds[i] = arm.sample_s * (scale * min(count, 1) if arm.parallel else scaled)
    return value, cost, seconds


def until_right(
    menus: PosteriorMenus, options: tuple[Option, ...], resources: tuple[str, ...], start: int, stop: int
) -> FloatArray:
    r"""Return what every option takes in expectation if it is repeated until a sample is right.

    All rounds of a prompt share its rate, so it is :math:`E[1 / (1-(1-p)^k)]` rounds of k samples; one that stops at
    the first right sample draws :math:`E[1/p]` of them.

    Returns
    -------
    FloatArray
        (resources, strata, options); infinite where an option draws nothing, or the mean number of rounds does not
        exist (alpha at most 1).
    """
    alpha, beta = menus.alpha.array[start:stop], menus.beta.array[start:stop]
    cost = np.full((len(resources), stop - start, len(options)), np.inf)
    place = {arm.name: index for index, arm in enumerate(menus.arms)}
    for i, option in enumerate(options):
        index, count = place[option.arm or ""], int(option.samples or 0)
        if not count:
            continue
        arm, a, b = menus.arms[index], alpha[:, index], beta[:, index]
        rounds = expected_rounds(a, b, count)
        drawn = expected_tries(a, b) if arm.stop_on_success else count * rounds
        scale = np.ones(len(a)) if menus.scale is None else menus.scale.array[start:stop, index]
        finite, each, once = np.isfinite(rounds), _per_sample(arm, resources), _cost(arm, resources, count)
        for r in range(len(resources)):
            cost[r, finite, i] = each[r] * (drawn * scale)[finite] + once[r] * rounds[finite]
    return cost


def worst(menus: PosteriorMenus, option: Option, resources: tuple[str, ...]) -> FloatArray:
    """Return what an option takes at most, (resources, strata): all its samples, each of the expected size."""
    index = next(i for i, arm in enumerate(menus.arms) if arm.name == option.arm)
    arm, count = menus.arms[index], int(option.samples or 0)
    scale = np.ones(menus.alpha.shape[0]) if menus.scale is None else menus.scale.array[:, index]
    return _cost(arm, resources, count)[:, None] + count * _per_sample(arm, resources)[:, None] * scale


def _draws(
    arm: Arm, alpha: FloatArray, beta: FloatArray, options: tuple[Option, ...], mine: list[int]
) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Yield each option of an arm with its value and the samples that it draws in expectation.

    Only sums and products of positive numbers, so that tiny rates keep all their digits.
    """
    fails, right, expected = np.ones(len(alpha)), np.zeros(len(alpha)), np.zeros(len(alpha))
    done = 0
    for i in sorted(mine, key=lambda i: options[i].samples or 0):
        count = int(options[i].samples or 0)
        while done < count:
            rate = fails / (alpha + beta + done)
            expected += fails
            right += rate * alpha
            fails = rate * (beta + done)
            done += 1
        yield i, right, expected if arm.stop_on_success else np.full(len(alpha), float(count))


def _cost(arm: Arm, resources: tuple[str, ...], count: int) -> FloatArray:
    """Return what is paid once, (resources,): nothing where nothing is sampled."""
    once = {each.resource: each.amount for each in arm.per_prompt}
    return np.array([once.get(name, 0.0) if count else 0.0 for name in resources])


def _per_sample(arm: Arm, resources: tuple[str, ...]) -> FloatArray:
    each = {item.resource: item.amount for item in arm.per_sample}
    return np.array([each.get(name, 0.0) for name in resources])
