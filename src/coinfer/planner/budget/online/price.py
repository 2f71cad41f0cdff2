"""The price of a budget while prompts arrive: from a pilot, corrected as what is spent deviates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.planner.budget.online.census import Census
from coinfer.planner.budget.online.dual import best_options, mean_costs, prices_for
from coinfer.solver.program import FloatArray, IntArray

SHARE_LEFT = 16
"""The price is corrected at the latest when one in so many of the prompts left has passed."""
WINDOW_SHARE = 5
"""The sample of recent menus spans one in so many of all prompts."""
SORTED_WINDOW_SHARE = 100
"""The same where the order may be any: what is recent is then soon out of date."""
LEAST_FACTOR, MOST_FACTOR = 1.0 / 16.0, 16.0
"""Limits of what a learnt factor on costs may be."""
ROUNDING = 1e-12
"""Relative: what sums of floats may be off a cap by; 0.1 three times is 0.3."""
TRUST = 25.0
"""The expected cost of an option counts like so many finished prompts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """What prompts were given, until they report what they took.

    Attributes
    ----------
    option
        (prompts,): the option, or -1 where none fits what is left: the prompt is refused.
    expected, reserved
        (resources, prompts): what the option takes by its menu, and at most.
    number
        By which the price knows them: they are finished once.
    """

    option: IntArray
    expected: FloatArray
    reserved: FloatArray
    number: int


