"""The routing file (``coinfer/routing/1``): who answers what, for programs other than coinfer's executor."""

from __future__ import annotations

import os

import msgspec

from coinfer import jsonfile
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.planner.selection.document import SelectionPlan
from coinfer.records import Document, Record

FORMAT = "coinfer/routing/1"


class RoutedExpert(Record, frozen=True, kw_only=True):
    """A selected expert.

    Attributes
    ----------
    name, device
        Its name and its device.
    reason
        Why it is not exported; absent when it is.
    """

    name: str
    device: str
    reason: str | None = None


class CategoryRouting(Record, frozen=True, kw_only=True):
    """Who answers one category.

    Attributes
    ----------
    category
        Its name.
    shares
        By expert, the share of the category's traffic in (0, 1]. Where prompts have routes of their own, the mean of
        those, by the weights of the prompts.
    fallbacks
        Experts that may answer it, best mean quality first.
    prompts
        By name of a calibration prompt, the shares of its experts; empty where the category is routed as one.
    """

    category: str
    shares: dict[str, float]
    fallbacks: tuple[str, ...]
    prompts: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)


class Routing(Document, frozen=True, kw_only=True):
    """What a plan decides, without its proof.

    Attributes
    ----------
    problem, problem_sha256
        Name and hash of the problem that was planned.
    experts
        The selected experts.
    categories
        Who answers what.
    """

    file_format = FORMAT

    problem: str
    problem_sha256: str
    experts: tuple[RoutedExpert, ...]
    categories: tuple[CategoryRouting, ...]


def read_routing(path: str | os.PathLike[str]) -> Routing:
    """Read a routing file.

    Raises
    ------
    InputError
        With the file, the path inside it, what was expected and what was found.
    """
    return jsonfile.read(path, Routing, format_name=FORMAT)


def routing_of(problem: SelectionProblem, plan: SelectionPlan, reasons: dict[str, str]) -> Routing:
    """Return the routing of ``plan``; ``reasons`` tells by expert why it is not exported."""
    experts = tuple(
        RoutedExpert(name=item.expert, device=item.device, reason=reasons.get(item.expert)) for item in plan.deployments
    )
    return Routing(
        problem=plan.problem,
        problem_sha256=plan.problem_sha256,
        experts=experts,
        categories=tuple(_category(problem, plan.decision, name) for name in plan.decision.preference),
    )


def _category(problem: SelectionProblem, decision: SelectionDecision, name: str) -> CategoryRouting:
    weights = {prompt.name: prompt.weight for prompt in problem.prompts if prompt.category == name}
    heaviest = max(weights.values())
    whole: dict[str, float] = {}
    prompts: dict[str, dict[str, float]] = {}
    for route in decision.routes:
        if route.category != name:
            continue
        weight = 1.0 if route.prompt is None else weights[route.prompt] / heaviest  # scaled, so that no sum overflows
        fraction = float(route.fraction)
        whole[route.expert] = whole.get(route.expert, 0.0) + weight * fraction
        if route.prompt is not None:
            prompts.setdefault(route.prompt, {})[route.expert] = fraction
    total = sum(whole.values())
    shares = {expert: share / total for expert, share in whole.items()}
    return CategoryRouting(category=name, shares=shares, fallbacks=decision.preference[name], prompts=prompts)
