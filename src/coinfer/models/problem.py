"""The kinds of problem coinfer solves, and how a problem file is read."""

from __future__ import annotations

import os

from coinfer import jsonfile
from coinfer.models.selection.data import FORMAT, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision

Problem = SelectionProblem  # a union of tagged classes as soon as there is a second kind
Decision = SelectionDecision
KINDS: dict[str, type[Problem]] = {"selection": SelectionProblem}


def read_problem(path: str | os.PathLike[str]) -> Problem:
    """Read and check a problem file (``coinfer/problem/1``).

    Raises
    ------
    InputError
        With the file, the path inside it, what was expected and what was found.
    """
    return jsonfile.read(path, Problem, format_name=FORMAT)
