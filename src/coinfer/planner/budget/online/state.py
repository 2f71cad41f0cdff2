"""What an online price remembers, as a file, so that a router can stop and go on."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.planner.budget.online.census import MULTIPLIERS, Census
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.records import Document, Matrix, Record
from coinfer.solver.program import FloatArray

FORMAT = "coinfer/online-price/1"


class CensusState(Record, frozen=True, kw_only=True):
    """What is counted where the order may be any.

    Attributes
    ----------
    prices
        (1, resources).
    prompts
        In all.
    pilot, error, seen
        (multiples, resources): mean of the pilot, its standard error, and the sum over the prompts so far.
    """

    prices: Matrix
    prompts: int
    pilot: Matrix
    error: Matrix
    seen: Matrix


class PriceState(Document, frozen=True, kw_only=True):
    """Everything that an online price knows.

    Attributes
    ----------
    order
        As of :class:`coinfer.planner.budget.online.price.OnlinePrice`.
    limits
        A number for each resource; absent where there is no limit.
    sums
        (5, resources): spent; reserved and committed for prompts in flight; faded sums of what choices were expected to
        take, and of the prices at that time.
    weight
        Faded number of prompts that the last two sums hold.
    prices
        (1, resources).
    open_prompts, prompts_left, seen, since, slot, period, stride
        Prompts in flight, to come, chosen for, and chosen for since the last correction; the place in the sample that
        is overwritten next; most prompts between corrections; and every which menu enters the sample.
    overrun
        A number for each resource: what finished prompts took beyond the most that had been said of them.
    open_choices, next_number
        Numbers of the choices in flight, and of the next ones.
    values, present
        (sample, options): menus that stand for those to come; where an option is not there its value is 0.
    costs
        (resources times sample, options): the resources one below the other.
    actual, expected
        (resources, options): faded sums of what finished prompts took, and were expected to.
    census
        Where the order is ``any``.
    """

    file_format: ClassVar[str] = FORMAT

    order: Literal["random", "any"]
    limits: tuple[float | None, ...]
    sums: Matrix
    weight: float
    prices: Matrix
    open_prompts: int
    overrun: tuple[float, ...]
    open_choices: tuple[int, ...]
    next_number: int
    prompts_left: int
    seen: int
    since: int
    slot: int
    period: int
    stride: int
    values: Matrix
    present: Matrix
    costs: Matrix
    actual: Matrix
    expected: Matrix
    census: CensusState | None = None


def saved(price: OnlinePrice) -> PriceState:
    """Return what an online price knows.

    Prompts in flight stay reserved: who resumes books them with their choices, or gives their share up.
    """
    present = price.values > -np.inf
    census = price.census
    return PriceState(
        order="random" if census is None else "any",
        limits=tuple(None if np.isinf(limit) else float(limit) for limit in price.limits),
        sums=Matrix(np.stack([price.spent, price.reserved, price.committed, price.chosen, price.priced])),
        weight=price.weight,
        prices=Matrix(price.prices[None]),
        open_prompts=price.open_prompts,
        overrun=tuple(price.overrun.tolist()),
        open_choices=tuple(sorted(price.open)),
        next_number=price.next_number,
        prompts_left=price.prompts_left,
        seen=price.seen,
        since=price.since,
        slot=price.slot,
        period=price.period,
        stride=price.stride,
        values=Matrix(np.where(present, price.values, 0.0)),
        present=Matrix(present),
        costs=Matrix(price.costs.reshape(-1, price.costs.shape[2])),
        actual=Matrix(price.actual),
        expected=Matrix(price.expected),
        census=None
        if census is None
        else CensusState(
            prices=Matrix(census.prices[None]),
            prompts=census.prompts,
            pilot=Matrix(census.pilot),
            error=Matrix(census.error),
            seen=Matrix(census.seen),
        ),
    )


def resumed(state: PriceState) -> OnlinePrice:
    """Return an online price that goes on where ``state`` was saved.

    Raises
    ------
    InputError
        If the arrays do not fit together.
    """
    resources = len(state.limits)
    _fits("sums", state.sums, (5, resources))
    _fits("prices", state.prices, (1, resources))
    sample, options = state.values.shape
    _fits("present", state.present, (sample, options))
    _fits("costs", state.costs, (resources * sample, options))
    for name in ("actual", "expected"):
        _fits(name, getattr(state, name), (resources, options))
    if len(state.overrun) != resources or not all(0 <= each < state.next_number for each in state.open_choices):
        raise InputError("open_choices", expected="choices that were made", found=list(state.open_choices))
    if state.weight <= 0.0 or not 0 <= state.slot < sample or state.stride < 1 or state.since < 0:
        raise InputError("weight", expected="a weight above 0, and a slot of the sample", found=state.weight)
    price = OnlinePrice(
        values=np.where(state.present.array > 0.0, state.values.array, -np.inf),
        costs=state.costs.array.reshape(resources, sample, options).copy(),
        limits=np.array([np.inf if limit is None else limit for limit in state.limits]),
        prompts=max(state.prompts_left, 1),
        period=state.period,
    )
    price.spent, price.reserved, price.committed, price.chosen, price.priced = (row.copy() for row in state.sums.array)
    price.weight, price.prices = state.weight, state.prices.array[0].copy()
    price.open_prompts, price.prompts_left, price.seen = state.open_prompts, state.prompts_left, state.seen
    price.overrun, price.open = np.array(state.overrun), set(state.open_choices)
    price.next_number = state.next_number
    price.since, price.slot, price.stride = state.since, state.slot, state.stride
    price.actual, price.expected = state.actual.array.copy(), state.expected.array.copy()
    price.census = None if state.census is None else _census(state.census, resources)
    return price


def _census(state: CensusState, resources: int) -> Census:
    _fits("census.prices", state.prices, (1, resources))
    for name in ("pilot", "error", "seen"):
        _fits(f"census.{name}", getattr(state, name), (len(MULTIPLIERS), resources))
    census = Census.__new__(Census)
    census.prices, census.prompts = state.prices.array[0].copy(), state.prompts
    arrays: list[FloatArray] = [each.array.copy() for each in (state.pilot, state.error, state.seen)]
    census.pilot, census.error, census.seen = arrays
    return census


def _fits(where: str, matrix: Matrix, shape: tuple[int, int]) -> None:
    if matrix.shape != shape:
        raise InputError(where, expected=f"shape {shape}", found=Plain(f"shape {matrix.shape}"))
