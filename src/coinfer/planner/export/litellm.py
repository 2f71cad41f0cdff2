"""Export of a plan to the LiteLLM proxy: ``config.yaml`` with deployments, shares and fallbacks, and ``routing.json``.

LiteLLM sends a request for a ``model_name`` to one of the deployments of that name. Two kinds of names are written:
each expert's own, and each category's, whose deployments carry the plan's shares as ``weight``. So a client that asks
for the model ``chat`` gets what the plan decided for the category ``chat``, with LiteLLM's default strategy.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coinfer import jsonfile
from coinfer.errors import CertificateError, InputError, Plain, PlanMismatch
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.evaluate import evaluate
from coinfer.planner.export.routing import CategoryRouting, Routing, routing_of
from coinfer.planner.export.yaml import to_yaml
from coinfer.planner.selection.document import Deployment, SelectionPlan

NO_KEY = "none"
"""Key of an open endpoint. Without any, LiteLLM would send it whatever key of OpenAI stands in the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A plan for LiteLLM.

    Attributes
    ----------
    config
        Content of ``config.yaml``: ``model_list`` and ``router_settings``.
    routing
        Content of ``routing.json``.
    notes
        What could not be exported, one sentence each.
    """

    config: dict[str, Any]
    routing: Routing
    notes: tuple[str, ...]

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the exported experts."""
        return tuple(item.name for item in self.routing.experts if item.reason is None)


def litellm_export(problem: SelectionProblem, plan: SelectionPlan) -> Exported:
    """Return ``plan`` as configuration of LiteLLM.

    Parameters
    ----------
    problem
        The problem that was planned.
    plan
        Its plan. Experts whose endpoint is no OpenAI-compatible address are not exported, which is told.

    Raises
    ------
    PlanMismatch
        If the plan belongs to another problem.
    CertificateError
        If its decision does not keep the problem's limits.
    InputError
        If no expert can be exported, or an expert has the name of a category.
    """
    if not isinstance(problem, SelectionProblem):
        raise PlanMismatch(f"the plan of {plan.problem!r} selects no experts, so there is nothing to export")
    if plan.problem_sha256 != jsonfile.sha256(problem):
        raise PlanMismatch(f"the plan is for another problem: it was made for {plan.problem!r} with other content")
    violations = evaluate(problem, plan.decision).violations
    if violations:
        raise CertificateError(f"feasibility: {violations[0]}")
    reasons = {item.expert: reason for item in plan.deployments if (reason := _why_not(item.endpoint)) is not None}
    there = {item.expert: item for item in plan.deployments if item.expert not in reasons}
    if not there:
        expected = "a selected expert with an endpoint of backend openai"
        raise InputError("deployments", expected=expected, found=Plain("none"))
    routing = routing_of(problem, plan, reasons)
    notes = [f"{name!r} is not exported: {reason}" for name, reason in reasons.items()]
    entries = [_entry(item, group=item.expert, key=item.expert) for item in there.values()]
    keys = set(there)
    fallbacks = []
    for part in routing.categories:
        if part.category in there:
            expected = "names of experts that are no names of categories, since LiteLLM has one list of both"
            raise InputError("categories", expected=expected, found=part.category)
        shares = {name: share for name, share in part.shares.items() if name in there}
        notes += _shortfall(part, shares)
        for name, share in shares.items():
            key = f"{part.category}/{name}"
            while key in keys:
                key += "'"
            keys.add(key)
            entries.append(_entry(there[name], group=part.category, key=key, share=share))
        order = [name for name in part.fallbacks if name in there]
        if shares and order:
            fallbacks.append({part.category: order})
    config = {
        "model_list": entries,
        "router_settings": {"routing_strategy": "simple-shuffle", "fallbacks": fallbacks},
    }
    return Exported(config=config, routing=routing, notes=tuple(notes))


def _why_not(endpoint: Endpoint | None) -> str | None:
    if endpoint is None:
        return "it has no endpoint"
    if endpoint.backend != "openai":
        return f"its endpoint is of backend {endpoint.backend}, which has no address"
    return None


def _shortfall(part: CategoryRouting, shares: dict[str, float]) -> list[str]:
    """Say how much of a category's traffic the exported experts were not meant to take."""
    if not shares:
        return [f"category {part.category!r} is not exported: no expert that answers it is"]
    lost = [name for name in part.shares if name not in shares]
    if not lost:
        return []
    share = sum(part.shares[name] for name in lost)
    return [f"{share:.1%} of category {part.category!r} was planned for {', '.join(lost)}; the others get it"]


def _entry(item: Deployment, *, group: str, key: str, share: float | None = None) -> dict[str, Any]:
    """Return one deployment of ``model_list``."""
    endpoint = item.endpoint
    if endpoint is None:
        raise ValueError(f"no endpoint: {item.expert}")
    provider = "openai" if endpoint.chat else "text-completion-openai"
    parameters: dict[str, Any] = {
        "model": f"{provider}/{endpoint.model}",
        "api_base": endpoint.url,
        "api_key": NO_KEY if endpoint.api_key_env is None else f"os.environ/{endpoint.api_key_env}",
        "max_parallel_requests": endpoint.concurrency,
    }
    if share is not None:
        parameters["weight"] = share
    return {
        "model_name": group,
        "litellm_params": parameters,
        "model_info": {"id": key, "coinfer_expert": item.expert, "coinfer_device": item.device},
    }


def write_litellm(folder: str | os.PathLike[str], exported: Exported) -> tuple[Path, Path]:
    """Write ``config.yaml`` and ``routing.json`` into a folder, which is made if it is not there.

    Raises
    ------
    InputError
        If the folder or a file cannot be written.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(place), expected="a folder", found=Plain(error.strerror or str(error))) from error
    config, routing = place / "config.yaml", place / "routing.json"
    jsonfile.write_text(config, to_yaml(exported.config))
    jsonfile.write(routing, exported.routing)
    return config, routing
