r"""A proof of a lower bound: a branch-and-bound tree whose leaves carry linear-programming duals, and its checker.

Inner nodes branch on an integer variable (:math:`x_j \le v` or :math:`x_j \ge v + 1`), so the leaves cover every
integer point by construction. A leaf shows its part of the bound by weak duality. For *any* row multipliers
:math:`y`,

.. math:: c^\top x \;\ge\; \sum_{y_i > 0} y_i a_i + \sum_{y_i < 0} y_i b_i + \min_{l \le x \le u} (c - A^\top y)^\top x

holds for every :math:`x` in the leaf's box with :math:`a \le A x \le b` (Neumaier and Shcherbina, Math. Program. 99,
2004, safe bounds). A leaf without any feasible point is shown empty by the same sum without the cost being above 0
(Farkas). The checker evaluates both in exact integer arithmetic: no tolerance, no solver.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from coinfer.errors import CertificateError
from coinfer.records import Record
from coinfer.solver.certificate.box import Box
from coinfer.solver.certificate.exact import ExactProgram, least_over_box
from coinfer.solver.program import MixedIntegerProgram

MAX_NODES = 1_000_000


class Branch(Record, frozen=True, kw_only=True, tag_field="node", tag="branch"):
    """Split the box at an integer variable.

    Attributes
    ----------
    variable
        Index of the variable.
    value
        The child ``below`` has ``x <= value``, the child ``above`` has ``x >= value + 1``.
    below, above
        Positions of the children in the list of nodes; both behind their parent.
    """

    variable: int
    value: int
    below: int
    above: int


class Leaf(Record, frozen=True, kw_only=True, tag_field="node", tag="leaf"):
    """A box that is finished.

    Attributes
    ----------
    reason
        ``bound``: the multipliers show a lower bound of the objective. ``infeasible``: they show that the box holds
        no feasible point.
    rows, multipliers
        The rows with a multiplier other than 0, and the multipliers.
    """

    reason: Literal["bound", "infeasible"]
    rows: tuple[int, ...]
    multipliers: tuple[float, ...]


class BoundProof(Record, frozen=True, kw_only=True):
    """The tree; the first node is the root."""

    nodes: tuple[Branch | Leaf, ...]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves, in the order of the list."""
        return tuple(node for node in self.nodes if isinstance(node, Leaf))


def check_bound(program: MixedIntegerProgram, proof: BoundProof) -> Fraction | float:
    """Return the lower bound that ``proof`` shows for ``program``, exactly.

    ``inf`` when it shows infeasibility; ``-inf`` when some leaf leaves an unlimited variable free and so shows nothing.

    Whatever the proof says, the returned number never exceeds the optimum, and the work grows with the size of proof
    times program, never with the number of ways through the tree.

    Raises
    ------
    CertificateError
        If the tree is no tree, or a leaf does not show what it claims; the sentence names the leaf.
    """
    nodes = proof.nodes
    if not 0 < len(nodes) <= MAX_NODES:
        raise CertificateError(f"proof: expected between 1 and {MAX_NODES} nodes; found {len(nodes)}")
    exact, box = ExactProgram(program), Box(program)
    least: Fraction | float = math.inf
    seen = bytearray(len(nodes))
    stack: list[tuple[int, Branch | None]] = [(0, None)]  # a node, and the branch through which it is reached
    while stack:
        index, parent = stack.pop()
        if index < 0:  # a child and all below it are done
            box.restore()
            continue
        if seen[index]:
            raise CertificateError(f"node {index}: expected one branch that leads to it; found two")
        seen[index] = True
        if parent is not None:
            _enter(box, parent, index)
        node = nodes[index]
        if isinstance(node, Branch):
            _check_branch(program, len(nodes), index, node)
            for child in (node.below, node.above):
                stack += [(-1, None), (child, node)]
        else:
            least = min(least, _leaf_bound(exact, node, index, box))
    if not all(seen):
        raise CertificateError(f"proof: {seen.count(0)} of {len(nodes)} nodes hang on no branch")
    return least + Fraction(program.offset) if isinstance(least, Fraction) else least


def leaf_bound(exact: ExactProgram, leaf: Leaf, lower: Sequence[float], upper: Sequence[float]) -> Fraction | float:
    """Return the bound that the multipliers of ``leaf`` show over a box, without the offset.

    ``inf`` when they show that the box is empty, ``-inf`` when a bound leaf shows nothing.

    Raises
    ------
    CertificateError
        If the multipliers are not multipliers of the rows, or do not show the box to be empty as the leaf says.
    """
    rows = exact.program.rows
    if len(leaf.rows) != len(leaf.multipliers) or len(set(leaf.rows)) != len(leaf.rows):
        raise CertificateError("expected one multiplier for each of its rows, each row once")
    outside = next((row for row in leaf.rows if not 0 <= row < rows), None)
    if outside is not None:
        raise CertificateError(f"expected rows from 0 to {rows - 1}; found {outside}")
    if not all(math.isfinite(multiplier) for multiplier in leaf.multipliers):
        raise CertificateError("expected finite multipliers")
    multipliers = {row: y for row, y in zip(leaf.rows, leaf.multipliers, strict=True) if y != 0.0}
    sides = exact.sides(multipliers)
    if sides is None:
        raise CertificateError("a multiplier has the sign of a row side that is infinite")
    entries, shift = exact.combined(multipliers, with_cost=leaf.reason == "bound")
    rest = least_over_box(entries, shift, lower, upper)
    if leaf.reason == "bound":
        return -math.inf if rest is None else sides + rest
    if rest is None or sides + rest <= 0:
        raise CertificateError("its multipliers do not show that the box is empty")
    return math.inf


def _enter(box: Box, parent: Branch, child: int) -> None:
    if child == parent.below:
        box.cut_below(parent.variable, float(parent.value))
    else:
        box.cut_above(parent.variable, parent.value + 1.0)


def _check_branch(program: MixedIntegerProgram, count: int, index: int, node: Branch) -> None:
    """Refuse a branch that does not split the box in two halves which hold every integer point."""
    where = f"branch {index}"
    if not 0 <= node.variable < program.variables or not program.integer[node.variable]:
        raise CertificateError(f"{where}: expected an integer variable of the program; found {node.variable}")
    if not (index < node.below < count and index < node.above < count and node.below != node.above):
        raise CertificateError(f"{where}: expected two children behind it; found {node.below} and {node.above}")
    if abs(node.value) >= 2**53 - 1:  # beyond, value + 1 is no float
        raise CertificateError(f"{where}: expected a value below 2^53; found {node.value}")


def _leaf_bound(exact: ExactProgram, leaf: Leaf, index: int, box: Box) -> Fraction | float:
    """Return the bound of a leaf of the tree; an error gets the leaf's number and box."""
    if box.crossed:  # cut past a bound: no point is left
        return math.inf
    try:
        return leaf_bound(exact, leaf, box.lower, box.upper)
    except CertificateError as error:
        raise CertificateError(f"leaf {index} ({box.path()}): {error}") from error
