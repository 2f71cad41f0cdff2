"""Who answers a request: the plan's routes, then the experts to fall back on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from coinfer.errors import Plain, PlanMismatch, RequestError
from coinfer.executor.request import Request
from coinfer.models.selection.decision import Route, SelectionDecision
from coinfer.planner.selection.document import SelectionPlan


class Router:
    """Looks up the experts of a request. The answers of experts never reach it.

    Parameters
    ----------
    plan
        The plan.
    scores
        By id of a request, what a gate says of each expert, higher is better. Such a request goes to the expert with
        the highest score among those the plan lets answer its category, unless it is a calibration prompt.

    Raises
    ------
    PlanMismatch
        If the plan decides something other than a selection, or a routed expert has no endpoint.
    """

    def __init__(self, plan: SelectionPlan, *, scores: Mapping[str, Mapping[str, float]] | None = None) -> None:
        decision = plan.decision
        if not isinstance(decision, SelectionDecision):
            raise PlanMismatch(f"the plan of {plan.problem!r} selects no experts, so there is nothing to run")
        reachable = {item.expert for item in plan.deployments if item.endpoint is not None}
        self._preference, self._scores = decision.preference, scores or {}
        self._by_category: dict[str, list[Route]] = {}
        self._by_prompt: dict[tuple[str, str], list[Route]] = {}
        for route in decision.routes:
            if route.prompt is None:
                self._by_category.setdefault(route.category, []).append(route)
            else:
                self._by_prompt.setdefault((route.category, route.prompt), []).append(route)
        named = [route.expert for route in decision.routes]
        for experts in decision.preference.values():
            named += experts
        for expert in named:
            if expert not in reachable:
                raise PlanMismatch(f"the plan gives no endpoint for expert {expert!r}, so it cannot be run")

    def order(self, request: Request) -> tuple[str, ...]:
        """Return the experts to ask, the routed one first; the same for the same request, always.

        A calibration prompt is known by the request's id. A split route takes a request by the hash of its id, so
        shares hold over many requests and do not depend on their order. With a gate's scores the order is that of the
        scores, and among equals that of the plan.

        Raises
        ------
        RequestError
            If the plan knows no expert for the request's category.
        """
        own = self._by_prompt.get((request.category, request.id))
        routes = own or self._by_category.get(request.category)
        preference = self._preference.get(request.category, ())
        scores = self._scores.get(request.id)
        if scores is not None and preference and not own:
            return tuple(sorted(preference, key=lambda expert: -scores[expert]))
        if routes:
            first = _pick(routes, request.id)
            return (first, *(expert for expert in preference if expert != first))
        if preference:
            return tuple(preference)
        known = sorted({*self._preference, *self._by_category})
        raise RequestError(
            f"request {request.id!r}: category",
            expected=f"one that the plan routes ({', '.join(known)})",
            found=request.category if request.category else Plain("an empty text"),
        )


def _pick(routes: Sequence[Route], request_id: str) -> str:
    """Return the expert whose share of [0, 1) holds the hash of ``request_id``."""
    point = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8]) / 2**64
    for route in routes:
        point -= route.fraction
        if point < 0.0:
            return route.expert
    return routes[-1].expert
