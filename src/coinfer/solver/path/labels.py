"""One pass over a graph with labels: beginnings of paths, kept while they may lead below a cutoff."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from coinfer.solver.path.potentials import Row, Rows
from coinfer.solver.program import FloatArray, IntArray

ROUNDING = 1e-12
FIRST_ROOM = 1 << 10


@dataclass(slots=True, kw_only=True, eq=False)
class Pass:
    """What a pass found.

    Attributes
    ----------
    cutoff
        Paths of this cost or more were not looked for; falls with every better path.
    arcs
        The best path below the cutoff at the beginning; ``None`` where none was met.
    dropped
        No path is below the cutoff and this but those that were met; infinite where no label was dropped.
    labels
        Labels made.
    ended
        Whether the caller ended it: then nothing is known beyond ``arcs``.
    """

    cutoff: float
    arcs: list[int] | None = None
    dropped: float = math.inf
    labels: int = 0
    ended: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Labels:
    """The labels of one pass, and the rows of prices that cut them off.

    ``pool``, ``links`` and ``first`` are as in :func:`coinfer.solver.path.steps.extend` and ``settle``.
    """

    rows: Rows
    given: list[Row]
    accept: Callable[[list[int]], float]
    pool: FloatArray = field(init=False)
    links: IntArray = field(init=False)
    first: IntArray = field(init=False)

    def __post_init__(self) -> None:
        graph = self.rows.graph
        self.pool = np.zeros((FIRST_ROOM, len(self.rows.budget) + 2 + len(self.given)))
        self.links = np.zeros((FIRST_ROOM, 6), dtype=np.int64)
        self.first = np.full(graph.nodes, -1, dtype=np.int64)

    def run(self, cutoff: float, *, width: int, most: int, ended: Callable[[], bool]) -> Pass:
        """Look for the cheapest path below ``cutoff`` with at most ``width`` labels at a node, ``most`` in all.

        ``accept`` is told the arcs of each better path, and returns the cutoff from then on.
        """
        graph = self.rows.graph
        result = Pass(cutoff=cutoff)
        frame = _Frame(self.rows, self.given)
        self.links[0] = (-1, -1, -1, 0, 1, 0)
        count, self.first[0] = 1, 0
        limit = frame.limit(cutoff)
        starts, last = graph.start.tolist(), graph.nodes - 1
        if not frame.open(limit):
            return result
        self._improve(frame, 0, 1, result)
        for node in range(last):
            if self.first[node] < 0:
                continue
            if ended() or count > most:
                result.ended, result.labels = ended(), count
                result.dropped = 0.0
                return result
            labels = self._kept(node, width, result)
            limit = frame.limit(result.cutoff)
            arcs = slice(starts[node], starts[node + 1])
            while len(labels):
                since = count
                self._grow(count + (arcs.stop - arcs.start))
                priced = (*frame.priced, limit, frame.offset)
                part = (frame.arcs[arcs], frame.numbers[arcs])
                done, count = self.rows.steps.extend(
                    labels, part, frame.nodes, frame.carriers, priced, self.pool, self.links, count
                )
                count = self.rows.steps.settle(
                    self.pool, self.links, self.first, len(self.rows.budget), self.rows.free, since, count
                )
                labels = labels[done:]
                if count > since:
                    self._improve(frame, since, count, result)
        result.labels = count
        return result

    def _kept(self, node: int, width: int, result: Pass) -> IntArray:
        """Return the labels of a node that still count, the most promising ones if they are too many."""
        found = []
        label = int(self.first[node])
        while label >= 0:
            if self.links[label, 4]:
                found.append(label)
            label = int(self.links[label, 0])
        labels = np.array(found, dtype=np.int64)
        bound = self.pool[labels, len(self.rows.budget) + 1]
        labels, bound = labels[bound <= result.cutoff], bound[bound <= result.cutoff]
        order = np.argsort(bound, kind="stable")
        if len(order) > width:
            result.dropped = min(result.dropped, float(bound[order[width]]))
        return np.asarray(labels[order[:width]], dtype=np.int64)

    def _grow(self, needed: int) -> None:
        if needed <= len(self.pool):
            return
        room = max(2 * len(self.pool), needed)
        self.pool = np.concatenate([self.pool, np.zeros((room - len(self.pool), self.pool.shape[1]))])
        self.links = np.concatenate([self.links, np.zeros((room - len(self.links), 6), dtype=np.int64)])

    def _improve(self, frame: _Frame, since: int, count: int, result: Pass) -> None:
        """Complete the new labels by the best ways of the rows, and lower the cutoff where one is allowed."""
        graph = self.rows.graph
        most = self.rows.budget.copy()
        most[0] = min(most[0], result.cutoff)
        label, row = self.rows.steps.improve(
            self.pool, self.links, since, count, frame.done, frame.loaded, frame.taken, most, graph.carrier, graph.room
        )
        if label >= 0:
            arcs: list[int] = []
            node, at = int(self.links[label, 5]), int(label)
            while at > 0:
                arcs.append(int(self.links[at, 2]))
                at = int(self.links[at, 1])
            arcs.reverse()
            while node != graph.nodes - 1:
                arcs.append(int(self.given[row].best[node]))
                node = int(graph.head[arcs[-1]])
            cutoff = self.accept(arcs)
            if cutoff < result.cutoff:
                result.cutoff, result.arcs = cutoff, arcs


class _Frame:
    """The arguments of the steps that stay the same in one pass."""

    def __init__(self, rows: Rows, given: list[Row]) -> None:
        graph = rows.graph
        self.prices = np.array([row.prices for row in given])
        carrier_prices = np.array([row.carrier_prices for row in given])
        spare = np.array([rows.spare(row) for row in given])
        onward = np.ascontiguousarray(np.array([rows.onward(row) for row in given]).T)
        self.onward = onward
        self.offset = np.array([rows.offset(row) for row in given])
        self.arcs = np.stack([graph.head, np.arange(len(graph.head))], axis=1)
        self.numbers = np.concatenate([graph.use, graph.load[:, None]], axis=1)
        places = np.stack([graph.carrier, graph.jumps.astype(np.int64)], axis=1)
        self.nodes = (places, onward)
        self.carriers = (graph.room, graph.earlier, rows.free)
        self.priced = (self.prices, carrier_prices, spare)
        shape = (len(given), graph.nodes)
        self.done = np.empty((*shape, graph.use.shape[1]))
        self.loaded, self.taken = np.empty(shape), np.empty(shape, dtype=np.int64)
        for row, done, loaded, taken in zip(given, self.done, self.loaded, self.taken, strict=True):
            rows.steps.complete(
                graph.head, graph.use, graph.load, graph.carrier, graph.jumps, graph.room, row.best, rows.free,
                done, loaded, taken,
            )  # fmt: skip

    def limit(self, cutoff: float) -> FloatArray:
        """Return the most priced cost of a path below ``cutoff``, (rows,)."""
        priced = np.zeros(len(self.prices))
        np.multiply(self.prices[:, 0], cutoff, out=priced, where=self.prices[:, 0] > 0.0)
        return np.asarray((priced + self.offset) * (1.0 + ROUNDING))

    def open(self, limit: FloatArray) -> bool:
        """Return whether no row rules out the source already."""
        return bool((self.onward[0] <= limit).all())
