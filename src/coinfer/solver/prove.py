"""Prove a lower bound in a form that a third party can check: branch and bound that keeps every leaf's evidence."""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field

import numpy as np

from coinfer.errors import CertificateError, InputError
from coinfer.solver.certificate.point import check_point
from coinfer.solver.certificate.tree import BoundProof, Branch, Leaf, check_bound
from coinfer.solver.compact import compacted, leaf
from coinfer.solver.duality import DualBounds, rounded_down
from coinfer.solver.limits import Limits
from coinfer.solver.linear import LinearResult, Relaxation, elastic
from coinfer.solver.program import FloatArray, MixedIntegerProgram
from coinfer.solver.progress import OnProgress, Progress, Stop

CLOSING = 5e-10
"""A leaf is closed when its bound is within this of the incumbent, relative to ``max(1, |value|)``."""
INTEGRALITY = 1e-7
GIVEN = 1e-6
"""Largest violation of a given incumbent, relative to the largest row side; a worse one is ignored."""
_EMPTY = Leaf(reason="bound", rows=(), multipliers=())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProofResult:
    """A tree and what it shows.

    Attributes
    ----------
    proof
        The tree, complete even when a limit was hit: open boxes then carry the weaker evidence of their parents.
    bound
        What :func:`~coinfer.solver.certificate.tree.check_bound` derives from it, rounded down to a float; ``inf``
        when it shows infeasibility.
    incumbent
        Best point known, which may be better than the one that was given; ``None`` without one.
    nodes
        Relaxations solved.
    seconds
        Wall-clock time.
    finished
        True when ``bound`` closes the gap to the incumbent, to the gap that the limits allow, or shows infeasibility.
        False when a limit or the user ended the search, or the evidence falls short for numerical reasons.
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
    dual: DualBounds
    limits: Limits
    scale: float
    incumbent: FloatArray | None
    value: float
    nodes: list[Branch | Leaf] = field(default_factory=list)
    heap: list[tuple[float, int, _Open]] = field(default_factory=list)
    closed: float = math.inf
    solved: int = 0

    def push(self, box: _Open) -> None:
        """Put a box on the list, worst bound first; its evidence stands in the tree until it is expanded."""
        self.nodes.append(box.evidence)
        heapq.heappush(self.heap, (box.bound, box.index, box))

    @property
    def cutoff(self) -> float:
        """Bound at which a leaf is closed."""
        if not math.isfinite(self.value):
            return math.inf
        size = abs(self.value)
        gaps = CLOSING * max(self.scale, size), self.limits.absolute_gap, self.limits.relative_gap * max(size, 1e-9)
        return self.value - max(gaps)

    @property
    def bound(self) -> float:
        """Bound shown so far."""
        return min(self.closed, self.heap[0][0] if self.heap else math.inf)

    def close(self, box: _Open) -> None:
        """Finish a box with the evidence it has."""
        self.nodes[box.index] = box.evidence
        self.closed = min(self.closed, box.bound)


def prove(
    program: MixedIntegerProgram,
    *,
    incumbent: FloatArray | None = None,
    limits: Limits | None = None,
    multipliers: FloatArray | None = None,
    scale: float = 1.0,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> ProofResult:
    """Build a tree that shows how far below ``incumbent`` any point can be.

    Best-first branch and bound over linear relaxations with the incumbent as cutoff. Every finished box keeps the
    row multipliers that close it (see :mod:`coinfer.solver.certificate.tree`). The same input gives the same tree
    unless ``time_s`` or ``stop`` ends it.

    Parameters
    ----------
    program
        Any program.
    incumbent
        Best point known, (variables,); without one, or with one that is not feasible, the tree finds its own.
    limits
        ``time_s`` and ``nodes`` end the search; the tree then shows a weaker bound, which is still true. The gaps
        say how close is close enough.
    multipliers
        Row multipliers to begin with, (rows,): what they show is shown even when no relaxation is solved in time.
    scale
        Size of a typical objective value; differences of 5e-10 of it do not count.
    stop, on_progress
        Ends it early; is told of each improvement of the bound.

    Raises
    ------
    InputError
        If ``incumbent`` has another shape than (variables,).
    """
    limits = limits or Limits()
    began = time.perf_counter()
    known = _usable(program, incumbent)
    tree = _Tree(
        program=program,
        relaxation=Relaxation(program),
        dual=DualBounds(program),
        limits=limits,
        incumbent=known,
        value=math.inf if known is None else program.value(known),
        scale=scale,
    )
    root = _Open(index=0, lower={}, upper={}, evidence=_EMPTY, bound=-math.inf)
    for given in (np.zeros(program.rows), *([] if multipliers is None else [multipliers])):
        shown_by = tree.dual.bound(given, program.lower, program.upper)
        if shown_by > root.bound:
            root.evidence, root.bound = leaf("bound", given), shown_by
    tree.push(root)
    while tree.heap and tree.heap[0][0] < min(tree.cutoff, tree.closed):
        spent = time.perf_counter() - began
        left = None if limits.time_s is None else limits.time_s - spent
        if stop or (left is not None and left <= 0.0) or (limits.nodes is not None and tree.solved >= limits.nodes):
            break
        _expand(tree, heapq.heappop(tree.heap)[2], left)
        if on_progress is not None:
            on_progress(Progress(seconds=spent, value=tree.value, bound=tree.bound, nodes=tree.solved))
    proof = compacted(program, tree.nodes, min(tree.bound, tree.cutoff))
    shown = rounded_down(check_bound(program, proof))
    return ProofResult(
        proof=proof,
        bound=shown,
        incumbent=tree.incumbent,
        nodes=tree.solved,
        seconds=time.perf_counter() - began,
        finished=shown >= tree.cutoff,
    )


def _usable(program: MixedIntegerProgram, incumbent: FloatArray | None) -> FloatArray | None:
    """Return the given point when it is feasible, as the solvers mean it."""
    if incumbent is None:
        return None
    point = np.asarray(incumbent, dtype=np.float64)
    if point.shape != (program.variables,):
        raise InputError("incumbent", expected=f"{program.variables} numbers", found=point.shape)
    sides = np.abs(np.concatenate([program.row_lower, program.row_upper]))
    size = max(1.0, float(sides[np.isfinite(sides)].max(initial=0.0)))
    return point if np.isfinite(point).all() and program.violation(point) <= GIVEN * size else None


def _expand(tree: _Tree, box: _Open, time_s: float | None) -> None:
    """Solve one box: close it, or branch on it."""
    program = tree.program
    lower, upper = program.lower.copy(), program.upper.copy()
    for j, bound in box.lower.items():
        lower[j] = max(lower[j], bound)
    for j, bound in box.upper.items():
        upper[j] = min(upper[j], bound)
    if (lower > upper).any():  # the checker sees that no point is left
        box.evidence, box.bound = leaf("infeasible", np.zeros(program.rows)), math.inf
        tree.close(box)
        return
    solved = tree.relaxation.solve(lower, upper, time_s=time_s)
    tree.solved += 1
    _learn(tree, box, solved, lower, upper)
    settled = solved.point is not None and _improve(tree, solved.point, lower, upper, time_s)
    variable = _branching_variable(program, solved.point, lower, upper)
    # Where the relaxation is solved by a whole point, branching on could only gain digits of the bound.
    if box.bound >= tree.cutoff or settled or variable is None or solved.status == "unbounded":
        tree.close(box)
    else:
        _branch(tree, box, variable, solved.point, lower, upper)


def _learn(tree: _Tree, box: _Open, solved: LinearResult, lower: FloatArray, upper: FloatArray) -> None:
    """Keep the evidence of a relaxation when it is better than the parent's."""
    program, dual = tree.program, tree.dual
    if solved.status == "infeasible":
        ray = dual.ray(solved.multipliers, lower, upper)
        if ray is None:
            ray = dual.ray(elastic(program, lower, upper).multipliers, lower, upper)
        if ray is not None:
            box.evidence, box.bound = leaf("infeasible", ray), math.inf
    elif solved.status == "optimal" and solved.multipliers is not None:
        multipliers = dual.repaired(dual.signed(solved.multipliers), program.cost)
        shown = dual.bound(multipliers, lower, upper)
        if shown > box.bound:
            box.evidence, box.bound = leaf("bound", multipliers), shown


