"""The budget problem: which test-time strategy, with how much of it, each prompt gets."""

from __future__ import annotations

from typing import Literal

from coinfer.models.budget.parts import Budget, Information, LatencyClass, Option, PosteriorMenus, Strata, TableMenus
from coinfer.models.budget.validate import validate
from coinfer.records import Document, Matrix

FORMAT = "coinfer/problem/1"


class BudgetProblem(Document, frozen=True, kw_only=True, tag_field="kind", tag="budget"):
    """Choose one option for every prompt, for the most value within the budgets, or the least cost for a value.

    Attributes
    ----------
    name, description
        Of the problem.
    options
        The columns of the menus.
    menus
        What each option is worth and takes, as numbers (``form`` ``table``) or as posteriors (``posterior``).
    budgets
        Limits over all prompts together.
    objective
        ``value``: the most expected value, summed over the prompts. ``cost``: the least of the resource ``minimise``.
        ``cost_of_pass``: the least of ``minimise`` for each right answer where every prompt is tried until it is right,
        the mean over the prompts of cost / value (Cost-of-Pass, arXiv 2504.13359); budgets then hold for all tries.
    minimise
        Resource of the objectives ``cost`` and ``cost_of_pass``.
    value_floor
        Least mean value over the prompts; needed with the objective ``cost``.
    strata
        Names and sizes of the rows.
    latency_classes
        See the class; strata name theirs.
    information
        What tells the strata apart, and what finding it out costs; absent: nothing is known, or it came for free.
    """

    file_format = FORMAT

    name: str
    options: tuple[Option, ...]
    menus: TableMenus | PosteriorMenus
    budgets: tuple[Budget, ...] = ()
    objective: Literal["value", "cost", "cost_of_pass"] = "value"
    minimise: str | None = None
    value_floor: float | None = None
    strata: Strata = Strata()
    latency_classes: tuple[LatencyClass, ...] = ()
    information: Information | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        validate(self)

    @property
    def rows(self) -> int:
        """Number of strata."""
        return (self.menus.value if isinstance(self.menus, TableMenus) else self.menus.alpha).shape[0]

    @property
    def prompts(self) -> int:
        """Number of prompts in all strata."""
        held: Matrix | None = self.strata.prompts
        return self.rows if held is None else int(held.array.sum())

    @property
    def resources(self) -> tuple[str, ...]:
        """Every resource that an option takes, in the order in which the menus name them."""
        if isinstance(self.menus, TableMenus):
            return tuple(cost.resource for cost in self.menus.cost)
        named = [each.resource for arm in self.menus.arms for each in (*arm.per_sample, *arm.per_prompt)]
        return tuple(dict.fromkeys(named))
