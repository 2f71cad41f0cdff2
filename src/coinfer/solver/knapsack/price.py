"""Choices at one price, and the price at which a sample of the rows takes its share of the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.scan import Piece, Reader
from coinfer.solver.program import FloatArray, IntArray

MOST_STEPS = 60
"""Most tangent steps: each at least drops one corner of a convex function; in practice fewer than 15."""
SPREAD = 4.0
"""Standard errors of the sample's spending between its critical price and each end of the bracket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Prices around the critical one: at ``high`` less than the budget is taken, at ``low`` more.

    ``high`` may be ``inf`` (the cheapest options), ``low`` 0 (the best ones).
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What all rows together gain and take at one price."""

    price: float
    value: float
    cost: float


def choose(value: FloatArray, cost: FloatArray, price: float) -> IntArray:
    """Return an option of greatest ``value - price * cost`` of every row.

    At the ends of the scale ties matter: at price 0 the cheapest of the best options is taken, at ``inf`` the best of
    the cheapest.
    """
    if price == 0.0:
        best = value.max(axis=1, keepdims=True)
        return _where(np.where(value == best, -cost, -np.inf))
    if price == math.inf:
        present = np.where(value > -np.inf, cost, np.inf)
        least = present.min(axis=1, keepdims=True)
        return _where(np.where(present == least, value, -np.inf))
    net = cost * -price
    net += value
    return _where(net)


def _where(table: FloatArray) -> IntArray:
    """Return where each row is greatest."""
    option: IntArray = table.argmax(axis=1)
    return option


def sample(reader: Reader) -> Piece:
    """Return a sample of the rows, spread evenly, or all rows where they are few."""
    rows = reader.menus.rows
    wanted = min(rows, max(2048, min(rows // 64, 16384)))
    if wanted * 2 >= rows:
        return reader.at(0, rows)
    runs = 64
    length = wanted // runs
    starts = np.linspace(0, rows - length, runs).astype(np.int64)
    parts = [reader.at(int(start), int(start) + length) for start in starts]
    return Piece(
        start=0,
        value=np.concatenate([part.value for part in parts]),
        cost=np.concatenate([part.cost for part in parts]),
        copies=np.concatenate([part.copies for part in parts]),
    )


def bracket(piece: Piece, rows: int, budget: float) -> Bracket:
    """Return prices between which the critical price of all ``rows`` rows probably lies, from a sample of them."""
    share = len(piece.value) / rows
    wanted = budget * share
    exact = len(piece.value) == rows
    known: list[Point] = []
    low, high = tangents(piece, wanted, known)
    if low.cost <= wanted or high.cost > wanted:  # not even the best options take the budget; or the cheapest do more
        price = 0.0 if low.cost <= wanted else math.inf
        return Bracket(low=price, high=price)
    if exact:
        return Bracket(low=low.price, high=high.price)
    middle = tangent(low, high)
    own = choose(piece.value, piece.cost, middle)[:, None]
    taken = np.take_along_axis(piece.cost, own, axis=1)[:, 0] * piece.copies
    error = SPREAD * float(taken.std()) * math.sqrt(len(taken) * (1.0 - share)) + 1e-9 * abs(wanted)
    return Bracket(
        low=tangents(piece, wanted + error, known)[0].price,
        high=tangents(piece, wanted - error, known)[1].price,
    )


def tangents(piece: Piece, budget: float, known: list[Point]) -> tuple[Point, Point]:
    """Close in on the critical price by tangents of the (convex) bound; return the points on either side of it.

    The first takes more than the budget, unless even price 0 does not; the second at most the budget, unless even the
    cheapest options take more. ``known`` are points of the piece, and gets those that are found.
    """
    if not known:
        known += [at_price(piece, 0.0), at_price(piece, math.inf)]
    low = max((point for point in known if point.cost > budget), key=lambda point: point.price, default=known[0])
    high = min((point for point in known if point.cost <= budget), key=lambda point: point.price, default=known[1])
    if low.cost <= budget or high.cost > budget:
        return low, high
    for _ in range(MOST_STEPS):
        price = tangent(low, high)
        if not 0.0 < price < math.inf or price in {low.price, high.price}:
            break
        own = at_price(piece, price)
        known.append(own)
        old = low.value - price * low.cost
        if own.value - price * own.cost <= old + 1e-13 * abs(old):
            break  # no row bends between the two: this is the critical price
        if own.cost <= budget:
            high = own
        else:
            low = own
    return low, high


def tangent(low: Point, high: Point) -> float:
    """Return the price at which both points give the same bound."""
    between = low.cost - high.cost
    return (low.value - high.value) / between if between > 0.0 else low.price


def at_price(piece: Piece, price: float) -> Point:
    """Return what the rows of one piece take at ``price``."""
    own = choose(piece.value, piece.cost, price)[:, None]
    value, cost = np.take_along_axis(piece.value, own, axis=1), np.take_along_axis(piece.cost, own, axis=1)
    return Point(price=price, value=float(value[:, 0] @ piece.copies), cost=float(cost[:, 0] @ piece.copies))
