"""A gate decides who answers new prompts, among the experts that the plan lets answer, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from coinfer.errors import PlanMismatch, RequestError
from coinfer.executor.gate import calibration_texts, request_scores
from coinfer.executor.request import Request
from coinfer.executor.route import Router
from coinfer.executor.run import run
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.models.selection.decision import Route
from coinfer.models.selection.gate import Gate, GateReport, HashedWords, SubsetRegret
from coinfer.models.selection.gate.document import Layer
from coinfer.planner.selection.document import SelectionPlan
from coinfer.records import Matrix

REGRET = SubsetRegret(mean=0.0, largest=0.0, largest_at=("a", "b"), full_set=0.0)
REPORT = GateReport(
    objective="mixture",
    loss_unit="nats",
    masks=True,
    training_prompts=1,
    stopping_prompts=1,
    heldout_prompts=1,
    subsets=1,
    every_subset=False,
    training_loss=0.0,
    heldout_loss=0.0,
    training_regret=REGRET,
    heldout_regret=REGRET,
    heldout_quality=0.0,
    heldout_oracle_quality=0.0,
    heldout_single_quality=0.0,
    single_expert="a",
    heldout_gain_standard_error=0.0,
)


def keyword_gate(*experts: str) -> Gate:
    """Return a gate whose score of an expert is how strongly the prompt names it."""
    made = HashedWords(256)
    weights = made.features(experts).T.astype(np.float64)
    layer = Layer(weights=Matrix(weights), biases=Matrix(np.zeros((1, len(experts)))))
    return Gate(experts=experts, features=made.description, layers=(layer,), report=REPORT, problem="test")


def ask(name: str, prompt: str, category: str = "c") -> Request:
    """Return a request."""
    return Request(id=name, prompt=prompt, category=category)


@pytest.fixture
def endpoint(recorded: Path) -> Endpoint:
    """Return the endpoint of the recorded outcomes."""
    return Endpoint(backend="replay", model=str(recorded))


def test_the_gate_orders_the_experts_that_may_answer(
    make_plan: Callable[..., SelectionPlan], endpoint: Endpoint
) -> None:
    """Best score first, then the others; equal scores keep the plan's order; an expert the plan rules out is absent."""
    plan = make_plan(dict.fromkeys("abc", endpoint), preference={"c": ("a", "b", "c"), "d": ("b", "a")})
    requests = [ask("1", "b b b"), ask("2", "c c a"), ask("3", "nobody"), ask("4", "c a", "d")]
    gate = keyword_gate("c", "unplanned", "a", "b")
    router = Router(plan, scores=request_scores(gate, plan, requests))

    assert [router.order(request) for request in requests] == [
        ("b", "a", "c"),
        ("c", "a", "b"),
        ("a", "b", "c"),
        ("a", "b"),
    ]


def test_calibration_prompts_keep_their_own_route(make_plan: Callable[..., SelectionPlan], endpoint: Endpoint) -> None:
    """The plan decides on the prompts it was made with; a route of the whole category gives way to the gate."""
    routes = [
        Route(category="c", prompt="known", expert="a", fraction=1.0),
        Route(category="c", expert="a", fraction=1.0),
    ]
    plan = make_plan(dict.fromkeys("ab", endpoint), routes=routes, preference={"c": ("a", "b")})
    requests = [ask("known", "b"), ask("new", "b")]
    router = Router(plan, scores=request_scores(keyword_gate("a", "b"), plan, requests))

    assert [router.order(request)[0] for request in requests] == ["a", "b"]
    assert [Router(plan).order(request)[0] for request in requests] == ["a", "a"]
    with pytest.raises(RequestError, match="one that the plan routes"):
        router.order(ask("new", "b", "z"))


def test_a_gate_must_know_every_selected_expert(make_plan: Callable[..., SelectionPlan], endpoint: Endpoint) -> None:
    """A gate for other experts is refused with the name of the one it does not know and of those it does."""
    plan = make_plan(dict.fromkeys(["a", "new"], endpoint))
    with pytest.raises(PlanMismatch, match=r"the gate does not know expert 'new', which .* it was trained for a, b"):
        request_scores(keyword_gate("a", "b"), plan, [ask("1", "x")])


def test_a_run_follows_the_gate_and_resumes_only_with_it(
    make_plan: Callable[..., SelectionPlan], endpoint: Endpoint, requests: tuple[Request, ...], tmp_path: Path
) -> None:
    """Every request goes where the gate says; the journal belongs to this gate, not to another one or to none."""
    plan = make_plan({"3": endpoint, "ask": endpoint})
    gate, journal = keyword_gate("3", "ask"), tmp_path / "j"
    ties = keyword_gate("0", "3", "ask")
    summary = run(plan, requests, journal_path=journal, gate=gate)

    # A prompt is "ask" and a number: it names both experts alike where the number is 3, and the plan's first one wins.
    assert {answer.id for answer in summary.answers if answer.expert == "3"} == {"r3"}
    assert not any(answer.fallback for answer in summary.answers)
    assert run(plan, requests, journal_path=journal, gate=gate).resumed == 12
    for other in (ties, None):
        with pytest.raises(PlanMismatch, match="another gate"):
            run(plan, requests, journal_path=journal, gate=other)


def _problem() -> SelectionProblem:
    return SelectionProblem(
        name="test",
        devices=(Device(name="d"),),
        categories=(Category(name="c"), Category(name="d")),
        experts=(Expert(name="a", device="d", latency_s={}),),
        prompts=(Prompt(name="p", category="c"), Prompt(name="q", category="d")),
        quality=Matrix([[1.0], [0.0]]),
        budgets=Budgets(),
        gate="category",
    )


def test_texts_stand_in_the_order_of_the_problem() -> None:
    """Texts are found by name, whatever their order and whatever else the file holds."""
    requests = [ask("q", "second", "d"), ask("other", "third"), ask("p", "first")]
    assert calibration_texts(_problem(), requests) == ["first", "second"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "r"}, "texts: expected a request with id 'q', since the problem has this prompt; found none"),
        ({"category": "c"}, "texts: request 'q': category: expected 'd', as in the problem; found 'c'"),
    ],
)
def test_texts_of_another_problem_are_refused(change: dict[str, str], words: str) -> None:
    """A prompt without text, and one of another category, are named."""
    requests = [ask("p", "first"), msgspec.structs.replace(ask("q", "second", "d"), **change)]
    with pytest.raises(RequestError, match=words):
        calibration_texts(_problem(), requests)
