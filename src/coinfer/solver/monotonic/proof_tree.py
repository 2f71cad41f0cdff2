"""Writes down the tree of a search while it runs: every box that is cut off becomes a leaf with its witness."""

from __future__ import annotations

import msgspec

from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof
from coinfer.solver.certificate.tree import Branch
from coinfer.solver.monotonic.program import FloatArray

ROOT = 0
MOST_NUMBERS = 5_000_000
"""Prices that a proof may hold: about 100 MB in a file. Boxes after that are not written down any more: those above
them become leaves with the bound they had, so the proof stays true and shows less than the search."""
NOWHERE = -1
"""Position of a box that is below a leaf of the proof."""


class ProofTree:
    """A tree under construction.

    Parameters
    ----------
    keep
        False writes nothing down: for searches whose answer is all that is wanted.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._nodes: list[Branch | BoxLeaf | None] = [None]
        self._prices: list[FloatArray] = []
        self._numbers = 0

    def branch(self, at: int, variable: int, value: int) -> tuple[int, int]:
        """Split the open node ``at``; return the positions of ``x <= value`` and ``x >= value + 1``."""
        if not self._keep or at == NOWHERE:
            return NOWHERE, NOWHERE
        below = len(self._nodes)
        self._nodes[at] = Branch(variable=int(variable), value=int(value), below=below, above=below + 1)
        self._nodes += [None, None]
        return below, below + 1

    def leaf(self, at: int, leaf: BoxLeaf) -> None:
        """Close the open node ``at``."""
        if self._keep and at != NOWHERE:
            self._nodes[at] = leaf

    @property
    def full(self) -> bool:
        """Whether no more boxes are written down."""
        return self._keep and self._numbers > MOST_NUMBERS

    def table(self, prices: FloatArray) -> int:
        """Keep assignment prices; return their position."""
        if self._keep:
            self._prices.append(prices)
            self._numbers += len(prices)
        return len(self._prices) - 1

    def build(self) -> BoxProof | None:
        """Return the tree with the prices that its leaves use; every node must be closed."""
        if not self._keep:
            return None
        nodes = [node for node in self._nodes if node is not None]
        if len(nodes) < len(self._nodes):
            raise AssertionError("a node of the proof was left open")
        used = sorted({node.table for node in nodes if isinstance(node, BoxLeaf) and node.table is not None})
        place = {table: i for i, table in enumerate(used)}
        moved = (
            msgspec.structs.replace(node, table=place[node.table])
            if isinstance(node, BoxLeaf) and node.table is not None
            else node
            for node in nodes
        )
        return BoxProof(nodes=tuple(moved), prices=tuple(tuple(self._prices[table].tolist()) for table in used))
