"""Why an expert is not selected, and what a group of experts is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from coinfer.errors import Infeasible, InputError, LimitReached
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.units import unselectable
from coinfer.models.selection.validate import among
from coinfer.planner.bound import scale_of
from coinfer.planner.explore.budgets import budgets_of
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
    proven
        True when both optima are proven, so that the three are the same.
    relief
        Names of the budgets any one of which, lifted, would make room for an expert that no selection can hold.
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
    proven: bool = False
    relief: tuple[str, ...] = ()
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
        How much less that is worth than the best: as found (below 0 where the problem requires one of them and is
        better off without), and within what that is proven; ``None`` where unknown.
    proven
        True when both optima are proven, so that the three are the same.
    essentialness, essentialness_at_least, essentialness_at_most
        With objective ``cost_of_pass``: 1 minus the cost with them over the cost without (Cost-of-Pass, arXiv
        2504.13359, with selections under budgets in place of sets of models), as found and within what that is
        proven; ``None`` with another objective, and where the cost without them is 0.
    """

    group: tuple[str, ...]
    optimum: Optimum | None = None
    infeasible: str = ""
    loss: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    proven: bool = False
    essentialness: float | None = None
    essentialness_at_least: float | None = None
    essentialness_at_most: float | None = None


def why_not(problem: SelectionProblem, name: str, *, how: How | None = None, solved: Solved | None = None) -> WhyNot:
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
    reason, changed = unselectable(problem, expert), fixed(problem, inside=[name])
    if reason is not None:
        return WhyNot(expert=name, selected=False, reason=reason, relief=_relief(changed, how))
    try:
        other = solve(changed, how, start=best.decision)
    except Infeasible as error:
        return WhyNot(expert=name, selected=False, reason=f"with it, {error}", relief=_relief(changed, how))
    loss, least, most = best.optimum.gap_to(other.optimum, nested=name not in problem.forbidden)
    ours, theirs = best.decision.selected, other.decision.selected
    return WhyNot(
        expert=name,
        selected=False,
        optimum=other.optimum,
        loss=loss,
        at_least=least,
        at_most=most,
        proven=best.optimum.proven and other.optimum.proven,
        pushed_out=tuple(part for part in ours if part not in theirs),
        brought_in=tuple(part for part in theirs if part not in ours and part != name),
    )


def essential(
    problem: SelectionProblem, names: Sequence[str], *, how: How | None = None, solved: Solved | None = None
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
        return Essential(group=group, infeasible=str(error))
    loss, least, most = best.optimum.gap_to(other.optimum, nested=not set(group) & set(problem.required))
    shares: tuple[float | None, ...] = (None, None, None)
    if problem.objective == "cost_of_pass":
        cost, cheapest = -best.optimum.value, _least_cost(best.optimum)
        instead, cheapest_instead = -other.optimum.value, _least_cost(other.optimum)
        shares = _saved(cost, instead), _saved(cost, cheapest_instead), _saved(cheapest, instead)
    return Essential(
        group=group,
        optimum=other.optimum,
        loss=loss,
        at_least=least,
        at_most=most,
        proven=best.optimum.proven and other.optimum.proven,
        essentialness=shares[0],
        essentialness_at_least=shares[1],
        essentialness_at_most=shares[2],
    )


def _least_cost(optimum: Optimum) -> float | None:
    """Return what the cost is at least, by the bound; ``None`` where nothing is proven."""
    return None if optimum.bound is None else max(0.0, -optimum.bound)


def _saved(cost: float | None, instead: float | None) -> float | None:
    """Return what share of the cost without a group the group saves."""
    return None if cost is None or instead is None or instead <= 0.0 else 1.0 - cost / instead


def _relief(problem: SelectionProblem, how: How) -> tuple[str, ...]:
    """Return the budgets of an infeasible problem any one of which, lifted, leaves something feasible."""
    wide = msgspec.structs.replace(how.limits, relative_gap=1e3, absolute_gap=1e3 * scale_of(problem))
    quick = replace(how, limits=wide, with_proof=False)  # any decision will do
    found = []
    for budget in budgets_of(problem):
        try:
            solve(budget.replaced(problem, None), quick)
        except (Infeasible, LimitReached):
            continue
        found.append(budget.name)
    return tuple(found)
