"""Rows of prices over a graph: what they show of the way to the end, and which prices show most."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.path.graph import Graph
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One row of prices, and its potentials.

    ``prices`` (kept,), ``carrier_prices`` (carriers,); ``least`` (nodes,): least priced cost to the end; ``best``
    (nodes,): the first arc of that way.
    """

    prices: FloatArray
    carrier_prices: FloatArray
    least: FloatArray
    best: IntArray


class Rows:
    """Makes rows of prices over one graph.

    Parameters
    ----------
    graph
        The arcs.
    steps
        Plain or compiled inner steps.
    """

    def __init__(self, graph: Graph, steps: ModuleType) -> None:
        self.graph, self.steps = graph, steps
        self.budget = graph.tables.budget
        self.free = graph.tables.program.order == "free"
        self._owner = np.maximum(graph.carrier[graph.head], 0)
        self._loaded = bool(graph.load.any())

    def row(self, prices: FloatArray, carrier_prices: FloatArray) -> Row:
        """Return the potentials of one row."""
        least, best = np.empty(self.graph.nodes), np.empty(self.graph.nodes, dtype=np.int64)
        self.steps.backward(self.graph.start, self.graph.head, self.cost(prices, carrier_prices), least, best)
        return Row(prices=prices, carrier_prices=carrier_prices, least=least, best=best)

    def cost(self, prices: FloatArray, carrier_prices: FloatArray) -> FloatArray:
        """Return the priced cost of each arc, (arcs,)."""
        cost = self.graph.use @ prices
        if self._loaded and carrier_prices.any():
            cost += carrier_prices[self._owner] * self.graph.load
        return np.asarray(cost)

    def offset(self, row: Row) -> float:
        """Return the price of all budgets but the first."""
        return float(row.prices[1:] @ self.budget[1:])

    def spare(self, row: Row) -> FloatArray:
        """Return the price of all the room of each carrier, (carriers,)."""
        spare = np.zeros(len(row.carrier_prices))
        return np.multiply(row.carrier_prices, self.graph.room, out=spare, where=row.carrier_prices > 0.0)

    def onward(self, row: Row) -> FloatArray:
        """Return the potentials less the price of all room that may still be taken, (nodes,)."""
        spare, own = self.spare(row), self.graph.carrier
        if self.free:
            return np.asarray(row.least - spare.sum())
        later = np.append(np.cumsum(spare[::-1])[::-1], 0.0)  # the node's own carrier counts: its load is priced too
        return np.asarray(row.least - np.where(own >= 0, later[own], np.where(np.arange(len(own)) == 0, later[0], 0.0)))

    def bound(self, row: Row) -> float:
        """Return the Lagrangian bound of a row that prices the objective at 1."""
        return float(row.least[0] - self.spare(row).sum()) - self.offset(row)

    def used(self, row: Row) -> tuple[FloatArray, FloatArray, list[int]]:
        """Return what the best path of a row uses, (kept,), and loads on each carrier, (carriers,), and its arcs."""
        arcs, node, last = [], 0, self.graph.nodes - 1
        while node != last:
            arc = int(row.best[node])
            arcs.append(arc)
            node = int(self.graph.head[arc])
        load = np.bincount(self._owner[arcs], weights=self.graph.load[arcs], minlength=len(self.graph.room))
        return np.asarray(self.graph.use[arcs].sum(axis=0)), load.astype(np.float64), arcs

    def dear(self, row: Row, cutoff: float) -> NDArray[np.bool_]:
        """Return which arcs are too dear for any path below ``cutoff``, (arcs,)."""
        reached = np.empty(self.graph.nodes)
        cost = self.cost(row.prices, row.carrier_prices)
        self.steps.forward(self.graph.start, self.graph.head, cost, reached)
        priced = row.prices[0] * cutoff if row.prices[0] else 0.0
        most = priced + self.offset(row) + float(self.spare(row).sum())
        through = reached[self.graph.tail] + cost + row.least[self.graph.head]
        return np.asarray(~(through < np.inf) | (through > most * (1.0 + 1e-9)))


def single_rows(rows: Rows) -> list[Row]:
    """Return the rows that price one resource alone."""
    none = np.zeros(len(rows.graph.room))
    return [rows.row(prices, none) for prices in np.eye(len(rows.budget))]


def ascend(
    rows: Rows, begin: Row, *, target: float, steps: int, met: Callable[[list[int]], float] | None = None
) -> list[Row]:
    """Raise the Lagrangian bound by subgradient steps from ``begin``; return the rows that were best in turn.

    ``met`` is told the arcs of each path that keeps all budgets, and returns the target from then on. The step is
    Polyak's towards the target, halved whenever the bound has not risen for some time.

    References
    ----------
    B. T. Polyak, Minimization of unsmooth functionals, USSR Computational Mathematics 9 (1969).
    """
    budget = rows.budget[1:]
    room = rows.graph.room
    kept = np.isfinite(room) & (room > 0.0)
    limited = np.concatenate([np.ones(len(budget)), kept])
    right = np.concatenate([budget, np.where(kept, room, 0.0)])
    scale = np.where(right > 0.0, right, 1.0)
    at = np.concatenate([begin.prices[1:], begin.carrier_prices]) * scale
    found = [begin]
    best, factor, waited, direction = rows.bound(begin), 1.0, 0, np.zeros(len(at))
    row = begin
    for _ in range(steps):
        use, load, arcs = rows.used(row)
        excess = limited * (np.concatenate([use[1:], load]) - right) / scale
        if met is not None and (excess <= 0.0).all() and use[0] < target:
            target = min(target, met(arcs))
        direction = excess + 0.5 * direction
        direction[(at <= 0.0) & (direction < 0.0)] = 0.0
        size = float(direction @ direction)
        goal = target if math.isfinite(target) else 1.1 * max(best, 1e-9)
        if size <= 1e-18 or goal - best <= 1e-10 * abs(goal):
            break
        at = np.maximum(at + factor * (goal - rows.bound(row)) / size * direction, 0.0)
        prices = at / scale
        row = rows.row(np.concatenate([[1.0], prices[: len(budget)]]), prices[len(budget) :])
        bound = rows.bound(row)
        if bound > best:
            best, waited = bound, 0
            found.append(row)
        else:
            waited += 1
            if waited >= 4:
                factor, waited = factor / 2.0, 0
                at = np.concatenate([found[-1].prices[1:], found[-1].carrier_prices]) * scale
                row, direction = found[-1], np.zeros(len(at))
    return found
