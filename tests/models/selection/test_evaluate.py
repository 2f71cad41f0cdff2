"""Every planted fault of a decision is found, and none crashes the evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.models.selection.data import Budgets, SelectionProblem
from coinfer.models.selection.decision import Route, SelectionDecision
from coinfer.models.selection.evaluate import evaluate
from coinfer.testing.selection import selection_problems

replace = msgspec.structs.replace


def plain(**fields: Any) -> SelectionDecision:
    """Return a decision that is right for the small problem, but for the fields given."""
    routes = (
        Route(category="chat", prompt="hello", expert="tiny", fraction=1.0),
        Route(category="code", prompt="sort", expert="tiny", fraction=1.0),
        Route(category="code", prompt="parse", expert="tiny", fraction=1.0),
    )
    right = SelectionDecision(selected=("tiny",), routes=routes, preference={"chat": ("tiny",), "code": ("tiny",)})
    return replace(right, **fields)


def routed(*others: Route) -> tuple[Route, ...]:
    """Return the plain routes, with those of the same prompt replaced."""
    named = {route.prompt for route in others}
    return (*(route for route in plain().routes if route.prompt not in named), *others)


def to(expert: str, prompt: str | None = "sort", category: str = "code", fraction: float = 1.0) -> Route:
    return Route(category=category, prompt=prompt, expert=expert, fraction=fraction)


BOTH = {"selected": ("tiny", "big"), "preference": {"chat": ("tiny",), "code": ("big", "tiny")}}

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"selected": ("tiny", "ghost")}, "selected expert 'ghost' is not in the problem"),
    ({"selected": ("tiny", "tiny")}, "an expert is selected twice"),
    ({"selected": ()}, "'chat' is routed to 'tiny', which is not selected"),
    ({"routes": routed(to("mid"))}, "'code' is routed to 'mid', which is not selected"),
    ({"routes": routed(to("ghost"))}, "'code' is routed to 'ghost', which is not selected"),
    ({"routes": ()}, "the routes of prompt 'hello' add up to 0, not to 1"),
    ({"routes": routed(to("tiny", fraction=0.5))}, "the routes of prompt 'sort' add up to 0.5, not to 1"),
    ({"routes": (*plain().routes, to("tiny"))}, "'code' is routed to 'tiny' twice"),
    ({"routes": (*plain().routes, to("tiny", None))}, "prompt 'sort' has a route of its own and one of its category"),
    ({"routes": (*plain().routes, to("tiny", "who"))}, "a route is for prompt 'who', which is not in 'code'"),
    ({"routes": (*plain().routes, to("tiny", "hello"))}, "a route is for prompt 'hello', which is not in 'code'"),
    ({"routes": (*plain().routes, to("tiny", None, "prose"))}, "a route is for 'prose', which has no prompts"),
    (
        BOTH | {"routes": routed(to("big", "hello", "chat"))},
        "'big' may not answer 'chat': it takes 1.6 s, and 1.5 s are promised",
    ),
    ({"preference": {"chat": ("tiny",)}}, "the order of preference for 'code' is missing"),
    ({"preference": {"chat": (), "code": ("tiny",)}}, "the order of preference for 'chat' does not name"),
    (
        {"preference": {"chat": ("tiny",), "code": ("tiny",), "prose": ()}},
        "there is an order of preference for 'prose', which has no prompts",
    ),
    (
        BOTH | {"preference": {"chat": ("tiny",), "code": ("tiny", "big")}},
        "the order of preference for 'code' is not the order of mean quality",
    ),
]


def test_the_plain_decision_is_right(small: SelectionProblem) -> None:
    """Without a fault there is no violation: the tests below plant one each."""
    assert evaluate(small, plain()).violations == ()


@pytest.mark.parametrize(("fields", "sentence"), FAULTS, ids=[sentence[:50] for _, sentence in FAULTS])
def test_faults_of_the_decision(small: SelectionProblem, fields: dict[str, Any], sentence: str) -> None:
    """A decision that is none is said to be so in a sentence."""
    violations = evaluate(small, plain(**fields)).violations
    assert any(sentence in violation for violation in violations), violations


def with_budgets(**budgets: Any) -> Callable[[SelectionProblem], SelectionProblem]:
    return lambda problem: replace(problem, budgets=replace(problem.budgets, **budgets))


def with_device(**fields: Any) -> Callable[[SelectionProblem], SelectionProblem]:
    return lambda problem: replace(problem, devices=(replace(problem.devices[0], **fields), problem.devices[1]))


def with_expert(**fields: Any) -> Callable[[SelectionProblem], SelectionProblem]:
    return lambda problem: replace(problem, experts=(replace(problem.experts[0], **fields), *problem.experts[1:]))


# The plain decision uses 25 J of idle power and 0.6 * 4 + 0.4 * 8 J of work; it is busy 0.4 / s * 0.56 s.
LIMITS: list[tuple[Callable[[SelectionProblem], SelectionProblem], str]] = [
    (with_budgets(energy_j=30.5), "energy_j of 'all' is 30.6, over the limit of 30.5"),
    (with_budgets(worst_case_energy_j=7.9), "worst_case_energy_j of 'all' is 8, over the limit of 7.9"),
    (with_budgets(price_usd=0.0009), "price_usd of 'all' is 0.001, over the limit of 0.0009"),
    (with_device(memory_bytes=1_999), "memory_bytes of 'orin' is 2000, over the limit of 1999"),
    (with_device(max_utilisation=0.22), "utilisation of 'orin' is 0.224, over the limit of 0.22"),
    (lambda problem: replace(problem, required=("mid",)), "required expert 'mid' is not selected"),
    (lambda problem: replace(problem, forbidden=("tiny",)), "forbidden expert 'tiny' is selected"),
    (lambda problem: replace(problem, gate="category"), "which the gate 'category' cannot tell apart"),
    (with_expert(latency_s={"chat": 0.4}), "'tiny' may not answer 'code': it was not measured there"),
]


@pytest.mark.parametrize(("change", "sentence"), LIMITS, ids=[sentence[:50] for _, sentence in LIMITS])
def test_broken_limits(
    small: SelectionProblem, change: Callable[[SelectionProblem], SelectionProblem], sentence: str
) -> None:
    """Each limit, set just below what the plain decision uses, is broken by it."""
    violations = evaluate(change(small), plain()).violations
    assert any(sentence in violation for violation in violations), violations


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_budgets(experts=1), "experts of 'all' is 2, over the limit of 1"),
        (with_budgets(), "group of 'coder' is 2, over the limit of 1"),
        (
            lambda problem: replace(problem, latency_rule="selected"),
            "latency_s of 'chat' is 1.6, over the limit of 1.5",
        ),
    ],
)
def test_broken_limits_on_the_selection(
    small: SelectionProblem, change: Callable[[SelectionProblem], SelectionProblem], sentence: str
) -> None:
    """Limits on the selection count experts that answer nothing."""
    decision = plain(
        selected=("mid", "big"),
        routes=tuple(replace(route, expert="mid") for route in plain().routes),
        preference={"chat": ("mid",), "code": ("big", "mid")},
    )
    violations = evaluate(change(small), decision).violations
    assert any(sentence in violation for violation in violations), violations


def test_an_ensemble_waits_for_the_slowest_and_the_aggregation(small: SelectionProblem) -> None:
    """Under the rule ``selected`` every category waits for all selected experts, the mean as well as the worst."""
    problem = replace(
        small, latency_rule="selected", aggregation_s_per_expert=0.1, budgets=Budgets(), arrival_rate_per_s=None
    )
    decision = plain(selected=("tiny", "mid"), preference={"chat": ("mid", "tiny"), "code": ("mid", "tiny")})
    found = evaluate(problem, decision)
    assert found.violations == ()
    assert found.latency_s == {"chat": 1.3, "code": 2.3}
    assert found.category_mean_latency_s == found.latency_s
    assert found.mean_latency_s == pytest.approx(0.6 * 1.3 + 0.4 * 2.3)


def test_mean_and_worst_latency_of_a_category(small: SelectionProblem) -> None:
    """Under the rule ``routed`` the promise binds the worst expert used, and the mean is over the traffic."""
    decision = plain(**BOTH, routes=routed(to("big")))
    found = evaluate(small, decision)
    assert found.latency_s == {"chat": 0.4, "code": 2.5}
    assert found.category_mean_latency_s == {"chat": 0.4, "code": 1.65}


def test_a_limit_is_kept_to_a_billionth(small: SelectionProblem) -> None:
    """Over by less than a billionth counts as kept, over by more does not: engines work in floats."""
    for excess, broken in ((0.5e-9, False), (2e-9, True)):
        problem = with_budgets(energy_j=30.6 / (1.0 + excess))(small)
        assert bool(evaluate(problem, plain()).violations) is broken


def test_absent_is_never_zero(small: SelectionProblem) -> None:
    """Figures that are absent give no mean, and an expert without the one that a budget needs may not answer."""
    free = replace(small, budgets=Budgets(), arrival_rate_per_s=None)
    bare = with_expert(latency_s={}, energy_j=None, energy_basis=None, price_usd=None)(free)
    bare = replace(bare, categories=tuple(replace(part, latency_budget_s=None) for part in bare.categories))
    found = evaluate(bare, plain())
    assert found.violations == ()
    assert (found.mean_latency_s, found.energy_j, found.price_usd, found.worst_case_energy_j) == (None,) * 4
    assert found.latency_s == {}


def test_usage_has_every_limit(small: SelectionProblem) -> None:
    """Every limit of the problem has its row, with what is left of it."""
    rows = evaluate(replace(small, required=("tiny",), forbidden=("mid",)), plain()).usage
    assert {(row.what, row.where) for row in rows} == {
        ("energy_j", "all"),
        ("worst_case_energy_j", "all"),
        ("price_usd", "all"),
        ("experts", "all"),
        ("memory_bytes", "orin"),
        ("memory_bytes", "desk"),
        ("utilisation", "orin"),
        ("latency_s", "chat"),
        ("latency_s", "code"),
        ("group", "coder"),
        ("required", "tiny"),
        ("forbidden", "mid"),
        ("assignment", "all"),
    }
    assert all(row.slack >= 0.0 for row in rows)
    assert next(row for row in rows if row.what == "utilisation").used == pytest.approx(0.224)


names = st.sampled_from(["e0", "e1", "e2", "ghost", ""])
categories = st.sampled_from(["c0", "c1", "c2", "prose"])
nonsense = st.builds(
    SelectionDecision,
    selected=st.lists(names, max_size=4).map(tuple),
    routes=st.lists(
        st.builds(
            Route,
            category=categories,
            expert=names,
            fraction=st.floats(1e-300, 1.0),
            prompt=st.sampled_from([None, "p0", "p1", "who"]),
        ),
        max_size=6,
    ).map(tuple),
    preference=st.dictionaries(categories, st.lists(names, max_size=3).map(tuple), max_size=3),
)


@given(problem=selection_problems(), decision=nonsense)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_nonsense_never_crashes(problem: SelectionProblem, decision: SelectionDecision) -> None:
    """Whatever a decision says, the evaluation ends in figures and sentences."""
    evaluation = evaluate(problem, decision)
    if not decision.routes:
        assert evaluation.violations
