"""Boxes of a search and the tree that remembers them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof, Cut
from coinfer.solver.certificate.check_boxes import MAX_NODES
from coinfer.solver.certificate.tree import Branch
from coinfer.solver.monotonic.program import IntArray


@dataclass(slots=True, eq=False)
class Box:
    """A box that is not finished, and the best evidence known of it.

    Attributes
    ----------
    index
        Its place in the tree; changes as the box is reduced.
    lower, upper
        (variables,) both ends included; changed in place by reductions.
    evidence
        What shows the bound; ``None`` while nothing does.
    """

    index: int
    lower: IntArray
    upper: IntArray
    evidence: BoxLeaf | None = None

    @property
    def bound(self) -> float:
        """No feasible point of the box is worth more; ``inf`` while nothing is shown."""
        return math.inf if self.evidence is None else math.inf if self.evidence.bound is None else self.evidence.bound

    def learn(self, evidence: BoxLeaf) -> None:
        """Keep ``evidence`` when it shows more than what is known."""
        if evidence.bound is not None and evidence.bound < self.bound:
            self.evidence = evidence


@dataclass(slots=True, eq=False)
class Ledger:
    """The tree so far.

    Attributes
    ----------
    keep
        Whether to remember it; turned off when it grows beyond what the checker reads.
    closed
        Largest bound of a finished box; ``-inf`` while all of them are empty.
    """

    keep: bool
    closed: float = -math.inf
    nodes: list[Branch | BoxLeaf | None] = field(default_factory=lambda: [None])

    def raise_lower(self, box: Box, variable: int, level: int, leaf: BoxLeaf) -> None:
        """Cut ``x < level`` from a box; ``leaf`` says why nothing is lost."""
        below, above = self.split(box.index, variable, level - 1)
        box.index, box.lower[variable] = above, level
        self.close(below, leaf)

    def drop_upper(self, box: Box, variable: int, level: int, leaf: BoxLeaf) -> None:
        """Cut ``x > level`` from a box; ``leaf`` says why nothing is lost."""
        below, above = self.split(box.index, variable, level)
        box.index, box.upper[variable] = below, level
        self.close(above, leaf)

    def split(self, index: int, variable: int, value: int) -> tuple[int, int]:
        """Branch a node at ``x <= value`` or ``x >= value + 1``; return the places of both children."""
        if not self.keep:
            return 0, 0
        below = len(self.nodes)
        self.nodes[index] = Branch(variable=int(variable), value=int(value), below=below, above=below + 1)
        self.nodes += [None, None]
        if len(self.nodes) > MAX_NODES:
            self.keep, self.nodes = False, [None]
        return below, below + 1

    def close(self, index: int, leaf: BoxLeaf) -> None:
        """Finish a node."""
        if leaf.bound is not None:
            self.closed = max(self.closed, leaf.bound)
        if self.keep:
            self.nodes[index] = leaf

    def proof(self, unfinished: list[Box], cuts: list[Cut]) -> BoxProof | None:
        """Return the tree with the unfinished boxes as leaves; ``None`` when one of them shows nothing."""
        if not self.keep:
            return None
        nodes = list(self.nodes)
        for box in unfinished:
            nodes[box.index] = box.evidence
        whole = tuple(node for node in nodes if node is not None)
        return BoxProof(nodes=whole, cuts=tuple(cuts)) if len(whole) == len(nodes) else None
