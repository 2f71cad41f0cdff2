"""A plan exported for LiteLLM has exactly its selected experts, its shares and its order of preference."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import CertificateError, Infeasible, InputError, PlanMismatch
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.data import Budgets, Prompt, SelectionProblem
from coinfer.planner.export import litellm_export, read_routing, write_litellm
from coinfer.planner.make import plan as make_plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.records import Matrix
from coinfer.testing.selection import selection_problems

ROOT = Path(__file__).parents[3]
OPEN = Endpoint(backend="openai", model="tiny", url="http://localhost:1/v1")
CLOSED = Endpoint(
    backend="openai", model="v/big", url="https://example.org/v1", api_key_env="BIG_KEY", chat=True, concurrency=4
)
LOCAL = Endpoint(backend="transformers", model="zoo:a")


def with_endpoints(problem: SelectionProblem, endpoints: list[Endpoint | None]) -> SelectionProblem:
    experts = tuple(
        msgspec.structs.replace(expert, endpoint=endpoint)
        for expert, endpoint in zip(problem.experts, endpoints * len(problem.experts), strict=False)
    )
    return msgspec.structs.replace(problem, experts=experts)


@st.composite
def plans(draw: st.DrawFn) -> tuple[SelectionProblem, SelectionPlan]:
    """Draw a problem whose experts have endpoints of any kind or none, and its plan."""
    problem = draw(selection_problems())
    kinds = st.sampled_from([OPEN, CLOSED, LOCAL, None])
    endpoints = draw(st.lists(kinds, min_size=len(problem.experts), max_size=len(problem.experts)))
    problem = with_endpoints(problem, endpoints)
    try:
        return problem, make_plan(problem, with_proof=False)
    except Infeasible:
        assume(False)
        raise


@settings(max_examples=60)
@given(drawn=plans())
def test_the_export_is_the_plan(
    drawn: tuple[SelectionProblem, SelectionPlan], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Reachable selected experts alone are there, with the plan's shares; all others are named with a reason."""
    yaml = pytest.importorskip("yaml")
    problem, plan = drawn
    reachable = {item.expert: item for item in plan.deployments if item.endpoint in (OPEN, CLOSED)}
    if not reachable:
        with pytest.raises(InputError, match="expected a selected expert with an endpoint of backend openai"):
            litellm_export(problem, plan)
        return
    exported = litellm_export(problem, plan)
    config_file, routing_file = write_litellm(tmp_path_factory.mktemp("out") / "new" / "folder", exported)
    config = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    assert config == exported.config
    assert read_routing(routing_file) == exported.routing

    entries = config["model_list"]
    own = [entry for entry in entries if "weight" not in entry["litellm_params"]]
    assert {entry["model_name"] for entry in own} == set(reachable) == set(exported.experts)
    assert {entry["model_info"]["coinfer_expert"] for entry in entries} == set(reachable)
    assert max(Counter(entry["model_info"]["id"] for entry in entries).values()) == 1
    unreachable = {item.expert for item in plan.deployments} - set(reachable)
    assert {item.name for item in exported.routing.experts if item.reason is not None} == unreachable
    assert all(any(note.startswith(repr(name)) for note in exported.notes) for name in unreachable)
    for entry in entries:
        endpoint = reachable[entry["model_info"]["coinfer_expert"]].endpoint
        assert endpoint is not None
        assert entry["litellm_params"]["api_base"] == endpoint.url
        assert entry["litellm_params"]["max_parallel_requests"] == endpoint.concurrency

    fallbacks = {name: order for part in config["router_settings"]["fallbacks"] for name, order in part.items()}
    for part in exported.routing.categories:
        weight = {prompt.name: prompt.weight for prompt in problem.prompts if prompt.category == part.category}
        expected: Counter[str] = Counter()
        for route in plan.decision.routes:
            if route.category == part.category:
                share = 1.0 if route.prompt is None else weight[route.prompt] / sum(weight.values())
                expected[route.expert] += share * route.fraction  # type: ignore[assignment]
        assert part.shares == {name: pytest.approx(share, abs=1e-6) for name, share in expected.items()}
        group = {
            entry["model_info"]["coinfer_expert"]: entry["litellm_params"]["weight"]
            for entry in entries
            if entry["model_name"] == part.category
        }
        assert group == {name: share for name, share in part.shares.items() if name in reachable}
        order = [name for name in plan.decision.preference[part.category] if name in reachable]
        assert fallbacks.get(part.category) == (order if group else None)
        routed = {route.prompt for route in plan.decision.routes if route.category == part.category} - {None}
        assert set(part.prompts) == routed


def simple(names: tuple[str, ...] = ("small", "large"), endpoints: tuple[Endpoint | None, ...] = (OPEN, CLOSED)) -> Any:
    """Return a problem whose money pays for a mix of two experts, and its plan."""
    data = {
        "name": "p",
        "devices": [{"name": "edge"}],
        "categories": [{"name": "chat"}],
        "experts": [
            {"name": name, "device": "edge", "latency_s": {}, "price_usd": {"chat": price}}
            for name, price in zip(names, (0.1, 1.0), strict=True)
        ],
        "prompts": [{"name": "chat", "category": "chat"}],
        "quality": [[0.5, 0.9]],
        "budgets": {"price_usd": 0.325},
        "gate": "category",
        "kind": "selection",
    }
    problem = with_endpoints(jsonfile.convert(data, SelectionProblem, where="p"), list(endpoints))
    return problem, make_plan(problem, with_proof=False)


