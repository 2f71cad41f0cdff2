"""Why an expert is not selected, and what a group of experts is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coinfer.errors import Infeasible, InputError
from coinfer.models.problem import Problem
from coinfer.models.selection.units import unselectable
from coinfer.models.selection.validate import among
from coinfer.planner.explore.optimum import How, Optimum, Solved, fixed, solve


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyNot:
    """Why an expert is not in the best selection.

    Attributes
    ----------
    expert
        Its name.
    selected
        True when it is: then nothing else is told.
    reason
        Why it can be in no selection, in words; ``None`` when it can.
    optimum
        The best selection with it; ``None`` where there is none.
    loss, at_least, at_most
        How much less that is worth than the best: as found (below 0 for an expert that the problem forbids and that
        would help), and within what that is proven; ``None`` where unknown.
    pushed_out, brought_in
        Experts that leave the best selection for it, and those that come with it.
    """

    expert: str
    selected: bool
    reason: str | None = None
    optimum: Optimum | None = None
    loss: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    pushed_out: tuple[str, ...] = ()
    brought_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Essential:
    """What a group of experts is worth.

    Attributes
    ----------
    group
        Their names.
    optimum
        The best selection without any of them; ``None`` where nothing is feasible without them.
    infeasible
        Why nothing is feasible without them; empty when something is.
    loss, at_least, at_most
        How much less that is worth than the best: as found, and within what that is proven; ``None`` where unknown.
    essentialness
        With objective ``cost_of_pass``: 1 minus the cost with them over the cost without, in [0, 1] where both are
        proven (Cost-of-Pass, arXiv 2504.13359, with selections under budgets in place of sets of models).
    """

    group: tuple[str, ...]
    optimum: Optimum | None
    infeasible: str
    loss: float | None
    at_least: float | None
    at_most: float | None
    essentialness: float | None


def why_not(problem: Problem, name: str, *, how: How | None = None, solved: Solved | None = None) -> WhyNot:
    """Force an expert in, and say what that costs.

    Parameters
    ----------
    problem
        The problem; an expert that it forbids is asked about all the same.
    name
        The expert.
    how, solved
        Engine and limits; the optimum of the problem, where it is known already.

    Raises
    ------
    ProblemError
        If there is no such expert.
    Infeasible, LimitReached
        As in :func:`coinfer.plan`, of the problem itself.
    """
    among("expert", name, [expert.name for expert in problem.experts])
    how = how or How()
    best = solved or solve(problem, how)
    if name in best.decision.selected:
        return WhyNot(expert=name, selected=True)
    expert = next(part for part in problem.experts if part.name == name)
    reason = unselectable(problem, expert)
    if reason is not None:
        return WhyNot(expert=name, selected=False, reason=reason)
    try:
        other = solve(fixed(problem, inside=[name]), how, start=best.decision)
    except Infeasible as error:
        return WhyNot(expert=name, selected=False, reason=f"with it, {error}")
    loss, least, most = best.optimum.gap_to(other.optimum)
    ours, theirs = best.decision.selected, other.decision.selected
    return WhyNot(
        expert=name,
        selected=False,
        optimum=other.optimum,
        loss=loss,
        at_least=least,
        at_most=most,
        pushed_out=tuple(part for part in ours if part not in theirs),
        brought_in=tuple(part for part in theirs if part not in ours and part != name),
    )


def essential(
    problem: Problem, names: Sequence[str], *, how: How | None = None, solved: Solved | None = None
) -> Essential:
    """Take a group of experts away, and say what that costs.

    Parameters
    ----------
    problem
        The problem; experts that it requires may be in the group.
    names
        The group, at least one.
    how, solved
        As in :func:`why_not`.

    Raises
    ------
    ProblemError
        If there is no such expert.
    Infeasible, LimitReached
        As in :func:`coinfer.plan`, of the problem itself.
    """
    if not names:
        raise InputError("group", expected="at least one expert", found=list(names))
    for name in names:
        among("group", name, [expert.name for expert in problem.experts])
    how, group = how or How(), tuple(dict.fromkeys(names))
    best = solved or solve(problem, how)
    try:
        other = solve(fixed(problem, outside=group), how)
    except Infeasible as error:
        return Essential(
            group=group, optimum=None, infeasible=str(error), loss=None, at_least=None, at_most=None, essentialness=None
        )
    loss, least, most = best.optimum.gap_to(other.optimum)
    share = None
    if problem.objective == "cost_of_pass" and other.optimum.value < 0.0:
        share = 1.0 - best.optimum.value / other.optimum.value
    return Essential(
        group=group,
        optimum=other.optimum,
        infeasible="",
        loss=max(0.0, loss),
        at_least=least,
        at_most=most,
        essentialness=share,
    )
