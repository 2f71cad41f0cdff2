r"""The choice as a multiple-choice knapsack.

.. math:: \min_x \sum_{t, c} n_t f_{tc} x_{tc} \quad \text{s.t. } \sum_c x_{tc} = 1\ \forall t,\
          \sum_{t, c} n_t g^b_{tc} x_{tc} \le G^b\ \forall b,\ x \in \{0, 1\}

for tasks t with :math:`n_t` requests, ways c to serve them that keep the task's own limits, objective f and budgets b.
Without budgets the tasks are independent, and each takes its least figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from coinfer.models.acceleration.data import AccelerationProblem, Figure, Stance, Task
from coinfer.models.acceleration.estimate import Option
from coinfer.solver import mip
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.result import Status

End = Literal["low", "value", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The best options found.

    Attributes
    ----------
    options
        One per task; empty without any.
    value, bound
        Objective over all requests, and the least that the engine leaves possible; infinite without options.
    status
        As the solver says.
    """

    options: tuple[Option, ...]
    value: float
    bound: float
    status: Status


def end_of(stance: Stance) -> End:
    """Return the end of an interval that a stance plans on; all figures are better when smaller."""
    return "high" if stance == "pessimistic" else "value"


def planned(option: Option, figure: Figure, end: End) -> float | None:
    """Return the number that stands for a figure; ``None`` where it is not known."""
    known = option.figures.get(figure)
    return None if known is None else getattr(known, end)


def served(problem: AccelerationProblem) -> list[Task]:
    """Return the tasks that have something to choose from; the others are there for their history."""
    return [task for task in problem.tasks if () not in (task.models, task.devices, task.methods)]


def usable(problem: AccelerationProblem, task: Task, option: Option, end: End) -> bool:
    """Say whether all figures that decide are known, and the limits of its own ``task`` are kept."""
    for figure in (problem.objective, *problem.budgets):
        if planned(option, figure, end) is None:
            return False
    limits = ((planned(option, figure, end), limit) for figure, limit in task.limits.items())
    return all(number is not None and number <= limit for number, limit in limits)


def formulate(problem: AccelerationProblem, options: Sequence[Option], end: End) -> MixedIntegerProgram:
    """State the choice among usable ``options`` as a program with one variable per option."""
    tasks = {task.name: i for i, task in enumerate(served(problem))}
    requests = {task.name: task.requests for task in problem.tasks}
    weight = np.array([requests[option.cell.task] for option in options])

    def column(figure: Figure) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return weight * np.array([planned(option, figure, end) for option in options], dtype=np.float64)

    builder = ProgramBuilder()
    x = builder.variables("choose", len(options), cost=column(problem.objective), upper=1.0, integer=True)
    owner = [tasks[option.cell.task] for option in options]
    builder.rows("one per task", row=owner, column=x, coefficient=1.0, lower=1.0, upper=1.0, count=len(tasks))
    for figure, budget in problem.budgets.items():
        builder.rows(f"budget {figure}", row=0, column=x, coefficient=column(figure), upper=budget, count=1)
    return builder.build()


def select(
    problem: AccelerationProblem, options: Sequence[Option], *, end: End, limits: Limits | None = None
) -> Selected:
    """Choose one option per task: a minimum per task without budgets, a program with them."""
    by_task: dict[str, list[Option]] = {task.name: [] for task in served(problem)}
    tasks = {task.name: task for task in problem.tasks}
    for option in options:
        if usable(problem, tasks[option.cell.task], option, end):
            by_task[option.cell.task].append(option)
    kept = [option for group in by_task.values() for option in group]
    if not all(by_task.values()):
        return Selected(options=(), value=math.inf, bound=math.inf, status=Status.INFEASIBLE)
    if not problem.budgets:
        best = tuple(min(group, key=lambda o: planned(o, problem.objective, end) or 0.0) for group in by_task.values())
        value = total(problem, best, problem.objective, end) or 0.0
        return Selected(options=best, value=value, bound=value, status=Status.OPTIMAL)
    result = mip.solve(formulate(problem, kept, end), limits=limits)
    if result.incumbent is None:
        return Selected(options=(), value=math.inf, bound=result.bound, status=result.status)
    chosen = {kept[i].cell.task: kept[i] for i in np.flatnonzero(result.incumbent > 0.5)}
    best = tuple(chosen[name] for name in by_task)
    return Selected(options=best, value=result.value, bound=result.bound, status=result.status)


def total(problem: AccelerationProblem, options: Sequence[Option], figure: Figure, end: End) -> float | None:
    """Return the sum of a figure over all requests; ``None`` where it is not known for some option."""
    requests = {task.name: task.requests for task in problem.tasks}
    parts = [(requests[option.cell.task], planned(option, figure, end)) for option in options]
    return (
        math.fsum(count * (number or 0.0) for count, number in parts) if all(n is not None for _, n in parts) else None
    )
