"""Make a proof shorter without losing its bound: a proof is read, sent around and checked many times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.solver.certificate.tree import BoundProof, Branch, Leaf
from coinfer.solver.duality import DualBounds, rounded
from coinfer.solver.program import FloatArray, MixedIntegerProgram

_DIGITS = (3, 4, 6, 8, 10, 12, 14)


def leaf(reason: str, multipliers: FloatArray) -> Leaf:
    """Return a leaf with the multipliers that are not 0, (rows,) given."""
    rows = np.flatnonzero(multipliers)
    return Leaf(
        reason="infeasible" if reason == "infeasible" else "bound",
        rows=tuple(rows.tolist()),
        multipliers=tuple(multipliers[rows].tolist()),
    )


def compacted(program: MixedIntegerProgram, nodes: Sequence[Branch | Leaf], target: float) -> BoundProof:
    """Return a proof that shows at least ``target`` wherever the given tree does, with fewer leaves and digits.

    Two leaves become one where the evidence of either holds for both; multipliers lose the digits that the target
    does not need.

    Parameters
    ----------
    program
        The program the tree speaks of.
    nodes
        A tree, root first, every child behind its parent.
    target
        Bound to keep; ``inf`` when the tree shows infeasibility.
    """
    shrinker = _Shrinker(program, nodes, target)
    shrinker.merge()
    return shrinker.listed()


class _Shrinker:
    """The tree while it shrinks; nodes that were merged away stay in the list until it is written anew."""

    def __init__(self, program: MixedIntegerProgram, nodes: Sequence[Branch | Leaf], target: float) -> None:
        self._program, self._target = program, target
        self._dual = DualBounds(program)
        self._nodes = list(nodes)
        self._parent = {
            child: index
            for index, node in enumerate(nodes)
            if isinstance(node, Branch)
            for child in (node.below, node.above)
        }

    def merge(self) -> None:
        """Turn a branch whose halves one evidence serves into a leaf, from the last branch to the root."""
        for index in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[index]
            if isinstance(node, Branch):
                halves = self._nodes[node.below], self._nodes[node.above]
                if isinstance(halves[0], Leaf) and isinstance(halves[1], Leaf):
                    lower, upper = self._box(index)
                    candidates = (half for half in halves if isinstance(half, Leaf))
                    served = (half for half in candidates if self._holds(half.reason, self._dense(half), lower, upper))
                    self._nodes[index] = next(served, node)

    def listed(self) -> BoundProof:
        """Return what hangs on the root, in the old order, with its multipliers shortened."""
        kept, position = [0], {}
        for index in kept:
            node = self._nodes[index]
            kept += [node.below, node.above] if isinstance(node, Branch) else []
        kept.sort()
        position = {index: place for place, index in enumerate(kept)}
        nodes: list[Branch | Leaf] = []
        for index in kept:
            node = self._nodes[index]
            if isinstance(node, Branch):
                below, above = position[node.below], position[node.above]
                nodes.append(Branch(variable=node.variable, value=node.value, below=below, above=above))
            else:
                nodes.append(self._shortened(node, *self._box(index)))
        return BoundProof(nodes=tuple(nodes))

    def _shortened(self, node: Leaf, lower: FloatArray, upper: FloatArray) -> Leaf:
        y = self._dense(node)
        cost = self._program.cost if node.reason == "bound" else np.zeros(self._program.variables)
        for digits in _DIGITS:
            short = self._dual.repaired(rounded(y, digits), cost, on_grid=False)
            if self._holds(node.reason, short, lower, upper):
                return leaf(node.reason, short)
        return node

    def _holds(self, reason: str, y: FloatArray, lower: FloatArray, upper: FloatArray) -> bool:
        if reason == "infeasible":
            return self._dual.empties(y, lower, upper)
        return self._dual.bound(y, lower, upper) >= self._target

    def _dense(self, node: Leaf) -> FloatArray:
        y = np.zeros(self._program.rows)
        y[list(node.rows)] = node.multipliers
        return y

    def _box(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of a node, (variables,) each, from the branches above it."""
        lower, upper = self._program.lower.copy(), self._program.upper.copy()
        while index in self._parent:
            above = self._nodes[self._parent[index]]
            if isinstance(above, Branch) and index == above.below:
                upper[above.variable] = min(upper[above.variable], above.value)
            elif isinstance(above, Branch):
                lower[above.variable] = max(lower[above.variable], above.value + 1.0)
            index = self._parent[index]
        return lower, upper
