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
from fractions import Fraction
from typing import Literal

from coinfer.errors import CertificateError
from coinfer.records import Record
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


Bounds = dict[int, float]


def check_bound(program: MixedIntegerProgram, proof: BoundProof) -> Fraction | float:
    """Return the lower bound that ``proof`` shows for ``program``, exactly.

    ``inf`` when it shows infeasibility; ``-inf`` when some leaf leaves an unlimited variable free and so shows nothing.

    Whatever the proof says, the returned number never exceeds the optimum.

    Raises
    ------
    CertificateError
        If the tree is no tree, or a leaf does not show what it claims; the sentence names the leaf.
    """
    nodes = proof.nodes
    if not 0 < len(nodes) <= MAX_NODES:
        raise CertificateError(f"proof: expected between 1 and {MAX_NODES} nodes; found {len(nodes)}")
    exact = ExactProgram(program)
    least: Fraction | float = math.inf
    stack: list[tuple[int, Bounds, Bounds]] = [(0, {}, {})]
    visited = 0
    while stack:
        index, lower, upper = stack.pop()
        visited += 1
        node = nodes[index]
        if isinstance(node, Branch):
            stack += _children(program, len(nodes), index, node, lower, upper)
            continue
        where = f"leaf {index} ({_path(program, lower, upper)})"
        bound = _leaf_bound(exact, node, lower, upper, where)
        least = min(least, bound)
    if visited != len(nodes):
        raise CertificateError(f"proof: {len(nodes) - visited} of {len(nodes)} nodes hang on no branch")
    return least + Fraction(program.offset) if isinstance(least, Fraction) else least


def _children(
    program: MixedIntegerProgram, count: int, index: int, node: Branch, lower: Bounds, upper: Bounds
) -> list[tuple[int, Bounds, Bounds]]:
    """Return the two halves of a branched box; a child behind its parent can close no cycle."""
    where = f"branch {index}"
    if not 0 <= node.variable < program.variables or not program.integer[node.variable]:
        raise CertificateError(f"{where}: expected an integer variable of the program; found {node.variable}")
    if not (index < node.below < count and index < node.above < count and node.below != node.above):
        raise CertificateError(f"{where}: expected two children behind it; found {node.below} and {node.above}")
    if abs(node.value) >= 2**53 - 1:
        raise CertificateError(f"{where}: expected a value below 2^53; found {node.value}")
    return [
        (
            node.below,
            lower,
            {**upper, node.variable: min(float(node.value), _get(upper, program.upper, node.variable))},
        ),
        (node.above, {**lower, node.variable: max(node.value + 1.0, _get(lower, program.lower, node.variable))}, upper),
    ]


def _get(changed: Bounds, own: object, variable: int) -> float:
    """Return a bound after the branchings so far."""
    return changed[variable] if variable in changed else float(own[variable])  # type: ignore[index]


def _leaf_bound(exact: ExactProgram, leaf: Leaf, lower: Bounds, upper: Bounds, where: str) -> Fraction | float:
    """Return the bound a leaf shows, without the offset; ``inf`` for a box shown to be empty.

    Raises
    ------
    CertificateError
        If it shows neither.
    """
    program = exact.program
    for variable in {**lower, **upper}:
        if _get(lower, program.lower, variable) > _get(upper, program.upper, variable):
            return math.inf  # branched past a bound: no integer is left
    if len(leaf.rows) != len(leaf.multipliers) or len(set(leaf.rows)) != len(leaf.rows):
        raise CertificateError(f"{where}: expected one multiplier for each of its rows, each row once")
    if not all(0 <= row < program.rows for row in leaf.rows):
        raise CertificateError(f"{where}: expected rows below {program.rows}; found {max(leaf.rows)}")
    if not all(math.isfinite(multiplier) for multiplier in leaf.multipliers):
        raise CertificateError(f"{where}: expected finite multipliers")
    multipliers = {row: y for row, y in zip(leaf.rows, leaf.multipliers, strict=True) if y != 0.0}
    sides = exact.sides(multipliers)
    if sides is None:
        raise CertificateError(f"{where}: a multiplier has the sign of a row side that is infinite")
    entries, shift = exact.combined(multipliers, with_cost=leaf.reason == "bound")
    rest = least_over_box(entries, shift, lower, upper, program)
    if leaf.reason == "bound":
        return -math.inf if rest is None else sides + rest
    if rest is None or sides + rest <= 0:
        raise CertificateError(f"{where}: its multipliers do not show that the box is empty")
    return math.inf


def _path(program: MixedIntegerProgram, lower: Bounds, upper: Bounds) -> str:
    """Say which box a leaf is, in the names of the variable blocks."""
    parts = [f"{_name(program, j)} >= {bound:g}" for j, bound in lower.items()]
    parts += [f"{_name(program, j)} <= {bound:g}" for j, bound in upper.items()]
    return ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "") if parts else "the whole box"


def _name(program: MixedIntegerProgram, variable: int) -> str:
    for name, block in program.variable_blocks.items():
        if block.start <= variable < block.stop:
            return f"{name}[{variable - block.start}]"
    return f"variable {variable}"
