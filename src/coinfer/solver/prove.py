"""Prove a lower bound in a form that a third party can check: branch and bound that keeps every leaf's evidence."""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field

import numpy as np

from coinfer.solver.certificate.tree import BoundProof, Branch, Leaf
from coinfer.solver.duality import farkas_ray, rounded, shown_bound, signed
from coinfer.solver.limits import Limits
from coinfer.solver.linear import Relaxation, elastic
from coinfer.solver.program import FloatArray, MixedIntegerProgram
from coinfer.solver.progress import OnProgress, Progress, Stop

CLOSING = 5e-10
"""A leaf is closed when its bound is within this of the incumbent, relative to ``max(1, |value|)``."""
INTEGRALITY = 1e-7
FEASIBILITY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProofResult:
    """A tree and what it shows.

    Attributes
    ----------
    proof
        The tree, complete even when a limit was hit: open boxes then carry the weaker evidence of their parents.
    bound
        What it shows, in floats; the checker derives the exact figure. ``inf`` when it shows infeasibility.
    incumbent
        Best point known, which may be better than the one that was given; ``None`` without one.
    nodes
        Relaxations solved.
    seconds
        Wall-clock time.
    finished
        False when a limit or the user ended it.
    """

    proof: BoundProof
    bound: float
    incumbent: FloatArray | None
    nodes: int
    seconds: float
    finished: bool


@dataclass(slots=True, eq=False)
class _Open:
    """A box that is not finished, and the best evidence of its parent."""

    index: int
    lower: dict[int, float]
    upper: dict[int, float]
    evidence: Leaf
    bound: float


@dataclass(slots=True, eq=False)
class _Tree:
    """The search: the nodes so far, the open boxes, the incumbent."""

    program: MixedIntegerProgram
    relaxation: Relaxation
    incumbent: FloatArray | None
    value: float
    nodes: list[Branch | Leaf | None] = field(default_factory=list)
    heap: list[tuple[float, int, _Open]] = field(default_factory=list)
    closed: float = math.inf
    solved: int = 0

    def push(self, box: _Open) -> None:
        """Put a box on the list, worst bound first."""
        heapq.heappush(self.heap, (box.bound, box.index, box))

    @property
    def cutoff(self) -> float:
        """Bound at which a leaf is closed."""
        return self.value - CLOSING * max(1.0, abs(self.value)) if math.isfinite(self.value) else math.inf

    @property
    def bound(self) -> float:
        """Bound shown so far."""
        return min(self.closed, self.heap[0][0] if self.heap else math.inf)

    def close(self, index: int, leaf: Leaf, bound: float) -> None:
        """Finish a box."""
        self.nodes[index] = leaf
        self.closed = min(self.closed, bound)


