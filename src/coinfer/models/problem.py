"""The kinds of problem coinfer solves, and how a problem file is read."""

from __future__ import annotations

import os
from typing import TypeVar

from coinfer import jsonfile
from coinfer.errors import ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.selection.data import FORMAT, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.decision import SplitDecision

Problem = SelectionProblem | PlacementProblem | BudgetProblem | SplitProblem
Decision = SelectionDecision | PlacementDecision | BudgetDecision | SplitDecision
KINDS: dict[str, type[Problem]] = {
    "selection": SelectionProblem,
    "placement": PlacementProblem,
    "budget": BudgetProblem,
    "split": SplitProblem,
}

P = TypeVar("P", SelectionProblem, PlacementProblem, BudgetProblem, SplitProblem)


def read_problem(path: str | os.PathLike[str]) -> Problem:
    """Read and check a problem file (``coinfer/problem/1``).

    Raises
    ------
    InputError
        With the file, the path inside it, what was expected and what was found.
    """
    return jsonfile.read(path, Problem, format_name=FORMAT)  # type: ignore[arg-type]  # a union is no class


def read_problem_of(path: str | os.PathLike[str], kind: type[P]) -> P:
    """Read a problem file that must be of one kind.

    Raises
    ------
    InputError
        Also for a problem of another kind.
    """
    problem = read_problem(path)
    if not isinstance(problem, kind):
        wanted, found = (next(n for n, of in KINDS.items() if of is k) for k in (kind, type(problem)))
        raise ProblemError(f"{path}: kind", expected=repr(wanted), found=found)
    return problem
