"""Requests go where the plan says, and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import PlanMismatch, RequestError
from coinfer.executor.request import Request
from coinfer.executor.route import Router, _pick
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.decision import Route
from coinfer.planner.selection.document import SelectionPlan

ENDPOINT = Endpoint(backend="replay", model="none")
AB = {"a": ENDPOINT, "b": ENDPOINT}


def ask(name: str, category: str = "c") -> Request:
    """Return a request."""
    return Request(id=name, prompt="p", category=category)


def test_prompt_routes_come_before_category_routes(make_plan: Callable[..., SelectionPlan]) -> None:
    """A calibration prompt goes where its own route says, others where the category's says, then by preference."""
    routes = [
        Route(category="c", expert="a", fraction=1.0),
        Route(category="c", prompt="special", expert="b", fraction=1.0),
    ]
    router = Router(make_plan(AB, routes=routes, preference={"c": ("a", "b"), "d": ("b", "a")}))

    assert router.order(ask("special")) == ("b", "a")
    assert router.order(ask("other")) == ("a", "b")
    assert router.order(ask("special", "d")) == ("b", "a")


def test_an_unknown_category_is_named(make_plan: Callable[..., SelectionPlan]) -> None:
    """A request of a category the plan does not route is refused with those it does."""
    with pytest.raises(RequestError, match=r"'x': category: expected one that the plan routes \(c\); found 'z'"):
        Router(make_plan(AB)).order(ask("x", "z"))


def test_an_expert_without_endpoint_cannot_be_run(make_plan: Callable[..., SelectionPlan]) -> None:
    """A plan that routes to an expert without endpoint is refused."""
    routes = [Route(category="c", expert="ghost", fraction=1.0)]
    with pytest.raises(PlanMismatch, match="no endpoint for expert 'ghost'"):
        Router(make_plan(AB, routes=routes))


def test_shares_hold_over_many_requests(make_plan: Callable[..., SelectionPlan]) -> None:
    """A route of 30 % gets 30 % of the requests, and the same ones in any order."""
    routes = [Route(category="c", expert="a", fraction=0.3), Route(category="c", expert="b", fraction=0.7)]
    router = Router(make_plan(AB, routes=routes))
    names = [f"request {i}" for i in range(4000)]

    taken = {name: router.order(ask(name))[0] for name in names}
    again = {name: router.order(ask(name))[0] for name in reversed(names)}

    assert taken == again
    assert Counter(taken.values())["a"] / len(names) == pytest.approx(0.3, abs=0.03)


@given(cut=st.floats(0.01, 0.99), name=st.text())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_a_larger_share_takes_nothing_away(cut: float, name: str) -> None:
    """Who was routed to the first expert stays there when its share grows."""
    routes = [Route(category="c", expert="a", fraction=cut), Route(category="c", expert="b", fraction=1.0 - cut)]
    grown = [Route(category="c", expert="a", fraction=min(1.0, cut + 0.01)), routes[1]]
    if _pick(routes, name) == "a":
        assert _pick(grown, name) == "a"