def prove(
    program: MixedIntegerProgram,
    *,
    incumbent: FloatArray | None = None,
    limits: Limits | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> ProofResult:
    """Build a tree that shows how far below ``incumbent`` any point can be.

    Best-first branch and bound over linear relaxations with the incumbent as cutoff. Every finished box keeps the
    row multipliers that close it (see :mod:`coinfer.solver.certificate.tree`).

    Parameters
    ----------
    program
        Any program.
    incumbent
        Best point known, (variables,); without one the tree finds its own.
    limits
        ``time_s`` and ``nodes`` end the search; the tree then shows a weaker bound, which is still true.
    stop, on_progress
        Ends it early; is told of each improvement of the bound.
    """
    limits = limits or Limits()
    began = time.perf_counter()
    value = math.inf if incumbent is None else program.value(incumbent)
    tree = _Tree(program=program, relaxation=Relaxation(program), incumbent=incumbent, value=value)
    empty = Leaf(reason="bound", rows=(), multipliers=())
    tree.nodes.append(None)
    tree.push(
        _Open(index=0, lower={}, upper={}, evidence=empty, bound=shown_bound(program, np.zeros(program.rows), {}, {}))
    )
    while tree.heap and tree.bound < tree.cutoff:
        spent = time.perf_counter() - began
        left = None if limits.time_s is None else limits.time_s - spent
        if stop or (left is not None and left <= 0.0) or (limits.nodes is not None and tree.solved >= limits.nodes):
            break
        _expand(tree, heapq.heappop(tree.heap)[2], left)
        if on_progress is not None:
            on_progress(Progress(seconds=spent, value=tree.value, bound=tree.bound, nodes=tree.solved))
    finished = tree.bound >= tree.cutoff or not tree.heap
    for _, _, box in tree.heap:
        tree.close(box.index, box.evidence, box.bound)
    return ProofResult(
        proof=BoundProof(nodes=tuple(node for node in tree.nodes if node is not None)),
        bound=tree.closed,
        incumbent=tree.incumbent,
        nodes=tree.solved,
        seconds=time.perf_counter() - began,
        finished=finished,
    )


def _expand(tree: _Tree, box: _Open, time_s: float | None) -> None:
    """Solve one box: close it, or branch on it."""
    program = tree.program
    lower, upper = program.lower.copy(), program.upper.copy()
    for j, bound in box.lower.items():
        lower[j] = bound
    for j, bound in box.upper.items():
        upper[j] = bound
    solved = tree.relaxation.solve(lower, upper, time_s=time_s)
    tree.solved += 1
    if solved.status == "infeasible":
        ray = farkas_ray(program, solved.multipliers, box.lower, box.upper)
        if ray is None:
            ray = farkas_ray(program, elastic(program, lower, upper).multipliers, box.lower, box.upper)
        if ray is not None:
            tree.close(box.index, _leaf("infeasible", ray), math.inf)
            return
    multipliers = (
        signed(program, solved.multipliers) if solved.status == "optimal" and solved.multipliers is not None else None
    )
    if multipliers is not None:
        shown = shown_bound(program, multipliers, box.lower, box.upper)
        if shown > box.bound:
            box.evidence, box.bound = _leaf("bound", multipliers), shown
    if solved.point is not None:
        _improve(tree, solved.point, lower, upper, time_s)
    if box.bound >= tree.cutoff:
        if multipliers is not None:
            box.evidence, box.bound = _shortened(program, multipliers, box, tree.cutoff)
        tree.close(box.index, box.evidence, box.bound)
        return
    variable = _branching_variable(program, solved.point, lower, upper)
    if variable is None:  # every integer is fixed: the box is as small as it gets
        tree.close(box.index, box.evidence, box.bound)
        return
    _branch(tree, box, variable, solved.point, lower, upper)


def _branch(
    tree: _Tree, box: _Open, variable: int, point: FloatArray | None, lower: FloatArray, upper: FloatArray
) -> None:
    """Split a box at ``variable`` and put both halves on the list."""
    low, high = float(lower[variable]), float(upper[variable])
    middle = (low + high) / 2 if point is None else float(point[variable])
    value = int(min(max(math.floor(middle + INTEGRALITY), math.ceil(low)), math.floor(high) - 1))
    below, above = len(tree.nodes), len(tree.nodes) + 1
    tree.nodes[box.index] = Branch(variable=variable, value=value, below=below, above=above)
    tree.nodes += [None, None]
    halves = (
        (below, box.lower, {**box.upper, variable: float(value)}),
        (above, {**box.lower, variable: value + 1.0}, box.upper),
    )
    for index, low_changes, high_changes in halves:
        tree.push(_Open(index=index, lower=low_changes, upper=high_changes, evidence=box.evidence, bound=box.bound))


def _branching_variable(
    program: MixedIntegerProgram, point: FloatArray | None, lower: FloatArray, upper: FloatArray
) -> int | None:
    """Return the most fractional integer variable; any that is not fixed when none is; ``None`` when all are."""
    free = np.flatnonzero(program.integer & (np.floor(upper) > np.ceil(lower)))
    if len(free) == 0:
        return None
    if point is None:
        return int(free[0])
    distance = np.abs(point[free] - np.round(point[free]))
    return int(free[np.argmax(distance)])


def _improve(tree: _Tree, point: FloatArray, lower: FloatArray, upper: FloatArray, time_s: float | None) -> None:
    """Take an integral point as incumbent when it is better; its continuous part is solved anew, integers fixed."""
    integer = tree.program.integer
    rounded = np.where(integer, np.round(point), point)
    if np.abs(rounded - point).max(initial=0.0) > INTEGRALITY or tree.program.value(point) >= tree.value:
        return
    if not np.array_equal(rounded, point):
        again = tree.relaxation.solve(
            np.where(integer, rounded, lower), np.where(integer, rounded, upper), time_s=time_s
        )
        if again.point is None:
            return
        rounded = np.where(integer, rounded, again.point)
    if tree.program.violation(rounded) <= FEASIBILITY and tree.program.value(rounded) < tree.value:
        tree.incumbent, tree.value = rounded, tree.program.value(rounded)


def _leaf(reason: str, multipliers: FloatArray) -> Leaf:
    rows = np.flatnonzero(multipliers)
    return Leaf(
        reason="bound" if reason == "bound" else "infeasible",
        rows=tuple(rows.tolist()),
        multipliers=tuple(multipliers[rows].tolist()),
    )


def _shortened(program: MixedIntegerProgram, y: FloatArray, box: _Open, cutoff: float) -> tuple[Leaf, float]:
    """Return evidence with as few digits as still close the box: a proof is read and sent around."""
    for digits in (4, 8, 12):
        short = rounded(y, digits)
        shown = shown_bound(program, short, box.lower, box.upper)
        if shown >= cutoff:
            return _leaf("bound", short), shown
    return box.evidence, box.bound
