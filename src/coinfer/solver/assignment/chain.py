"""Exact layered assignment: the shortest path through the states of all layers, where these are few.

A layer is only tied to its neighbours, so the least cost of reaching each state of a layer follows from that of the
layer before (Viterbi). Caps on the loads of one layer only delete states; a cap on the mean imbalance gets a
multiplier, see :mod:`coinfer.solver.assignment.chain_caps`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from coinfer.records import Matrix
from coinfer.solver.assignment.chain_caps import imbalance_room, meet_cap
from coinfer.solver.assignment.chain_paths import Chain, chain_of
from coinfer.solver.assignment.partitions import MOST_COUNTED, count_states
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.assignment.result import AssignmentResult, Moment
from coinfer.solver.certificate.chain import ChainProof, rounding_margin
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop
from coinfer.solver.result import Status

MOST_ARCS = 3 * 10**9
"""Most arcs in all for which the program is of this class: some seconds."""
MOST_GROUPED_ARCS = 3 * 10**8
"""The same between groupings into more than two parts, of which each takes longer."""
MOST_STATES = 15_000
MOST_GROUPED_PARTS = 8
TOLERANCE = 1e-9


def chain_class(program: LayeredAssignment) -> bool:
    """Return whether the program has few enough states for :func:`solve_chain`."""
    count = count_states(program)
    grouped = program.interchangeable and program.parts > 2
    arcs = count * count * max(1, program.layers - 1)
    if count >= min(MOST_COUNTED, MOST_STATES) or (grouped and program.parts > MOST_GROUPED_PARTS):
        return False
    return arcs <= (MOST_GROUPED_ARCS if grouped else MOST_ARCS)


def solve_chain(program: LayeredAssignment, *, limits: Limits, stop: Stop) -> AssignmentResult:
    """Return the best assignment; ``OPTIMAL`` but where a limit is hit, or a cap on the mean imbalance leaves a gap.

    Parameters
    ----------
    program
        What is to be assigned; see :func:`chain_class`.
    limits
        Time and gaps are heeded. The other limits do not apply.
    stop
        Ends the search soon.
    """
    began = time.perf_counter()
    chain = chain_of(program)
    run = _Run(chain=chain, limits=limits, stop=stop, began=began)
    if not chain.feasible or sum(float(own.min()) for own in chain.uneven) > imbalance_room(chain):
        return run.result(Status.INFEASIBLE, None)
    with interrupt_sets(stop):
        if program.mean_imbalance_cap is None:
            costs = chain.reach(0.0, run.ended)
            run.prove(costs, 0.0)
            run.improve(chain.back(costs, 0.0))
        else:
            meet_cap(chain, run.improve, run.prove, run.ended)
    if run.closed():
        return run.result(Status.OPTIMAL, None)
    limit = "interrupt" if stop else "time" if run.late() else "other"
    return run.result(Status.FEASIBLE, limit)


@dataclass
class _Run:
    """Best path and best bound of one search."""

    chain: Chain
    limits: Limits
    stop: Stop
    began: float
    part: IntArray | None = None
    value: float = math.inf
    bound: float = -math.inf
    proof: ChainProof | None = None
    moments: list[Moment] = field(default_factory=list)

    def improve(self, path: IntArray) -> None:
        """Take a path that keeps all limits, if it is the best so far."""
        part = self.chain.part(path)
        found = evaluate(self.chain.program, part)
        if found.value < self.value and not found.violations:
            self.value, self.part = found.value, part
            self._tell()

    def prove(self, costs: list[FloatArray], multiplier: float) -> None:
        """Take the potentials of a multiplier, if their bound is the best so far; layers not reached add nothing."""
        program = self.chain.program
        potentials = np.zeros((program.layers, len(self.chain.rows)))
        for layer in range(program.layers):
            if layer < len(costs):
                potentials[layer, self.chain.kept[layer]] = costs[layer]
            else:
                potentials[layer] = costs[-1].min()
        proof = ChainProof(potentials=Matrix(potentials), multiplier=multiplier or None)
        # Twice the margin: the checker takes it off once, and rounds by itself.
        shown = float(costs[-1].min()) - 2.0 * rounding_margin(program, proof)
        if multiplier:
            shown -= multiplier * imbalance_room(self.chain)
        if shown > self.bound:
            self.bound, self.proof = shown, proof
            self._tell()

    def closed(self) -> bool:
        """Return whether the gap is as small as was asked for."""
        gap = max(self.limits.absolute_gap, max(self.limits.relative_gap, TOLERANCE) * max(self.value, 1.0))
        return self.part is not None and self.value - self.bound <= gap

    def late(self) -> bool:
        """Return whether the time is over."""
        return self.limits.time_s is not None and time.perf_counter() - self.began >= self.limits.time_s

    def ended(self) -> bool:
        """Return whether to stop: for there is nothing left to find, or no time."""
        return bool(self.stop) or self.late() or self.closed()

    def result(self, status: Status, limit: str | None) -> AssignmentResult:
        """Return what is known."""
        infeasible = status is Status.INFEASIBLE
        return AssignmentResult(
            status=status,
            limit=limit,
            part=self.part,
            value=self.value,
            bound=math.inf if infeasible else min(self.bound, self.value),
            proof=self.proof,
            trajectory=tuple(self.moments),
            seconds=time.perf_counter() - self.began,
            engine="chain",
        )

    def _tell(self) -> None:
        now = time.perf_counter() - self.began
        self.moments.append(Moment(seconds=now, value=self.value, bound=min(self.bound, self.value)))
