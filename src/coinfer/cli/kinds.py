"""Which module does what a verb asks for, by kind of problem; selections are served by the verbs themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coinfer.cli import budget, placement, split

if TYPE_CHECKING:
    from coinfer.models.problem import Problem

MODULES: dict[str, Any] = {"placement": placement, "budget": budget, "split": split}
"""Each has ``plan``, ``verify`` and ``report``, which take the arguments and the problem and return the exit code."""


def module_of(problem: Problem) -> Any:
    """Return the module that serves the kind of ``problem``."""
    return MODULES[str(problem.__struct_config__.tag)]
