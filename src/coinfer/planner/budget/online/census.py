"""What prompts still to come will take where they come in any order, but the pilot is a fair sample of them all."""

from __future__ import annotations

import numpy as np

from coinfer.planner.budget.online.dual import best_options
from coinfer.solver.program import FloatArray

MULTIPLIERS = 1.08 ** np.arange(-24.0, 25.0)
"""Multiples of the pilot's prices at which spending is counted."""


class Census:
    """Counts, at multiples of the pilot's prices, what the prompts so far would have taken.

    What is still to come is then known in two ways: all prompts as the pilot foretells them less those seen (good at
    the beginning, whatever the order), and prompts like the recent ones (good at the end, when little can change). The
    two are weighted by the inverse of their variance.

    Parameters
    ----------
    values, costs
        (rows, options) and (resources, rows, options): the pilot.
    prices
        (resources,): its prices.
    prompts
        Prompts in all.
    """

    def __init__(self, *, values: FloatArray, costs: FloatArray, prices: FloatArray, prompts: int) -> None:
        self.prices, self.prompts = prices, prompts
        self.pilot, self.error = spending(values, costs, prices)
        self.seen = np.zeros_like(self.pilot)

    def count(self, values: FloatArray, costs: FloatArray) -> None:
        """Add prompts that have been given an option."""
        self.seen += spending(values, costs, self.prices)[0] * len(values)

    def price(self, values: FloatArray, costs: FloatArray, allowance: FloatArray, left: int) -> FloatArray:
        """Return prices at which the ``left`` prompts to come take at most ``allowance`` each in the mean.

        ``values`` and ``costs`` are recent menus.
        """
        rest = np.maximum(self.prompts * self.pilot - self.seen, 0.0) / max(left, 1)
        rest_error = self.prompts * self.error / max(left, 1)
        recent, recent_error = spending(values, costs, self.prices)
        moving = np.abs(recent - self.pilot) * min(1.0, left / self.prompts) + recent_error
        weight = moving**2 / np.maximum(moving**2 + rest_error**2, 1e-300)
        need = np.minimum.accumulate(weight * rest + (1.0 - weight) * recent, axis=0)
        excess = (need / np.maximum(allowance, 1e-300)).max(axis=1)  # of the tightest resource; falls with the price
        if excess[0] <= 1.0:
            return self._times(float(MULTIPLIERS[0]) if excess[0] > 0.5 else 0.0)
        if excess[-1] > 1.0:
            return self._times(float(MULTIPLIERS[-1] * excess[-1]))
        at = int(np.argmax(excess <= 1.0))
        share = (excess[at - 1] - 1.0) / (excess[at - 1] - excess[at])
        ratio: float = MULTIPLIERS[at] / MULTIPLIERS[at - 1]
        return self._times(float(MULTIPLIERS[at - 1] * ratio**share))

    def _times(self, multiple: float) -> FloatArray:
        prices: FloatArray = self.prices * multiple
        return prices


def spending(values: FloatArray, costs: FloatArray, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what a row takes in the mean at each multiple of the prices, (multiples, resources), and its error."""
    mean, error = np.empty((2, len(MULTIPLIERS), len(costs)))
    for place, multiple in enumerate(MULTIPLIERS):
        option = best_options(values, costs, multiple * prices)
        taken = np.take_along_axis(costs, option[None, :, None], axis=2)[:, :, 0]
        mean[place], error[place] = taken.mean(axis=1), taken.std(axis=1) / np.sqrt(taken.shape[1])
    return mean, error
