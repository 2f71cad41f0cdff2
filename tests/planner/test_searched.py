"""The monotonic engine in the planner: as good as brute force, proven by its leaves, honest when it is cut short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import Infeasible, LimitReached
from coinfer.models.selection.data import (
    SCORED,
    Gate,
    Objective,
    SelectionProblem,
)
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.monotonic import monotonic_program, why_not_monotonic
from coinfer.planner.make import plan
from coinfer.planner.plan import read_plan
from coinfer.planner.verify import verify
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.program import MixedAtMost
from coinfer.testing.selection import enumerate_optimum, selection_problems

Large = Callable[..., SelectionProblem]
OBJECTIVES: tuple[Objective, ...] = ("quality", "cost_of_pass", "energy_j")
SMALL = {"max_experts": 4, "max_prompts": 4, "max_devices": 2}


def decoupled(problem: SelectionProblem) -> SelectionProblem:
    """Return the problem without the limits that couple the routing, where its gate does not follow scores."""
    if problem.gate in SCORED:
        return problem
    budgets = msgspec.structs.replace(problem.budgets, energy_j=None, price_usd=None)
    devices = tuple(msgspec.structs.replace(device, max_utilisation=None) for device in problem.devices)
    return msgspec.structs.replace(problem, budgets=budgets, devices=devices, quality_floor=None)


def agrees(problem: SelectionProblem) -> None:
    """Plan by the monotonic engine and compare with every selection; the leaves must prove the plan optimal."""
    assert why_not_monotonic(problem) is None
    truth = enumerate_optimum(problem)
    if truth is None:
        with pytest.raises(Infeasible):
            plan(problem, engine="monotonic")
        return
    made = plan(problem, engine="monotonic")
    assert made.engine.startswith("monotonic")
    assert evaluate(problem, made.decision).violations == ()
    assert made.certificate.value == pytest.approx(truth, rel=1e-9, abs=1e-9)
    assert made.certificate.leaves is not None
    assert made.certificate.verified_bound is not None
    assert made.certificate.verified_bound >= truth - 1e-12
    assert {claim.what: claim.standing for claim in made.certificate.claims}["bound"] == "verified"
    assert verify(problem, made).proven


@given(problem=selection_problems(gates=("softmax", "top_1"), objectives=OBJECTIVES, **SMALL))
@settings(max_examples=450)
def test_a_deployed_gate_is_planned_as_brute_force_would(problem: SelectionProblem) -> None:
    """With any objective and any limit, also those on means, the plan is optimal and its leaves prove it."""
    agrees(problem)


@given(problem=selection_problems(gates=("oracle", "category"), objectives=OBJECTIVES, **SMALL).map(decoupled))
@settings(max_examples=250)
def test_a_free_routing_is_planned_as_brute_force_would(problem: SelectionProblem) -> None:
    """Where no limit couples the routing, the plan is optimal and its leaves prove it."""
    agrees(problem)


@given(problem=selection_problems(gates=("oracle", "category"), objectives=OBJECTIVES, **SMALL).map(decoupled))
@settings(max_examples=80)
def test_both_ways_to_state_it_agree(problem: SelectionProblem) -> None:
    """The integer program finds a plan of the same value, or finds none just as well."""
    try:
        made = plan(problem, engine="monotonic")
    except Infeasible as error:
        with pytest.raises(Infeasible) as caught:
            plan(problem, engine="highs")
        assert str(caught.value) == str(error)
        return
    other = plan(problem, engine="highs")
    assert other.certificate.value == pytest.approx(made.certificate.value, rel=1e-9, abs=1e-9)


@pytest.mark.slow
@given(problem=selection_problems(gates=("softmax", "top_1", "oracle", "category")).map(decoupled))
@settings(max_examples=5000)
def test_larger_problems_of_every_gate_are_planned_as_brute_force_would(problem: SelectionProblem) -> None:
    """The same of five experts and six prompts, many times over."""
    agrees(problem)


@given(
    problem=selection_problems(gates=("softmax", "top_1", "oracle", "category"), **SMALL).map(decoupled),
    nodes=st.sampled_from([0, 1, 2, 5]),
    with_proof=st.booleans(),
)
@settings(max_examples=220, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_search_cut_short_claims_nothing_untrue(problem: SelectionProblem, nodes: int, with_proof: bool) -> None:
    """After any number of boxes the decision is feasible, the bound is not below the truth, and the plan verifies."""
    truth = enumerate_optimum(problem)
    assume(truth is not None)
    assert truth is not None
    try:
        made = plan(problem, engine="monotonic", limits=Limits(nodes=nodes), with_proof=with_proof)
    except LimitReached:
        return
    certificate = made.certificate
    assert evaluate(problem, made.decision).violations == ()
    assert certificate.value <= truth + 1e-9
    assert certificate.bound is None or certificate.bound >= truth - 1e-12
    assert certificate.verified_bound is None or certificate.verified_bound >= truth - 1e-12
    checked = verify(problem, made)
    if not with_proof:
        assert (certificate.leaves, certificate.verified_bound) == (None, None)
        assert certificate.claims[-1].standing == "claimed"
        assert not checked.proven


@pytest.mark.parametrize(
    ("gate", "limits", "nodes"),
    [("oracle", {}, nodes) for nodes in (0, 1, 2, 5)]
    + [(gate, {"energy_j": 3.5}, nodes) for gate in ("softmax", "top_1") for nodes in (1, 2, 5)],
)
def test_a_large_search_cut_short_is_honest(
    gate: Gate, limits: dict[str, float], nodes: int, large_problem: Large
) -> None:
    """Cut short with boxes left open, the bound is above the optimum and the leaves show it."""
    problem = large_problem(gate=gate, experts=9, prompts=12, **limits)
    truth = plan(problem, engine="monotonic").certificate.value
    made = plan(problem, engine="monotonic", limits=Limits(nodes=nodes))
    assert made.certificate.value <= truth + 1e-12
    assert made.certificate.bound is not None
    assert made.certificate.bound >= truth
    assert (made.certificate.status == "optimal") == (made.certificate.limit is None)
    assert verify(problem, made).bound == pytest.approx(made.certificate.verified_bound, abs=1e-9)


@pytest.mark.parametrize("gate", ["oracle", "softmax"])
def test_limits_on_means_are_constraints_of_the_selection(gate: Gate, large_problem: Large) -> None:
    """A gate that follows scores has them as mixed monotone constraints; a free routing has no monotonic program."""
    problem = large_problem(gate=gate, energy_j=3.5)
    assert (why_not_monotonic(problem) is None) == (gate == "softmax")
    if gate == "softmax":
        kinds = [type(part) for part in monotonic_program(problem).constraints]
        assert kinds.count(MixedAtMost) == 1


def test_a_plan_with_leaves_survives_its_file(tmp_path: Path, large_problem: Large) -> None:
    """Written and read again, a plan with leaves is the same and still proven."""
    problem = large_problem()
    made = plan(problem)
    assert made.certificate.leaves is not None
    assert len(made.certificate.leaves.nodes) > 10
    jsonfile.write(tmp_path / "plan.json", made)
    again = read_plan(tmp_path / "plan.json")
    assert again == made
    assert verify(problem, again).proven
