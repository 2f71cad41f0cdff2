"""Check the certificate of a monotonic search: walk its tree and re-evaluate every leaf, without the search.

The objective and the oracle constraints are asked anew, at one or two corners per leaf. What rests on them is their
declared property (nondecreasing, shrinking gains), which no finite number of answers can show; everything else is
evaluated here. Sums of floats carry a margin of 1e-12 of their largest terms, on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coinfer.errors import CertificateError
from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof
from coinfer.solver.certificate.leaf_bounds import LeafBounds
from coinfer.solver.certificate.tree import Branch
from coinfer.solver.monotonic.program import IntArray, MonotonicProgram

MAX_NODES = 1_000_000
AGREEMENT = 1e-9
"""A leaf may state a bound that is below the re-evaluated one by this, relative to the objective's terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxBound:
    """What a proof shows.

    Attributes
    ----------
    bound
        No feasible point is worth more; ``-inf`` when every leaf is empty.
    leaf
        Number of the node with the largest bound; ``None`` when every leaf is empty.
    """

    bound: float
    leaf: int | None


def check_boxes(program: MonotonicProgram, proof: BoxProof) -> BoxBound:
    """Return the bound that ``proof`` shows for ``program``.

    Parameters
    ----------
    program
        The program as it was given to the search, whatever class the search used.
    proof
        The tree.

    Raises
    ------
    CertificateError
        If the tree is no tree, or a leaf does not show what it claims; the sentence names the leaf and its box.
    """
    if not 0 < len(proof.nodes) <= MAX_NODES:
        raise CertificateError(f"proof: expected between 1 and {MAX_NODES} nodes; found {len(proof.nodes)}")
    shown_by = LeafBounds(program, proof)
    worst, where = -math.inf, None
    for index, leaf, lower, upper in _leaves(program, proof):
        if (lower > upper).any():  # the start box itself holds no point
            continue
        try:
            bound = _agreed(leaf, shown_by.bound(leaf, lower, upper), shown_by.scale)
        except CertificateError as error:
            raise CertificateError(f"leaf {index} ({_path(program, lower, upper)}): {error}") from error
        if bound is not None and bound > worst:
            worst, where = bound, index
    return BoxBound(bound=worst, leaf=where)


def _agreed(leaf: BoxLeaf, shown: float | None, scale: float) -> float | None:
    """Return what is shown, after comparing it with what the leaf states."""
    if shown is None:
        return None
    if leaf.bound is None:
        raise CertificateError("expected a box that its method shows to be empty")
    if not math.isfinite(leaf.bound) or math.isnan(shown):
        raise CertificateError(f"expected a finite bound; found {leaf.bound}")
    if shown > leaf.bound + AGREEMENT * max(abs(shown), abs(leaf.bound), scale):
        raise CertificateError(f"states a bound of {leaf.bound!r}; re-evaluated, it is {shown!r}")
    return shown


def _leaves(program: MonotonicProgram, proof: BoxProof) -> Iterator[tuple[int, BoxLeaf, IntArray, IntArray]]:
    """Yield number, leaf and the corners of the box of each leaf; the corners change with the next one."""
    nodes, lower, upper = proof.nodes, program.lower.copy(), program.upper.copy()
    seen = bytearray(len(nodes))
    # a node to enter, or (below 0) a corner to restore; then corner, variable and level to set
    stack: list[tuple[int, IntArray, int, int]] = [(0, lower, -1, 0)]
    while stack:
        index, corner, variable, level = stack.pop()
        if index >= 0 and seen[index]:
            raise CertificateError(f"node {index}: expected one branch that leads to it; found two")
        if variable >= 0:
            if index >= 0:
                stack.append((-1, corner, variable, int(corner[variable])))
            corner[variable] = level
        if index < 0:
            continue
        seen[index] = True
        node = nodes[index]
        if isinstance(node, BoxLeaf):
            yield index, node, lower, upper
        else:
            _check_branch(node, index, len(nodes), lower, upper)
            stack.append((node.above, lower, node.variable, node.value + 1))
            stack.append((node.below, upper, node.variable, node.value))
    if not all(seen):
        raise CertificateError(f"proof: {seen.count(0)} of {len(nodes)} nodes hang on no branch")


def _check_branch(node: Branch, index: int, count: int, lower: IntArray, upper: IntArray) -> None:
    """Refuse a branch that does not split its box in two."""
    where = f"branch {index}"
    if not 0 <= node.variable < len(lower):
        raise CertificateError(f"{where}: expected a variable of the program; found {node.variable}")
    if not (index < node.below < count and index < node.above < count and node.below != node.above):
        raise CertificateError(f"{where}: expected two children behind it; found {node.below} and {node.above}")
    low, high = int(lower[node.variable]), int(upper[node.variable])
    if not low <= node.value < high:
        raise CertificateError(f"{where}: expected a value that splits {low} to {high}; found {node.value}")


def _path(program: MonotonicProgram, lower: IntArray, upper: IntArray) -> str:
    """Say which box this is."""
    names = np.arange(program.variables)
    parts = [f"variable {i} >= {lower[i]}" for i in names[lower > program.lower]]
    parts += [f"variable {i} <= {upper[i]}" for i in names[upper < program.upper]]
    return ", ".join(parts[:12] + ["..."] * (len(parts) > 12)) if parts else "the whole box"