def test_keys_stay_in_the_environment() -> None:
    """A key is named, never written; an open endpoint gets a key of its own, so that no other is sent to it."""
    problem, plan = simple()
    small, large, *groups = litellm_export(problem, plan).config["model_list"]

    assert (small["litellm_params"]["api_key"], large["litellm_params"]["api_key"]) == ("none", "os.environ/BIG_KEY")
    assert small["litellm_params"]["model"] == "text-completion-openai/tiny"
    assert large["litellm_params"]["model"] == "openai/v/big"
    assert {entry["model_info"]["coinfer_expert"]: entry["litellm_params"]["weight"] for entry in groups} == {
        "small": pytest.approx(0.75),
        "large": pytest.approx(0.25),
    }


def test_shares_of_a_category_weigh_its_prompts() -> None:
    """Where prompts have routes of their own, the share of a category is their mean by weight."""
    problem, _ = simple()
    prompts = (Prompt(name="p1", category="chat", weight=1.0), Prompt(name="p2", category="chat", weight=3.0))
    quality = Matrix([[0.9, 0.1], [0.1, 0.9]])
    problem = msgspec.structs.replace(problem, prompts=prompts, quality=quality, gate="oracle", budgets=Budgets())
    (part,) = litellm_export(problem, make_plan(problem, with_proof=False)).routing.categories

    assert part.shares == {"small": pytest.approx(0.25), "large": pytest.approx(0.75)}
    assert part.prompts == {"p1": {"small": 1.0}, "p2": {"large": 1.0}}


def test_deployments_have_ids_of_their_own() -> None:
    """An expert whose name looks like the id of another deployment gets none of it."""
    problem, plan = simple(names=("chat/large", "large"))
    ids = [entry["model_info"]["id"] for entry in litellm_export(problem, plan).config["model_list"]]

    assert len(set(ids)) == len(ids) == 4


def test_traffic_of_experts_that_are_not_exported_is_told() -> None:
    """Who is left out, why, and whose traffic the others get, is said."""
    problem, plan = simple(endpoints=(OPEN, LOCAL))
    notes = litellm_export(problem, plan).notes
    assert notes == (
        "'large' is not exported: its endpoint is of backend transformers, which has no address",
        "25.0% of category 'chat' was planned for large; the others get it",
    )


def test_plans_that_cannot_be_exported_are_refused(tmp_path: Path) -> None:
    """Another problem, a decision that breaks a limit, a name used twice, and a folder that cannot be are sentences."""
    problem, plan = simple()
    with pytest.raises(PlanMismatch, match="the plan is for another problem"):
        litellm_export(msgspec.structs.replace(problem, name="q"), plan)
    route = msgspec.structs.replace(plan.decision.routes[0], expert="large", fraction=1.0)
    wrong = msgspec.structs.replace(plan.decision, routes=(route,))
    with pytest.raises(CertificateError, match="feasibility: "):
        litellm_export(problem, msgspec.structs.replace(plan, decision=wrong))
    with pytest.raises(InputError, match=r"expected names of experts that are no names of categories.*found 'chat'"):
        litellm_export(*simple(names=("chat", "large")))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder"):
        write_litellm(tmp_path / "file", litellm_export(problem, plan))


def test_the_strategy_in_the_document_follows_the_plan(tmp_path: Path) -> None:
    """LiteLLM takes the files; its own choice follows the shares, the documented strategy the routes of prompts."""
    litellm = pytest.importorskip("litellm", reason="litellm is not installed")
    problem, plan = simple()
    exported = litellm_export(problem, plan)
    (part,) = exported.routing.categories
    routed = msgspec.structs.replace(part, prompts={"p1": {"large": 1.0}, "p2": {"small": 1.0}})
    routing = msgspec.structs.replace(exported.routing, categories=(routed,))
    _, path = write_litellm(tmp_path, dataclasses.replace(exported, routing=routing))
    router = litellm.Router(model_list=exported.config["model_list"], **exported.config["router_settings"])

    def drawn(**named: Any) -> Counter[str]:
        picks = (router.get_available_deployment("chat", **named) for _ in range(400))
        return Counter(pick["model_info"]["coinfer_expert"] for pick in picks)

    assert 40 < drawn()["large"] < 160
    text = (ROOT / "docs" / "imports.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class " in block), scope)
    router.set_custom_routing_strategy(scope["PlannedRouting"](router, path))
    for prompt, expert in (("p1", "large"), ("p2", "small")):
        assert drawn(request_kwargs={"metadata": {"coinfer_prompt": prompt}}) == {expert: 400}
    assert 40 < drawn()["large"] < 160
