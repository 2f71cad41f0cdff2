"""The plan file (``coinfer/plan/1``): one class for each kind of problem."""

from __future__ import annotations

import os
from typing import TypeVar

from coinfer import jsonfile
from coinfer.errors import InputError
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.claims import FORMAT
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.split.document import SplitPlan

Plan = SelectionPlan | PlacementPlan | BudgetPlan | SplitPlan
PLANS: dict[str, type[Plan]] = {
    "selection": SelectionPlan,
    "placement": PlacementPlan,
    "budget": BudgetPlan,
    "split": SplitPlan,
}

P = TypeVar("P", SelectionPlan, PlacementPlan, BudgetPlan, SplitPlan)


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan file; nothing in it is believed until :func:`coinfer.planner.verify.verify` has checked it."""
    return jsonfile.read(path, Plan, format_name=FORMAT)  # type: ignore[arg-type]  # a union is no class


def read_plan_of(path: str | os.PathLike[str], kind: type[P]) -> P:
    """Read a plan file that must be of one kind.

    Raises
    ------
    InputError
        Also for a plan of another kind.
    """
    plan = read_plan(path)
    if not isinstance(plan, kind):
        wanted, found = (next(name for name, of in PLANS.items() if of is each) for each in (kind, type(plan)))
        raise InputError(f"{path}: kind", expected=repr(wanted), found=found)
    return plan