def _branch(
    tree: _Tree, box: _Open, variable: int, point: FloatArray | None, lower: FloatArray, upper: FloatArray
) -> None:
    """Split a box at ``variable`` and put both halves on the list."""
    low, high = float(lower[variable]), float(upper[variable])
    middle = (low + high) / 2 if point is None else float(point[variable])
    value = math.floor(middle + INTEGRALITY)
    if math.ceil(low) <= math.floor(high):
        value = min(max(value, math.ceil(low)), math.floor(high) - 1)
    else:  # no whole number between the bounds: both halves are empty
        value = math.floor(high)
    below, above = len(tree.nodes), len(tree.nodes) + 1
    tree.nodes[box.index] = Branch(variable=variable, value=value, below=below, above=above)
    halves = (
        (below, box.lower, {**box.upper, variable: float(value)}),
        (above, {**box.lower, variable: value + 1.0}, box.upper),
    )
    for index, low_changes, high_changes in halves:
        tree.push(_Open(index=index, lower=low_changes, upper=high_changes, evidence=box.evidence, bound=box.bound))


def _branching_variable(
    program: MixedIntegerProgram, point: FloatArray | None, lower: FloatArray, upper: FloatArray
) -> int | None:
    """Return the integer variable to branch on; ``None`` when each is fixed.

    First one that has no whole number between its bounds, then the most fractional, then any.
    """
    room = np.floor(upper) - np.ceil(lower)
    hollow = np.flatnonzero(program.integer & (room < 0.0))
    if len(hollow):
        return int(hollow[0])
    free = np.flatnonzero(program.integer & (room > 0.0))
    if len(free) == 0:
        return None
    if point is None:
        return int(free[0])
    distance = np.abs(point[free] - np.round(point[free]))
    return int(free[np.argmax(distance)])


def _improve(tree: _Tree, point: FloatArray, lower: FloatArray, upper: FloatArray, time_s: float | None) -> bool:
    """Take a whole point as incumbent when it is better; its continuous part is solved anew, integers fixed.

    Returns True when the point is whole and feasible: the box is then settled.
    """
    integer = tree.program.integer
    whole = np.where(integer, np.round(point), point)
    if np.abs(whole - point).max(initial=0.0) > INTEGRALITY:
        return False
    if not np.array_equal(whole, point):
        again = tree.relaxation.solve(np.where(integer, whole, lower), np.where(integer, whole, upper), time_s=time_s)
        if again.point is None or tree.program.value(again.point) > tree.program.value(point) + INTEGRALITY:
            return False
        whole = np.where(integer, whole, again.point)
    try:
        check_point(tree.program, whole)
    except CertificateError:
        return False
    if tree.program.value(whole) < tree.value:
        tree.incumbent, tree.value = whole, tree.program.value(whole)
    return True
