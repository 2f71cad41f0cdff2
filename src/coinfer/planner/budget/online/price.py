"""The price of a budget while prompts arrive: from a pilot, corrected as what is spent deviates."""

from __future__ import annotations

import uuid
from threading import RLock
from typing import Literal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.planner.budget.online import ledger
from coinfer.planner.budget.online.census import Census
from coinfer.planner.budget.online.choices import Choices, Given, Standing, check_menus, one_by_one, standing, together
from coinfer.planner.budget.online.dual import best_options, lower_share, mixed, prices_for
from coinfer.planner.budget.online.ledger import Ledger
from coinfer.planner.budget.online.pacing import allowance
from coinfer.planner.budget.online.sample import LEAST_FACTOR, MOST_FACTOR, Sample
from coinfer.solver.program import FloatArray

SHARE_LEFT = 16
"""The price is corrected at the latest when one in so many of the prompts left, or of those in flight, has passed."""
WINDOW_SHARE = 5
"""The sample of recent menus spans one in so many of all prompts."""
SORTED_WINDOW_SHARE = 100
"""The same where the order may be any: what is recent is then soon out of date."""
TRUST = 25.0
"""The expected cost of an option counts like so many finished prompts."""


class OnlinePrice:
    """Gives each arriving prompt the option with the largest value - price * cost, within hard caps.

    The prices solve the dual problem for the prompts still to come: a sample of menus (the pilot, then overwritten by
    recent ones) has to take, in the mean, what is left of each budget per prompt. Two factors correct the sample's
    forecast: what options really took over what they were expected to, and what choices were expected to take over what
    the sample had foretold. An option counts as affordable only while the most that it can take, on top of all that
    prompts in flight can still take, is left; so a cap is passed only if a prompt takes more than was said to be the
    most. Caps are kept exactly: amounts are the decimals they are written as.

    Several threads may use one object: each call is done before the next begins.

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
        may come sorted, but the pilot is a fair sample of all of them.
    last_share
        Where prompts in flight may take more than is expected of them, that lies idle, and stays unspent at the end.
        Spending falls toward the end, until the last prompts take this share of the usual: so much less is unspent.
        The least leaves the least unspent; the value is largest at about 0.4.

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
        last_share: float = 0.1,
    ) -> None:
        if values.ndim != 2 or costs.ndim != 3 or costs.shape[1:] != values.shape or not values.size:
            expected = "pilot values (rows, options) and costs (resources, rows, options)"
            raise InputError("pilot", expected=expected, found=Plain(f"{values.shape} and {costs.shape}"))
        if limits.shape != costs.shape[:1] or np.isnan(limits).any() or (limits < 0.0).any():
            raise InputError("limits", expected=f"{len(costs)} amount(s), at least 0", found=limits.tolist())
        if prompts < 1 or period < 1:
            raise InputError("prompts", expected="at least 1, and a period of at least 1", found=min(prompts, period))
        if not 0.0 < last_share <= 1.0:
            raise InputError("last_share", expected="a share above 0, at most 1", found=last_share)
        check_menus(values, costs)
        resources, rows, options = costs.shape
        self.limits = limits.astype(np.float64)
        self.ledger = Ledger(self.limits)
        self.owner, self.tickets = uuid.uuid4().hex, 0
        self.open: dict[int, Choices] = {}
        self.committed, self.open_prompts = np.zeros(resources), 0
        self.prompts_left, self.seen, self.since = prompts, 0, 0
        self.period, self.last_share = period, last_share
        self.actual, self.expected = np.zeros((resources, options)), np.zeros((resources, options))
        own_values, own_costs = values.astype(np.float64), costs.astype(np.float64)
        self.prices = prices_for(own_values, own_costs, self.limits / prompts, np.zeros(resources))
        self.factors = np.ones((resources, options))
        self.lower_share = 0.0
        if order == "random":
            self.lower_share = lower_share(own_values, own_costs, self.limits / prompts, self.prices)
        stride = max(1, prompts // (WINDOW_SHARE if order == "random" else SORTED_WINDOW_SHARE) // rows)
        self.memory = stride * rows
        self.sample = Sample(values=own_values, costs=own_costs, prices=self.prices, stride=stride)
        self.census: Census | None = None
        if order == "any":
            self.census = Census(values=own_values, costs=own_costs, prices=self.prices.copy(), prompts=prompts)
        self.lock = RLock()

    @property
    def spent(self) -> FloatArray:
        """What finished prompts took, (resources,): the floats next to the exact sums."""
        return ledger.floats(self.ledger.spent)

    @property
    def reserved(self) -> FloatArray:
        """The most that prompts in flight can still take, (resources,)."""
        return ledger.floats(self.ledger.reserved)

    @property
    def overrun(self) -> FloatArray:
        """What finished prompts took beyond the most that had been said of them, (resources,)."""
        return ledger.floats(self.ledger.excess)

    @property
    def in_flight(self) -> tuple[Choices, ...]:
        """Choices that are not finished, oldest first; after a restart too."""
        with self.lock:
            return tuple(self.open.values())

    def standing(self) -> Standing:
        """Return what is spent, reserved and passed, and whether the prompts drift away from the pilot."""
        with self.lock:
            return standing(self.ledger, self.sample, foreseen=self.census is not None)

    def expect(self, prompts_left: int) -> None:
        """Say how many prompts are still to come, where that is known better now (a rate times the time left)."""
        with self.lock:
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
        if values.shape[1:] != self.sample.values.shape[1:] or costs.shape != (len(self.limits), *values.shape):
            expected = f"{self.sample.values.shape[1]} options and {len(self.limits)} resource(s), as in the pilot"
            raise InputError("menu", expected=expected, found=Plain(f"{values.shape} and {costs.shape}"))
        check_menus(values, costs)
        if worst is not None and (worst.shape != costs.shape or np.isnan(worst).any()):
            raise InputError("worst", expected=f"amounts {costs.shape}, none of them NaN", found=Plain("others"))
        capped = np.isfinite(self.limits)[:, None, None]
        most = costs if worst is None else np.where(capped, np.maximum(worst, costs), costs)
        with self.lock:
            parts, start = [], 0
            while start < len(values):
                here = slice(start, start + max(1, self._until_correction()))
                parts.append(self._choose(values[here], costs[:, here], most[:, here]))
                start = here.stop
            choices = together(parts, len(self.limits), owner=self.owner, number=self.tickets)
            self.open[self.tickets] = choices
            self.tickets += 1
        return choices

    def take_up(self, choices: Choices) -> None:
        """Reserve what was in flight when a state was saved; refuse a number that was never given, or twice."""
        if choices.number in self.open or not 0 <= choices.number < self.tickets:
            raise InputError("flights.ticket", expected="numbers that were given, each once", found=choices.number)
        with self.lock:
            self.ledger.reserve(ledger.totals(choices.reserved))
            self.committed += choices.expected.sum(axis=1)
            self.open_prompts += len(choices.option)
            self.open[choices.number] = choices

    def finish(self, choices: Choices, actual: FloatArray) -> None:
        """Book what prompts really took, (resources, prompts), and free what was reserved for them.

        What took more than its reservation is booked as it is, and told by :meth:`standing`.

        Raises
        ------
        InputError
            For choices of another object or that are finished already, and amounts that are not finite or below 0.
            Nothing is booked then.
        """
        if actual.shape != choices.expected.shape or not np.isfinite(actual).all() or (actual < 0.0).any():
            expected = f"finite amounts of at least 0, {choices.expected.shape}"
            raise InputError("actual", expected=expected, found=Plain(f"others, {actual.shape}"))
        self._close(choices, actual)

    def lose(self, choices: Choices) -> None:
        """Book prompts that will never report at their most; nothing is learnt from them. Raises as :meth:`finish`."""
        self._close(choices, None)

    def _close(self, choices: Choices, actual: FloatArray | None) -> None:
        with self.lock:
            mine = self.open.get(choices.number) if choices.owner == self.owner else None
            if mine is None:
                found = "some that are finished" if choices.owner == self.owner else "some of another object"
                raise InputError(
                    "choices", expected="choices of this price in flight, each finished once", found=Plain(found)
                )
            self.ledger.book(mine.reserved, mine.reserved if actual is None else actual)
            del self.open[mine.number]
            self.open_prompts -= len(mine.option)
            self.committed = np.maximum(self.committed - mine.expected.sum(axis=1), 0.0)
            if not self.open:  # no rounding is left behind
                self.committed = np.zeros(len(self.limits))
            if actual is None:
                return
            given = mine.option >= 0
            for resource in range(len(self.limits)):
                for total, amount in ((self.actual, actual), (self.expected, mine.expected)):
                    np.add.at(total[resource], mine.option[given], amount[resource, given])

    def correct(self) -> None:
        """Set the prices by which the prompts still to come take what is left; done by itself once a period."""
        with self.lock:
            self._correct()

    def _correct(self) -> None:
        self.factors = factors = self.cost_factors()
        sample = self.sample
        costs = sample.costs * factors[:, None, :]
        total = (factors * self.expected).sum(axis=1) / np.maximum(self.expected.sum(axis=1), 1e-300)
        trend = np.where(total > 0.0, total, 1.0)
        pending = self.committed * trend
        left = np.maximum(self.limits - self.spent - pending, 0.0)
        with np.errstate(over="ignore"):
            ratio = np.maximum(self.reserved / np.where(pending > 0.0, pending, np.inf), 1.0)
        each = allowance(left, self.prompts_left, self.open_prompts, ratio, self.last_share)
        if self.census is None:
            each = each / sample.factor(costs)
            self.prices = prices_for(sample.values, costs, each, self.prices)
            self.lower_share = lower_share(sample.values, costs, each, self.prices)
        else:
            self.prices = self.census.price(sample.values, sample.costs, each / trend, self.prompts_left)
        fade = 0.5 ** (self.since / self.memory)
        self.actual, self.expected = self.actual * fade, self.expected * fade
        sample.look(self.prompts_left)
        self.since = 0

    def cost_factors(self) -> FloatArray:
        """Return what each option really takes over what it was expected to, (resources, options)."""
        each = self.expected.sum(axis=1, keepdims=True) / max(min(self.seen, self.memory), 1)
        prior = TRUST * np.where(each > 0.0, each, 1.0)
        return np.clip((self.actual + prior) / (self.expected + prior), LEAST_FACTOR, MOST_FACTOR)

    def _until_correction(self) -> int:
        least = max(1, self.prompts_left // SHARE_LEFT)
        if self.open_prompts and self.prompts_left < SHARE_LEFT * self.open_prompts:
            least = min(least, max(1, self.open_prompts // SHARE_LEFT))
        return min(self.period, least) - self.since

    def _choose(self, values: FloatArray, costs: FloatArray, worst: FloatArray) -> Given:
        """Choose at one price, then remember the menus and correct the price when it is time."""
        believed = costs * self.factors[:, None, :]
        rows = np.arange(len(values))
        prices = mixed(self.prices, self.lower_share, self.seen + rows)
        option = best_options(values, believed, prices)
        taken = worst[:, rows, option]
        there, room = values[rows, option] > -np.inf, self.ledger.room()
        most = ledger.totals(taken) if np.isfinite(taken).all() and there.all() else None
        if most is None or any(amount > left for amount, left in zip(most, room, strict=True)):
            taken = one_by_one(values - (prices[:, :, None] * believed).sum(axis=0), worst, room, option)
            most = ledger.totals(taken)
        given = option >= 0
        expected = np.where(given, costs[:, rows, option], 0.0)
        self.ledger.reserve(most)
        self.committed += expected.sum(axis=1)
        chosen = np.where(given, believed[:, rows, option], 0.0)
        self.sample.remember(values, costs, chosen, self.prices, self.seen)
        self.open_prompts += len(values)
        self.seen += len(values)
        self.since += len(values)
        self.prompts_left = max(self.prompts_left - len(values), 0)
        if self.census is not None:
            self.census.count(values, costs)
        if self._until_correction() <= 0:
            self._correct()
        return option, expected, taken
