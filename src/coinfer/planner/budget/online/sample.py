"""Menus that stand for the prompts to come, and what they foretell wrongly."""

from __future__ import annotations

import numpy as np

from coinfer.planner.budget.online.dual import best_options
from coinfer.solver.program import FloatArray

LEAST_FACTOR, MOST_FACTOR = 1.0 / 16.0, 16.0
"""Limits of what a learnt factor on costs may be."""
NOTABLE, ERRORS, FEWEST = 0.05, 4.0, 50
"""Prompts differ from the pilot notably where what they take differs by so large a share, and so many errors of it.

That is seen only when at least so many menus have come."""


class Sample:
    """The pilot's menus, then overwritten one after another by menus of prompts that came.

    A sample of some hundred menus foretells what prompts take with an error of some per cent. Of the prompts between
    two of its menus it remembers what they were expected to take; the ratio of that to what its own menus take, each
    at the prices of its time, corrects the forecast.

    Parameters
    ----------
    values, costs
        (rows, options) and (resources, rows, options): the pilot.
    prices
        (resources,): the first prices.
    stride
        Every so manieth menu is remembered.

    Attributes
    ----------
    paid, own, around
        (resources, rows): prices when the menu came, what it was expected to take, and the mean of it and the prompts
        before it; the first prices, and 0, where the row is the pilot's.
    fresh, slot
        How many rows are no more the pilot's, and the row that is overwritten next.
    gathered, gathering
        (resources,): what prompts since the last remembered menu were expected to take, and how many they are.
    usual, error
        (resources,): what the pilot's prompts take in the mean at the first prices, and its standard error.
    drift
        (resources,): what recent prompts take at the first prices over what the pilot's do, less 1; where the pilot
        takes nothing, 0 or ``inf``. The largest that was notable, else the last.
    noticed
        (resources,): whether the drift is notable.
    """

    def __init__(self, *, values: FloatArray, costs: FloatArray, prices: FloatArray, stride: int) -> None:
        self.values, self.costs = values, costs
        resources, rows = costs.shape[:2]
        self.first, self.stride = prices.copy(), stride
        self.paid, self.around = np.tile(prices[:, None], (1, rows)), np.zeros((resources, rows))
        self.own = np.zeros((resources, rows))
        self.fresh, self.slot, self.gathering = 0, 0, 0
        self.gathered = np.zeros(resources)
        self.usual, self.error = self._taken(rows)
        self.drift, self.noticed = np.zeros(resources), np.zeros(resources, dtype=np.bool_)

    @property
    def rows(self) -> int:
        """How many menus there are."""
        return len(self.values)

    def remember(self, values: FloatArray, costs: FloatArray, taken: FloatArray, prices: FloatArray, seen: int) -> None:
        """Take in menus that came at these prices; ``taken``, (resources, prompts), is what they are expected to take.

        ``seen`` counts the prompts before them.
        """
        self.gathered, self.gathering = self.gathered + taken.sum(axis=1), self.gathering + len(values)
        wanted = np.flatnonzero((seen + np.arange(len(values))) % self.stride == 0)
        for row in wanted[-self.rows :]:
            self.values[self.slot], self.costs[:, self.slot] = values[row], costs[:, row]
            self.paid[:, self.slot], self.around[:, self.slot] = prices, self.gathered / self.gathering
            self.own[:, self.slot] = taken[:, row]
            self.slot = (self.slot + 1) % self.rows
            self.fresh = min(self.fresh + 1, self.rows)
        if len(wanted):
            self.gathered, self.gathering = np.zeros_like(self.gathered), 0

    def factor(self, costs: FloatArray) -> FloatArray:
        """Return what choices were expected to take over what the sample foretells at the prices of their time."""
        if not self.fresh:
            return np.ones(len(costs))
        recent = np.arange(self.rows) < self.fresh  # rows are overwritten from the first
        mean = self.paid[:, recent].mean(axis=1)
        option = best_options(self.values, costs, mean)
        each = np.where(recent, self.own, np.take_along_axis(costs, option[None, :, None], axis=2)[:, :, 0])
        foretold = each.mean(axis=1)
        old, came = float(self.rows - self.fresh), float(self.fresh * self.stride)
        pilot = each[:, ~recent].sum(axis=1)
        usual = (pilot + came * self.around[:, recent].mean(axis=1)) / (old + came)
        known = (foretold > 0.0) & (usual > 0.0)
        return np.clip(np.where(known, usual / np.where(known, foretold, 1.0), 1.0), LEAST_FACTOR, MOST_FACTOR)

    def look(self, prompts_left: int) -> None:
        """See whether the menus that came differ from the pilot's; toward the end, remember more of them."""
        self.stride = max(1, min(self.stride, prompts_left // self.rows))
        if self.fresh < min(FEWEST, self.rows):
            return
        mean, error = self._taken(self.fresh)
        there = self.usual > 0.0
        drift = np.where(there, mean / np.where(there, self.usual, 1.0) - 1.0, np.where(mean > 0.0, np.inf, 0.0))
        notable = (np.abs(drift) > NOTABLE) & (np.abs(mean - self.usual) > ERRORS * np.hypot(error, self.error))
        larger = np.where(notable, ~self.noticed | (np.abs(drift) > np.abs(self.drift)), ~self.noticed)
        self.drift, self.noticed = np.where(larger, drift, self.drift), self.noticed | notable

    def _taken(self, rows: int) -> tuple[FloatArray, FloatArray]:
        """Return what the first of the menus take in the mean at the first prices, and its standard error."""
        costs = self.costs[:, :rows]
        option = best_options(self.values[:rows], costs, self.first)
        each = np.take_along_axis(costs, option[None, :, None], axis=2)[:, :, 0]
        with np.errstate(over="ignore"):  # an error beyond all floats is no evidence of a drift
            return each.mean(axis=1), each.std(axis=1) / np.sqrt(rows)