class OnlinePrice:
    """Gives each arriving prompt the option with the largest value - price * cost, within hard caps.

    The prices solve the dual problem for the prompts still to come: a sample of menus (the pilot, then overwritten by
    recent ones) has to take, in the mean, what is left of each budget per prompt. Two factors correct the sample's
    forecast: what options really took over what they were expected to, and what choices were expected to take over what
    the sample had foretold. An option counts as affordable only while the most that it can take, on top of all that
    prompts in flight can still take, is left; so a cap is passed only if a prompt takes more than was said to be the
    most.

    Parameters
    ----------
    values
        (rows, options): value of each option for the prompts of the pilot; ``-inf`` where one is not there.
    costs
        (resources, rows, options): expected amounts, finite, at least 0.
    limits
        (resources,): hard caps; ``inf`` for none.
    prompts
        How many prompts will come; see :meth:`expect`.
    period
        Most prompts between corrections of the prices.
    order
        ``random``: prompts to come are like the recent ones, and may drift away from the pilot. ``any``: the prompts
        may come sorted, but the pilot is a fair sample of all of them. A sorted stream under ``random`` keeps its caps
        and loses some percent of its value.

    Attributes
    ----------
    spent, reserved
        (resources,): what finished prompts took, and the most that those in flight can still take.
    overrun
        (resources,): what finished prompts took beyond the most that had been said of them.

    Raises
    ------
    InputError
        For arrays that do not fit together, or numbers that are not finite.
    """

    def __init__(
        self,
        *,
        values: FloatArray,
        costs: FloatArray,
        limits: FloatArray,
        prompts: int,
        period: int = 1000,
        order: Literal["random", "any"] = "random",
    ) -> None:
        if values.ndim != 2 or costs.ndim != 3 or costs.shape[1:] != values.shape or not values.size:
            expected = "pilot values (rows, options) and costs (resources, rows, options)"
            raise InputError("pilot", expected=expected, found=Plain(f"{values.shape} and {costs.shape}"))
        if limits.shape != costs.shape[:1] or np.isnan(limits).any() or (limits < 0.0).any():
            raise InputError("limits", expected=f"{len(costs)} amount(s), at least 0", found=limits.tolist())
        if prompts < 1 or period < 1:
            raise InputError("prompts", expected="at least 1, and a period of at least 1", found=min(prompts, period))
        _check(values, costs)
        resources, rows, options = costs.shape
        self.limits = limits.astype(np.float64)
        self.spent, self.reserved, self.committed = (np.zeros(resources) for _ in range(3))
        self.open_prompts = 0
        self.overrun = np.zeros(resources)
        self.open: set[int] = set()
        self.next_number = 0
        self.prompts_left, self.seen, self.since, self.slot = prompts, 0, 0, 0
        self.period = period
        self.stride = max(1, prompts // (WINDOW_SHARE if order == "random" else SORTED_WINDOW_SHARE) // rows)
        self.values, self.costs = values.astype(np.float64), costs.astype(np.float64)
        self.actual, self.expected = np.zeros((resources, options)), np.zeros((resources, options))
        self.prices = prices_for(self.values, self.costs, self.limits / prompts, np.zeros(resources))
        self.weight = float(rows)
        self.chosen = self.weight * mean_costs(self.values, self.costs, self.prices)
        self.priced = self.weight * self.prices
        self.census: Census | None = None
        if order == "any":
            self.census = Census(values=self.values, costs=self.costs, prices=self.prices.copy(), prompts=prompts)

    def expect(self, prompts_left: int) -> None:
        """Say how many prompts are still to come, where that is known better now (a rate times the time left)."""
        self.prompts_left = max(prompts_left, 0)

    def choose(self, values: FloatArray, costs: FloatArray, worst: FloatArray | None = None) -> Choices:
        """Choose for one prompt; as :meth:`choose_many`, with values (options,) and costs (resources, options)."""
        return self.choose_many(values[None], costs[:, None], None if worst is None else worst[:, None])

    def choose_many(self, values: FloatArray, costs: FloatArray, worst: FloatArray | None = None) -> Choices:
        """Choose for prompts that arrive together; what they may take is reserved until :meth:`finish`.

        Parameters
        ----------
        values, costs
            (prompts, options) and (resources, prompts, options).
        worst
            The most that each option can take; absent: what it is expected to take is certain.

        Raises
        ------
        InputError
            For NaN, infinite costs, or menus of another shape than the pilot's.
        """
        if values.shape[1:] != self.values.shape[1:] or costs.shape != (len(self.limits), *values.shape):
            expected = f"{self.values.shape[1]} options and {len(self.limits)} resource(s), as in the pilot"
            raise InputError("menu", expected=expected, found=Plain(f"{values.shape} and {costs.shape}"))
        _check(values, costs)
        capped = np.isfinite(self.limits)[:, None, None]
        worst = costs if worst is None else np.where(capped, np.maximum(worst, costs), costs)
        parts, start = [], 0
        while start < len(values):
            stop = start + max(1, self._until_correction())
            here = slice(start, stop)
            parts.append(self._choose(values[here], costs[:, here], worst[:, here]))
            start = stop
        number, self.next_number = self.next_number, self.next_number + 1
        self.open.add(number)
        return Choices(
            number=number,
            option=np.concatenate([part.option for part in parts]) if parts else np.empty(0, dtype=np.int64),
            expected=np.concatenate([part.expected for part in parts], axis=1) if parts else costs[:, :, 0],
            reserved=np.concatenate([part.reserved for part in parts], axis=1) if parts else costs[:, :, 0],
        )

    def finish(self, choices: Choices, actual: FloatArray) -> None:
        """Book what prompts really took, (resources, prompts), and free what was reserved for them.

        Raises
        ------
        InputError
            For choices that are not in flight (each is finished once), or amounts that are none; nothing is booked.
        """
        if choices.number not in self.open:
            raise InputError("choices", expected="choices in flight, which are finished once", found=choices.number)
        if actual.shape != choices.expected.shape or not np.isfinite(actual).all() or (actual < 0.0).any():
            expected = f"finite amounts of at least 0, {choices.expected.shape}"
            raise InputError("actual", expected=expected, found=Plain("others"))
        self.open.remove(choices.number)
        self.overrun += np.maximum(actual - choices.reserved, 0.0).sum(axis=1)
        self.spent += actual.sum(axis=1)
        self.open_prompts -= len(choices.option)
        if self.open_prompts > 0:
            self.reserved -= choices.reserved.sum(axis=1)
            self.committed -= choices.expected.sum(axis=1)
        else:  # no rounding is left behind
            self.reserved[:], self.committed[:] = 0.0, 0.0
        given = choices.option >= 0
        for resource in range(len(self.limits)):
            for total, amount in ((self.actual, actual), (self.expected, choices.expected)):
                np.add.at(total[resource], choices.option[given], amount[resource, given])

    def correct(self) -> None:
        """Set the prices by which the prompts still to come take what is left; done by itself once a period."""
        factors = self.cost_factors()
        costs = self.costs * factors[:, None, :]
        total = (factors * self.expected).sum(axis=1) / np.maximum(self.expected.sum(axis=1), 1e-300)
        trend = np.where(total > 0.0, total, 1.0)
        pending = self.committed * trend
        left = np.maximum(self.limits - self.spent - pending, 0.0)
        allowance = left / max(self.prompts_left, 1)
        if self.census is None:
            self.prices = prices_for(self.values, costs, allowance / self._forecast_factor(costs), self.prices)
        else:
            self.prices = self.census.price(self.values, self.costs, allowance / trend, self.prompts_left)
        fade = 0.5 ** (self.since / max(self.stride * len(self.values), 1))
        self.actual, self.expected = self.actual * fade, self.expected * fade
        self.chosen, self.priced = self.chosen * fade, self.priced * fade
        self.weight *= fade
        self.since = 0

    def cost_factors(self) -> FloatArray:
        """Return what each option really takes over what it was expected to, (resources, options)."""
        each = self.expected.sum(axis=1, keepdims=True) / max(min(self.seen, self.stride * len(self.values)), 1)
        prior = TRUST * np.where(each > 0.0, each, 1.0)
        return np.clip((self.actual + prior) / (self.expected + prior), LEAST_FACTOR, MOST_FACTOR)

    def _forecast_factor(self, costs: FloatArray) -> FloatArray:
        """Return what choices were expected to take over what the sample foretells at the prices of that time."""
        foretold = mean_costs(self.values, costs, self.priced / self.weight)
        usual = self.chosen / self.weight
        known = (foretold > 0.0) & (usual > 0.0)
        return np.clip(np.where(known, usual / np.where(known, foretold, 1.0), 1.0), LEAST_FACTOR, MOST_FACTOR)

    def _until_correction(self) -> int:
        return min(self.period, max(1, self.prompts_left // SHARE_LEFT)) - self.since

    def _choose(self, values: FloatArray, costs: FloatArray, worst: FloatArray) -> Choices:
        """Choose at one price, then remember the menus and correct the price when it is time."""
        factors = self.cost_factors()
        believed = costs * factors[:, None, :]
        option = best_options(values, believed, self.prices)
        rows = np.arange(len(values))
        room = self.limits * (1.0 + ROUNDING) - self.spent - self.reserved
        taken = worst[:, rows, option]
        fits = (np.cumsum(taken, axis=1) <= room[:, None]).all(axis=0) & (values[rows, option] > -np.inf)
        if not fits.all():
            taken = self._one_by_one(values, believed, worst, option, room)
        given = option >= 0
        expected = np.where(given, costs[:, rows, option], 0.0)
        self.reserved += taken.sum(axis=1)
        self.committed += expected.sum(axis=1)
        self.open_prompts += len(values)
        self.seen += len(values)
        self.since += len(values)
        self.prompts_left = max(self.prompts_left - len(values), 0)
        self.chosen += np.where(given, believed[:, rows, option], 0.0).sum(axis=1)
        self.priced += self.prices * len(values)
        self.weight += len(values)
        self._remember(values, costs)
        if self.census is not None:
            self.census.count(values, costs)
        if self._until_correction() <= 0:
            self.correct()
        return Choices(number=-1, option=option, expected=expected, reserved=taken)

    def _one_by_one(
        self, values: FloatArray, costs: FloatArray, worst: FloatArray, option: IntArray, room: FloatArray
    ) -> FloatArray:
        """Choose prompt by prompt among the options that still fit, writing into ``option``; return the most taken."""
        left, taken = room.copy(), np.zeros((len(room), len(values)))
        for row in range(len(values)):
            net = values[row] - self.prices @ costs[:, row]
            net[(worst[:, row] > left[:, None]).any(axis=0)] = -np.inf
            best = int(net.argmax())
            option[row] = best if net[best] > -np.inf else -1
            if option[row] >= 0:
                taken[:, row] = worst[:, row, best]
                left -= taken[:, row]
        return taken

    def _remember(self, values: FloatArray, costs: FloatArray) -> None:
        """Overwrite the oldest menus of the sample by every so manieth new one."""
        numbers = np.arange(self.seen - len(values), self.seen)
        for row in np.flatnonzero(numbers % self.stride == 0):
            self.values[self.slot], self.costs[:, self.slot] = values[row], costs[:, row]
            self.slot = (self.slot + 1) % len(self.values)


def _check(values: FloatArray, costs: FloatArray) -> None:
    bad: NDArray[np.bool_] = np.isnan(values) | (values == np.inf)
    if bad.any() or not np.isfinite(costs).all() or (costs < 0.0).any():
        raise InputError("menu", expected="values that are numbers, and costs of at least 0", found=Plain("others"))
