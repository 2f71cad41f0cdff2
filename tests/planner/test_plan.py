"""Plans: what is handed out is feasible, as good as brute force, proven, and survives only when nobody changed it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import CertificateError, CoinferError, Infeasible, LimitReached, PlanMismatch
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.planner.claims import FORMAT
from coinfer.planner.make import plan
from coinfer.planner.plan import read_plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.verify import verify
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.testing.selection import enumerate_optimum, selection_problems


def fleet(*, budget_j: float = 4.0) -> SelectionProblem:
    """Four experts on two devices, three categories: a problem with a trade-off and a fractional relaxation."""
    names = ("chat", "code", "mathematics")
    quality = [[0.5, 0.7, 0.8, 0.9], [0.2, 0.6, 0.9, 0.7], [0.1, 0.3, 0.5, 0.95]]
    joules, seconds, sizes = (0.5, 2.0, 4.0, 9.0), (0.1, 0.4, 0.9, 2.0), (1, 3, 5, 9)
    return SelectionProblem(
        name="fleet",
        devices=(Device(name="edge", memory_bytes=8), Device(name="cloud", memory_bytes=10)),
        categories=(Category(name="chat", latency_budget_s=1.0), Category(name="code"), Category(name="mathematics")),
        experts=tuple(
            Expert(
                name=f"e{n}",
                device="edge" if n < 3 else "cloud",
                latency_s=dict.fromkeys(names, seconds[n]),
                memory_bytes=sizes[n],
                energy_j=dict.fromkeys(names, joules[n]),
                energy_basis="measured",
            )
            for n in range(4)
        ),
        prompts=tuple(Prompt(name=name, category=name) for name in names),
        quality=Matrix(quality),
        budgets=Budgets(energy_j=budget_j),
        gate="category",
    )


@given(problem=selection_problems(max_experts=4, max_prompts=4))
@settings(max_examples=120)
def test_a_plan_is_optimal_proven_and_verified(problem: SelectionProblem) -> None:
    """Where brute force finds something, the plan is worth the same and its proof holds; else planning says so."""
    truth = enumerate_optimum(problem)
    if truth is None:
        with pytest.raises(Infeasible):
            plan(problem)
        return
    made = plan(problem)
    assert made.certificate.value == pytest.approx(truth, abs=1e-7)
    assert made.certificate.bound is not None
    assert made.certificate.bound >= truth - 1e-9
    assert verify(problem, made).proven


@given(problem=selection_problems(max_experts=4, max_prompts=4), nodes=st.integers(0, 3))
@settings(max_examples=80)
def test_a_plan_cut_short_claims_nothing_untrue(problem: SelectionProblem, nodes: int) -> None:
    """However early planning is stopped, the truth lies between value and bound, and the plan verifies."""
    truth = enumerate_optimum(problem)
    assume(truth is not None)
    assert truth is not None
    try:
        made = plan(problem, limits=Limits(nodes=nodes))
    except LimitReached:
        return
    assert made.certificate.value <= truth + 1e-7
    assert made.certificate.bound is None or made.certificate.bound >= truth - 1e-7
    assert made.certificate.verified_bound is None or made.certificate.verified_bound >= truth - 1e-7
    verify(problem, made)


@pytest.mark.parametrize("engine", ["highs", "scip", "cbc"])
def test_every_engine_makes_the_same_plan_value(engine: str) -> None:
    """Engines are interchangeable: the value and the proven bound are the same."""
    made = plan(fleet(), engine=engine)
    assert made.certificate.status == "optimal"
    assert made.certificate.value == pytest.approx(plan(fleet()).certificate.value, abs=1e-9)
    assert verify(fleet(), made).proven


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    """Written and read again, a plan is the same and still verifies."""
    made = plan(fleet())
    jsonfile.write(tmp_path / "plan.json", made)
    again = read_plan(tmp_path / "plan.json")
    assert again == made
    assert verify(fleet(), again).proven


def test_a_plan_for_another_problem_is_refused() -> None:
    """One joule more is another problem."""
    with pytest.raises(PlanMismatch, match="another problem"):
        verify(fleet(budget_j=5.0), plan(fleet()))


def test_an_infeasible_problem_says_why() -> None:
    """The sentence names the limit nothing can keep."""
    with pytest.raises(Infeasible, match="cheapest routing needs a mean energy_j"):
        plan(fleet(budget_j=0.1))


@pytest.mark.parametrize("excess", [1e-8, 1e-7])
def test_a_limit_missed_by_a_hair_is_missed(excess: float) -> None:
    """A selection that an engine's tolerance would let through is left out, and the next best one is proven."""
    problem = fleet(budget_j=100.0)
    size = 10**12
    experts = tuple(
        msgspec.structs.replace(expert, memory_bytes=int((expert.memory_bytes or 0) * size * (1 + excess)))
        for expert in problem.experts
    )
    devices = (Device(name="edge", memory_bytes=8 * size), Device(name="cloud", memory_bytes=9 * size))
    tight = msgspec.structs.replace(problem, experts=experts, devices=devices)
    made = plan(tight)
    assert verify(tight, made).proven
    assert made.certificate.value == pytest.approx(enumerate_optimum(tight), abs=1e-9)
    assert made.certificate.value < plan(problem).certificate.value - 1e-3


