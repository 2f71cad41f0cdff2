"""The best decision of a problem that was changed a little, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from coinfer.errors import Infeasible
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.formulate import explain_infeasible
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.monotonic import why_not_monotonic
from coinfer.planner.selection.document import Certificate
from coinfer.planner.selection.make import plan
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.program import IntArray
from coinfer.solver.progress import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How each question is solved.

    Attributes
    ----------
    engine
        As in :func:`coinfer.plan`.
    limits
        Of each solve; a question may need several.
    with_proof
        False takes the word of an engine for the bounds of problems in which a limit couples the routing.
    stop
        Ends the running question early.
    """

    engine: str = "auto"
    limits: Limits = field(default_factory=Limits)
    with_proof: bool = True
    stop: Stop = field(default_factory=Stop)

    def monotonic(self, problem: SelectionProblem) -> bool:
        """Return True where the search over the selections answers, not an integer program."""
        return self.engine == "monotonic" or (self.engine == "auto" and why_not_monotonic(problem) is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The best selection that was found, and how much better another one can be.

    Attributes
    ----------
    value, bound
        Value of the selection; no decision is worth more than the bound, ``None`` where nothing is proven.
    proven
        True when the gap between the two is closed.
    selected
        Names of the experts that answer something, or are required: all limits hold without any others.
    limit
        What ended the search before the gap was closed; ``None`` otherwise.
    """

    value: float
    bound: float | None
    proven: bool
    selected: tuple[str, ...]
    limit: str | None = None

    def gap_to(self, other: Optimum, *, nested: bool) -> tuple[float, float | None, float | None]:
        """Return how much lower the other optimum is: as found, and at least and at most as far as that is proven.

        With ``nested`` the other problem allows nothing that this one does not, so that its optimum is no higher.
        """
        least = None if other.bound is None else self.value - other.bound
        most = None if self.bound is None else self.bound - other.value
        if not nested:
            return self.value - other.value, least, most
        return max(0.0, self.value - other.value), max(0.0, least or 0.0), None if most is None else max(0.0, most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """An optimum with its decision.

    Attributes
    ----------
    optimum
        What is told.
    decision
        Its decision, without experts that answer nothing.
    """

    optimum: Optimum
    decision: SelectionDecision


def solve(problem: SelectionProblem, how: How, *, start: SelectionDecision | None = None) -> Solved:
    """Plan ``problem``; the proof is checked where there is one, and not kept.

    Raises
    ------
    Infeasible, LimitReached
        As in :func:`coinfer.plan`.
    """
    made = plan(problem, engine=how.engine, limits=how.limits, start=start, with_proof=how.with_proof, stop=how.stop)
    decision = without_idle(problem, made.decision)
    return Solved(optimum=told(made.certificate, decision), decision=decision)


def told(certificate: Certificate, decision: SelectionDecision) -> Optimum:
    """Return what a certificate says of a decision."""
    return Optimum(
        value=certificate.value,
        bound=certificate.bound,
        proven=certificate.status == "optimal",
        selected=decision.selected,
        limit=certificate.limit,
    )


def without_idle(problem: SelectionProblem, decision: SelectionDecision) -> SelectionDecision:
    """Return the decision without experts that answer nothing and are not required."""
    needed = {route.expert for route in decision.routes} | set(problem.required)
    kept = [name for name in decision.selected if name in needed]
    return decision if len(kept) == len(decision.selected) else decode_selection(problem, kept)


def infeasible(problem: SelectionProblem) -> Infeasible:
    """Return the error that says that nothing is feasible, and why where that is plain."""
    causes = explain_infeasible(problem)
    return Infeasible("no decision satisfies every constraint" + (": " + "; ".join(causes) if causes else ""))


def names_at(problem: SelectionProblem, point: IntArray) -> tuple[str, ...]:
    """Return the names of the experts that a point of the monotonic program selects."""
    return tuple(problem.experts[n].name for n in np.flatnonzero(point).tolist())


def fixed(problem: SelectionProblem, *, inside: Sequence[str] = (), outside: Sequence[str] = ()) -> SelectionProblem:
    """Return the problem with experts required, and others forbidden, whatever it says of these itself."""
    required = [name for name in problem.required if name not in outside and name not in inside]
    forbidden = [name for name in problem.forbidden if name not in inside and name not in outside]
    return msgspec.structs.replace(
        problem, required=(*required, *inside), forbidden=(*forbidden, *dict.fromkeys(outside))
    )
