"""What an online price remembers, as a file, so that a router can stop and go on."""

from __future__ import annotations

import numpy as np

from coinfer.errors import InputError
from coinfer.planner.budget.online import ledger
from coinfer.planner.budget.online.census import MULTIPLIERS, Census
from coinfer.planner.budget.online.choices import Choices
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.planner.budget.online.state_records import MOST, CensusState, Flight, PriceState, at_least_0, check, fits
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray

NO_RATIO = -2.0
"""Stands for a drift that is no ratio, since the pilot took nothing."""


def saved(price: OnlinePrice) -> PriceState:
    """Return what an online price knows.

    Prompts in flight stay reserved: who resumes finds them in ``in_flight``, finishes those that report, and books the
    others at their most with ``lose``.
    """
    with price.lock:
        return _saved(price)


def _saved(price: OnlinePrice) -> PriceState:
    sample, book = price.sample, price.ledger
    present = sample.values > -np.inf
    return PriceState(
        order="random" if price.census is None else "any",
        last_share=price.last_share,
        limits=tuple(None if np.isinf(limit) else float(limit) for limit in price.limits),
        spent=ledger.written(book.spent),
        excess=ledger.written(book.excess),
        exceeding=book.exceeding,
        owner=price.owner,
        tickets=price.tickets,
        flights=tuple(
            Flight(
                ticket=each.number,
                option=tuple(each.option.tolist()),
                expected=Matrix(each.expected),
                reserved=Matrix(each.reserved),
            )
            for each in price.in_flight
        ),
        prices=Matrix(price.prices[None]),
        first=Matrix(sample.first[None]),
        lower_share=price.lower_share,
        factors=Matrix(price.factors),
        prompts_left=price.prompts_left,
        seen=price.seen,
        since=price.since,
        period=price.period,
        stride=sample.stride,
        memory=price.memory,
        values=Matrix(np.where(present, sample.values, 0.0)),
        present=Matrix(present),
        costs=Matrix(sample.costs.reshape(-1, sample.costs.shape[2])),
        paid=Matrix(sample.paid),
        own=Matrix(sample.own),
        around=Matrix(sample.around),
        fresh=sample.fresh,
        slot=sample.slot,
        gathering=sample.gathering,
        gathered=Matrix(sample.gathered[None]),
        usual=Matrix(sample.usual[None]),
        error=Matrix(sample.error[None]),
        drift=Matrix(np.where(np.isinf(sample.drift), NO_RATIO, sample.drift)[None]),
        noticed=tuple(sample.noticed.tolist()),
        actual=Matrix(price.actual),
        expected=Matrix(price.expected),
        census=None if price.census is None else _counted(price.census),
    )


def resumed(state: PriceState) -> OnlinePrice:
    """Return an online price that goes on where ``state`` was saved; what was in flight stays reserved.

    Raises
    ------
    InputError
        If the arrays do not fit together, or a number cannot be.
    """
    check(state)
    rows, options = state.values.shape
    resources = len(state.limits)
    price = OnlinePrice(
        values=np.where(state.present.array > 0.0, state.values.array, -np.inf),
        costs=state.costs.array.reshape(resources, rows, options).copy(),
        limits=np.array([np.inf if limit is None else limit for limit in state.limits]),
        prompts=max(state.prompts_left, 1),
        period=state.period,
        last_share=state.last_share,
    )
    price.owner, price.tickets = state.owner, state.tickets
    price.prices, price.factors = state.prices.array[0].copy(), state.factors.array.copy()
    price.lower_share = state.lower_share
    price.prompts_left, price.seen, price.since = state.prompts_left, state.seen, state.since
    price.memory = state.memory
    price.actual, price.expected = state.actual.array.copy(), state.expected.array.copy()
    price.ledger.spent = ledger.read("spent", state.spent)
    price.ledger.excess = ledger.read("excess", state.excess)
    price.ledger.exceeding = state.exceeding
    for flight in state.flights:
        price.take_up(_choices(flight, state))
    sample = price.sample
    sample.first, sample.stride = state.first.array[0].copy(), state.stride
    sample.paid, sample.own, sample.around = (each.array.copy() for each in (state.paid, state.own, state.around))
    sample.fresh, sample.slot, sample.gathering = state.fresh, state.slot, state.gathering
    sample.gathered, sample.usual = state.gathered.array[0].copy(), state.usual.array[0].copy()
    sample.error, drift = state.error.array[0].copy(), state.drift.array[0]
    sample.drift, sample.noticed = np.where(drift < -1.0, np.inf, drift), np.array(state.noticed, dtype=np.bool_)
    price.census = None if state.census is None else _census(state.census, resources)
    return price


def _choices(flight: Flight, state: PriceState) -> Choices:
    """Return choices in flight."""
    shape = (len(state.limits), len(flight.option))
    for name in ("expected", "reserved"):
        fits(f"flights.{name}", getattr(flight, name), shape)
        at_least_0(f"flights.{name}", getattr(flight, name))
    options = state.values.shape[1]
    if not all(-1 <= option < options for option in flight.option):
        raise InputError("flights.option", expected=f"numbers in -1..{options - 1}", found=flight.option)
    return Choices(
        option=np.array(flight.option, dtype=np.int64),
        expected=flight.expected.array,
        reserved=flight.reserved.array,
        owner=state.owner,
        number=flight.ticket,
    )


def _counted(census: Census) -> CensusState:
    return CensusState(
        prices=Matrix(census.prices[None]),
        prompts=census.prompts,
        pilot=Matrix(census.pilot),
        error=Matrix(census.error),
        seen=Matrix(census.seen),
    )


def _census(state: CensusState, resources: int) -> Census:
    fits("census.prices", state.prices, (1, resources))
    if not 1 <= state.prompts <= MOST:
        raise InputError("census.prompts", expected=f"a whole number in 1..{MOST}", found=state.prompts)
    for name in ("pilot", "error", "seen"):
        fits(f"census.{name}", getattr(state, name), (len(MULTIPLIERS), resources))
        at_least_0(f"census.{name}", getattr(state, name))
    census = Census.__new__(Census)
    census.prices, census.prompts = state.prices.array[0].copy(), state.prompts
    arrays: list[FloatArray] = [each.array.copy() for each in (state.pilot, state.error, state.seen)]
    census.pilot, census.error, census.seen = arrays
    return census