def test_a_start_is_never_made_worse() -> None:
    """Begun from an older plan with no time left, the new plan is at least as good."""
    old = plan(fleet(budget_j=3.0))
    made = plan(fleet(budget_j=4.0), start=old.decision, limits=Limits(nodes=0))
    assert made.certificate.value >= old.certificate.value - 1e-9


def test_without_a_proof_the_bound_is_only_claimed() -> None:
    """An engine's word stays an engine's word, in the plan and after verification."""
    made = plan(fleet(), with_proof=False)
    checked = verify(fleet(), made)
    assert {claim.what: claim.standing for claim in made.certificate.claims}["bound"] == "claimed"
    assert {claim.what: claim.standing for claim in checked.claims}["bound"] == "claimed"
    assert not checked.proven


def builtins(made: SelectionPlan) -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(jsonfile.to_builtins(made))
    assert data.pop("format") == FORMAT
    return data


def tampered(**fields: Any) -> SelectionPlan:
    """The fleet's plan with fields of its certificate replaced."""
    made = plan(fleet())
    return msgspec.structs.replace(made, certificate=msgspec.structs.replace(made.certificate, **fields))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"value": 0.99}, "certificate.value"),
        ({"bound": 0.0}, "below the value"),
        ({"verified_bound": 0.0}, "verified_bound"),
        ({"proof": None}, "verified_bound"),
        ({"claims": ()}, "claims"),
        ({"bound": 99.0, "verified_bound": 99.0}, "certificate.status"),
        ({"limit": "time"}, "certificate.limit"),
        ({"status": "feasible"}, "certificate.status"),
    ],
)
def test_a_changed_claim_is_refused(fields: dict[str, Any], sentence: str) -> None:
    """Each changed figure of a certificate is refused by a sentence that names it."""
    with pytest.raises(CertificateError, match=sentence):
        verify(fleet(), tampered(**fields))


def test_a_better_value_with_a_better_decision_needs_to_be_feasible() -> None:
    """A decision that breaks the energy budget is refused, however good it is."""
    made = plan(fleet())
    rich = plan(fleet(budget_j=100.0))
    stolen = msgspec.structs.replace(
        made, decision=rich.decision, certificate=rich.certificate, predictions=rich.predictions
    )
    with pytest.raises(CertificateError, match="feasibility: energy_j"):
        verify(fleet(), stolen)


PLAN = builtins(plan(fleet()))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += paths(value[key], (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += paths(item, (*path, i))
    return found


JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-2, 2)
    | st.text(max_size=4)
    | st.builds(list)
    | st.builds(dict)
)


@given(path=st.sampled_from([p for p in paths(PLAN) if p]), junk=JUNK, drop=st.booleans())
@settings(max_examples=400)
def test_a_mutated_plan_is_refused_or_harmless(path: tuple[Any, ...], junk: Any, drop: bool) -> None:
    """Change or drop anything in a plan file: it is refused with a sentence, or what it claims is true."""
    data = copy.deepcopy(PLAN)
    holder = data
    for key in path[:-1]:
        holder = holder[key]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = junk
    truth = enumerate_optimum(fleet())
    assert truth is not None
    try:
        made = jsonfile.convert(data, SelectionPlan, where="plan.json")
        checked = verify(fleet(), made)
    except CoinferError as error:
        assert "\n" not in str(error)
        return
    assert made.certificate.value == pytest.approx(truth, abs=1e-9)
    if checked.bound is not None:
        assert checked.bound >= truth - 1e-9
