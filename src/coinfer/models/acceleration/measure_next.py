"""Which measurement would change the choice, and by how much at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from coinfer.models.acceleration.data import AccelerationProblem, Figure
from coinfer.models.acceleration.decision import Estimate, Reason, Suggestion
from coinfer.models.acceleration.estimate import Option, needed
from coinfer.models.acceleration.formulate import End, Selected, planned, select, total, usable
from coinfer.solver.limits import Limits

_ROUNDING = 1e-9


def if_measured(option: Option, end: End) -> Option | None:
    """Return ``option`` as if its predicted figures had been measured at one end; ``None`` where that is unknown."""
    figures: dict[Figure, Estimate] = {}
    for figure, known in option.figures.items():
        number = getattr(known, end)
        if number is None:
            return None
        figures[figure] = Estimate(value=number, basis="measured", low=number, high=number)
    return replace(option, figures=figures)


def suggest(
    problem: AccelerationProblem,
    options: Sequence[Option],
    chosen: Selected,
    *,
    end: End,
    limits: Limits | None = None,
    most: int = 10,
) -> tuple[Suggestion, ...]:
    """Name the measurements that can change the choice, the largest possible gain first.

    The gain of a cell is exact on the planned figures of all others: under budgets the choice is made again with
    this cell at the favourable end of its intervals, so that money or energy it frees elsewhere counts. For a chosen
    cell, the gain is what knowing its unfavourable end would save.

    Parameters
    ----------
    problem, options, chosen
        The menu, and what was chosen from it.
    end
        What the choice was planned on.
    limits
        Limits of each solve.
    most
        How many to name.
    """
    tasks = {task.name: task for task in problem.tasks}
    view = _View(problem, list(options), chosen, end, limits)
    found: list[tuple[tuple[int, float], Suggestion]] = []
    for place, option in enumerate(options):
        wanted = needed(problem, tasks[option.cell.task])
        if not wanted <= option.figures.keys():
            continue
        relevant = replace(option, figures={figure: option.figures[figure] for figure in wanted})
        predicted = sorted(figure for figure, known in relevant.figures.items() if known.basis == "predicted")
        if not predicted:
            continue
        gain, reason = _gain(view, place, relevant)
        if gain is None or gain > _ROUNDING * abs(chosen.value):
            named = Suggestion(**option.cell._asdict(), figures=tuple(predicted), reason=reason, gain=gain)
            found.append((_rank(view, option, named), named))
    found.sort(key=lambda ranked: ranked[0])
    return tuple(suggestion for _, suggestion in found[:most])


class _View(NamedTuple):
    """What every gain is measured against."""

    problem: AccelerationProblem
    options: list[Option]
    chosen: Selected
    end: End
    limits: Limits | None


def _rank(view: _View, option: Option, suggestion: Suggestion) -> tuple[int, float]:
    """Limits at stake come first, then gains from the largest on, then what has no range: the most promising first."""
    if suggestion.gain is not None:
        return 1, -suggestion.gain
    now = next(picked for picked in view.chosen.options if picked.cell.task == option.cell.task)
    objective = view.problem.objective
    ratio = option.figures[objective].value / now.figures[objective].value
    return (0 if suggestion.reason == "choice may break a limit" else 2), ratio


def _gain(view: _View, place: int, option: Option) -> tuple[float | None, Reason]:
    """Return the most that knowing one cell can improve the objective, and why; ``None`` where that is unknown."""
    better, worse = if_measured(option, "low"), if_measured(option, "high")
    if better is None or worse is None:
        return None, "unknown range"
    if option.cell in {picked.cell for picked in view.chosen.options}:
        return _loss(view, place, worse)
    problem, end = view.problem, view.end
    task = next(task for task in problem.tasks if task.name == option.cell.task)
    now = next(picked for picked in view.chosen.options if picked.cell.task == task.name)
    figures = (problem.objective, *problem.budgets)
    numbers = [(planned(better, figure, end) or 0.0, planned(now, figure, end) or 0.0) for figure in figures]
    if not usable(problem, task, better, end) or all(new >= old for new, old in numbers):
        return 0.0, "may be better"
    if not problem.budgets:
        return task.requests * (numbers[0][1] - numbers[0][0]), "may be better"
    changed = [*view.options[:place], better, *view.options[place + 1 :]]
    return view.chosen.value - select(problem, changed, end=end, limits=view.limits).value, "may be better"


def _loss(view: _View, place: int, worse: Option) -> tuple[float | None, Reason]:
    """Return what staying with a chosen cell would lose, should it be as bad as its interval allows."""
    problem, end = view.problem, view.end
    stay = [worse if picked.cell == worse.cell else picked for picked in view.chosen.options]
    if not select(problem, stay, end=end, limits=view.limits).options:
        return None, "choice may break a limit"
    changed = [*view.options[:place], worse, *view.options[place + 1 :]]
    best = select(problem, changed, end=end, limits=view.limits).value
    return (total(problem, stay, problem.objective, end) or 0.0) - best, "choice may be worse"
