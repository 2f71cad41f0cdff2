"""The arcs of a layered path program, sorted by where they begin: what labels and multipliers walk over."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.path.program import LayeredPath, Path, Piece
from coinfer.solver.path.tables import SLACK, Tables, ends, ends_busy, followers, tables_of
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """Nodes in topological order, and arcs between them.

    Node 0 is the source. Of ``2 * carriers`` nodes for each boundary, the first half stand for a piece that *ended*
    there, the second half for having *arrived* on the carrier; the last node is the end. A jump leads from an ended
    piece to an arrival, a piece (one step of it, where modes may be mixed) from there to an ended piece.

    Attributes
    ----------
    start
        (nodes + 1,): node ``n`` has the arcs ``start[n]:start[n + 1]``.
    head
        (arcs,): where an arc leads.
    use
        (arcs, kept): what it uses of each resource that matters.
    load
        (arcs,): memory of a step where modes may be mixed; else, in free order, 1 for a piece; else 0.
    choice
        (arcs,): codec of a jump, mode of a piece.
    carrier
        (nodes,): the carrier of a node; -1 for the source and the end.
    jumps
        (nodes,): whether the arcs that lead here are jumps.
    room
        (carriers,): most load; infinite where loads do not matter.
    earlier
        (carriers,): the carrier just like it that must come first in free order; -1 without.
    """

    tables: Tables
    start: IntArray
    head: IntArray
    use: FloatArray
    load: FloatArray
    choice: IntArray
    carrier: IntArray
    jumps: NDArray[np.bool_]
    room: FloatArray
    earlier: IntArray

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.carrier)

    @property
    def tail(self) -> IntArray:
        """Where each arc begins, (arcs,)."""
        return np.repeat(np.arange(self.nodes), np.diff(self.start))

    def boundary(self, node: int) -> int:
        """Return the boundary of a node between the source and the end."""
        return (node - 1) // (2 * self.tables.program.carriers)

    def only(self, kept: NDArray[np.bool_]) -> Graph:
        """Return the graph with some of the arcs."""
        counts = np.concatenate([[0], np.cumsum(kept)])
        return replace(
            self,
            start=counts[self.start],
            head=self.head[kept],
            use=self.use[kept],
            load=self.load[kept],
            choice=self.choice[kept],
        )

    def path(self, arcs: list[int]) -> Path:
        """Return the path of the arcs from the source to the end."""
        tail = np.searchsorted(self.start, arcs, side="right") - 1
        pieces: list[Piece] = []
        codec = 0
        for arc, begin in zip(arcs, tail.tolist(), strict=True):
            end, choice = int(self.head[arc]), int(self.choice[arc])
            if self.jumps[end]:
                codec = choice
                continue
            first, after, carrier = self.boundary(begin), self.boundary(end), int(self.carrier[end])
            modes = (choice,) * (after - first)
            if pieces and pieces[-1].carrier == carrier:
                last = pieces.pop()
                pieces.append(last._replace(last=after - 1, modes=last.modes + modes))
            else:
                pieces.append(Piece(carrier, first, after - 1, modes, codec))
        return tuple(pieces)


def graph_of(program: LayeredPath, *, below: float = np.inf) -> Graph:
    """Return all arcs of a program; with ``below``, those of less busy time (modes must not be mixed then)."""
    tables = tables_of(program, below=below)
    carriers, steps = program.carriers, program.steps
    nodes = 2 * carriers * (steps + 1) + 2
    parts = [*_outer(tables, nodes, below), _jumps(tables, below)]
    parts.append(_single_steps(tables) if program.mixed_modes else _pieces(tables))
    tail, head, choice = (np.concatenate([part[i] for part in parts]) for i in range(3))
    use = np.concatenate([part[3] for part in parts])
    load = np.concatenate([part[4] for part in parts])
    # Sorting 16-bit numbers takes one pass, and most graphs have that few nodes.
    order = np.argsort(tail.astype(np.uint16) if nodes < 2**16 else tail, kind="stable")
    place = (np.arange(nodes) - 1) % (2 * carriers)
    carrier = place % carriers
    jumps = place >= carriers
    carrier[0] = carrier[-1] = -1
    jumps[-1], jumps[0] = True, False
    loaded = program.mixed_modes or program.order == "free"
    room = program.capacity * (1.0 + SLACK) if program.mixed_modes else np.ones(carriers)
    return Graph(
        tables=tables,
        start=np.concatenate([[0], np.cumsum(np.bincount(tail, minlength=nodes))]).astype(np.int64),
        head=head[order],
        use=use[order],
        load=load[order],
        choice=choice[order],
        carrier=carrier,
        jumps=jumps,
        room=room if loaded else np.full(carriers, np.inf),
        earlier=program.earlier() if program.order == "free" else np.full(carriers, -1),
    )


Arcs = tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray]


def _outer(tables: Tables, nodes: int, below: float) -> list[Arcs]:
    """Return the first jumps and the returns."""
    program = tables.program
    sides = zip(ends(tables), ends_busy(program), strict=True)
    parts = []
    for back, (use, busy) in enumerate(sides):
        carrier = np.flatnonzero(np.isfinite(use).all(axis=0) & (busy < below))
        inner = 1 + carrier + (2 * program.carriers * program.steps if back else program.carriers)
        outer = np.full(len(carrier), nodes - 1 if back else 0)
        tail, head = (inner, outer) if back else (outer, inner)
        none = np.zeros(len(carrier))
        parts.append((tail, head, none.astype(np.int64), use[:, carrier].T, none))
    return parts


def _jumps(tables: Tables, below: float) -> Arcs:
    """Return the jumps between carriers."""
    program, kept, count = tables.program, tables.kept, tables.program.carriers
    inner = slice(1, program.steps)
    fixed = program.fixed[kept, :count, :count]
    start, end = np.nonzero(followers(program) & np.isfinite(fixed).all(axis=0))
    fixed, rate = fixed[:, start, end], program.rate[kept][:, start, end]
    # (kept, boundaries, pairs, codecs)
    weight = program.weight[kept, inner][:, :, None, None]
    amount, extra = (part[kept, :, inner].transpose(0, 2, 1)[:, :, None, :] for part in (program.amount, program.extra))
    moved = rate[:, None, :, None] * amount
    use = weight * (fixed[:, None, :, None] + moved) + extra
    boundary, pair, codec = (axis.ravel() for axis in np.indices(use.shape[1:]))
    use = use.reshape(len(kept), -1).T
    if below < np.inf:
        quick = (weight[0] * moved[0] + extra[0]).ravel() < below
        boundary, pair, codec, use = boundary[quick], pair[quick], codec[quick], use[quick]
    base = 1 + 2 * count * (boundary + 1)
    return base + start[pair], base + count + end[pair], codec, use, np.zeros(len(codec))


def _pieces(tables: Tables) -> Arcs:
    """Return whole pieces, of one mode each."""
    program = tables.program
    count, ends_at = program.carriers, np.arange(program.steps + 1)
    reach = tables.reach.transpose(2, 0, 1)  # (steps, carriers, modes)
    there = (ends_at > np.arange(program.steps)[:, None, None, None]) & (ends_at <= reach[..., None])
    first, carrier, mode, end = np.nonzero(there)
    use = (tables.sums[:, carrier, mode, end] - tables.sums[:, carrier, mode, first]).T
    load = np.full(len(end), 1.0 if program.order == "free" else 0.0)
    return 1 + 2 * count * first + count + carrier, 1 + 2 * count * end + carrier, mode, use, load


def _single_steps(tables: Tables) -> Arcs:
    """Return single steps, from an arrival and from a piece that goes on."""
    program, kept = tables.program, tables.kept
    count = program.carriers
    possible = np.isfinite(program.step[kept]).all(axis=0) & (
        program.size <= program.capacity[:, None, None] * (1.0 + SLACK)
    )
    carrier, mode, step = np.nonzero(possible)
    use = program.step[kept][:, carrier, mode, step].T
    head, size = 1 + 2 * count * (step + 1) + carrier, program.size[carrier, mode, step]
    arrived = 1 + 2 * count * step + count + carrier
    on = step > 0
    return (
        np.concatenate([arrived, (arrived - count)[on]]),
        np.concatenate([head, head[on]]),
        np.concatenate([mode, mode[on]]),
        np.concatenate([use, use[on]]),
        np.concatenate([size, size[on]]),
    )
