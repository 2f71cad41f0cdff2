"""Values, routers and proofs in words: the sign that people expect, and never more than is known."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from coinfer.models.problem import read_problem
from coinfer.models.selection.data import Budgets
from coinfer.planner.make import plan
from coinfer.planner.units import amount, precise
from coinfer.planner.wording import LEAVES, QUALITY, evident, proof, routers, worth_of
from coinfer.records import Matrix
from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof, Method
from coinfer.solver.certificate.tree import Branch

PROBLEMS = Path(__file__).parents[2] / "examples/problems"


def test_a_quality_is_written_as_it_is() -> None:
    """More is better: no sign is turned, a bound is an upper one, and a gap lies below the best possible."""
    assert QUALITY.phrase(0.71) == "mean quality 0.7100"
    assert QUALITY.exact(0.65) == "mean quality 0.65"
    assert (QUALITY.limit, QUALITY.beyond) == ("at most", "above")
    assert QUALITY.apart(0.0123) == "0.012 below the best possible"


def test_energies_and_costs_have_their_sign_turned_back() -> None:
    """Less is better: what a plan states below 0 is shown above it, with its unit, and a bound is a lower one."""
    problem = read_problem(PROBLEMS / "two_experts_memory.json")
    cost = worth_of(read_problem(PROBLEMS / "cost_of_pass.json"))
    with_energy = tuple(
        replace(expert, energy_j={"chat": 1.0, "code": 2.0}, energy_basis="declared") for expert in problem.experts
    )
    energy = worth_of(replace(problem, experts=with_energy, objective="energy_j"))

    assert cost.phrase(-0.0042) == "$0.004200 per pass"
    assert cost.exact(-0.0042) == "$0.0042 per pass"
    assert energy.phrase(-12.3) == "12.30\u00a0J per request"
    assert (energy.limit, energy.beyond) == (cost.limit, cost.beyond) == ("at least", "below")
    assert energy.apart(0.2) == "200\u00a0mJ per request above the least possible"
    assert str(energy.figure(0.0)) == "0.0"


def test_energy_is_said_to_leave_idle_power_out_only_where_there_is_some() -> None:
    """The objective does not count idle power, and where that is accounted the words say so."""
    problem = replace(read_problem(PROBLEMS / "idle_power_consolidation.json"), objective="energy_j")

    assert "above idle" in worth_of(problem).phrase(-1.0)
    assert "idle" not in worth_of(replace(problem, arrival_rate_per_s=None)).phrase(-1.0)


@pytest.mark.parametrize(("value", "written"), [(0.0042, "$0.00420"), (-3.0, "\u2212$3.00"), (0.0, "$0")])
def test_money_has_its_sign_before_the_currency(value: float, written: str) -> None:
    """A debt is written as people write it."""
    assert amount(value, "USD") == written


def test_nine_digits_keep_their_unit() -> None:
    """The long form has the unit and no prefix."""
    assert precise(0.0123456789012, "J") == "0.0123456789\u00a0J"
    assert precise(-1.5, "") == "\u22121.5"


def test_the_deployed_gate_stands_beside_the_perfect_router() -> None:
    """With scores the gate's value is told, by its name; without them, what the category router reaches."""
    problem = read_problem(PROBLEMS / "deployed_gate_softmax.json")
    alternatives = {"oracle": 0.97, "category": 0.8, "gate": 0.62}
    told = routers(alternatives, QUALITY, problem)
    assert "perfect router would reach 0.9700: an upper limit" in told
    assert "Your gate (softmax) reaches 0.6200." in told
    assert "not held to the limits on means (energy)" in told

    free = replace(problem, gate="oracle", budgets=Budgets())
    assert "Your gate (its first choice) reaches 0.6200." in routers(alternatives, QUALITY, free)
    assert "held" not in routers(alternatives, QUALITY, free)
    del alternatives["gate"]
    told = routers(alternatives, QUALITY, replace(free, gate_scores=None))
    assert "only the category reaches 0.8000" in told
    assert "gate" not in told
    assert routers({}, QUALITY, free) == ""


def test_a_cost_has_a_lower_limit_behind_a_perfect_router() -> None:
    """No router costs less than the perfect one."""
    worth = worth_of(read_problem(PROBLEMS / "cost_of_pass.json"))
    told = routers({"oracle": -0.004, "category": -0.005}, worth)
    assert "would reach $0.004000 per pass: a lower limit" in told
    assert "reaches $0.005000 per pass" in told


def test_both_kinds_of_proof_are_counted_and_named() -> None:
    """A tree of an integer program, the boxes of a search, and no proof at all."""
    problem = read_problem(PROBLEMS / "coupled_energy_split.json")
    tree = plan(problem).certificate
    assert tree.proof is not None
    assert proof(tree).startswith(f"{len(tree.proof.leaves)}\u00a0lea")
    assert "branch-and-bound tree" in proof(tree)

    boxes = plan(read_problem(PROBLEMS / "deployed_gate_softmax.json")).certificate
    assert boxes.leaves is not None
    assert proof(boxes).startswith(f"{len(boxes.leaves.leaves)}\u00a0lea")
    assert "monotonic search" in proof(boxes)
    drawn = tuple(BoxLeaf(method=method) for method in ("prices", "constraint", "prices"))
    drawn_proof = BoxProof(nodes=(Branch(variable=0, value=0, below=1, above=2), *drawn))
    told = "3\u00a0leaves of a monotonic search: 2 bounded by prices, 1 where a limit cannot hold"
    assert proof(replace(boxes, leaves=drawn_proof)) == told
    single = replace(boxes, leaves=BoxProof(nodes=(BoxLeaf(method="prices"),)))
    assert proof(single) == "1\u00a0leaf of a monotonic search, bounded by prices"
    assert set(LEAVES) == {*get_args(Method), "bound", "infeasible"}
    assert evident(tree)
    assert evident(boxes)

    bare = replace(boxes, leaves=None)
    assert proof(bare) is None
    assert not evident(bare)


def test_a_floor_is_kept_by_more_and_a_budget_by_less() -> None:
    """The prediction of the mean quality carries the floor."""
    problem = read_problem(PROBLEMS / "two_experts_memory.json")
    floored = plan(replace(problem, quality_floor=0.6))
    assert floored.predictions[0].budget == 0.6
    assert plan(replace(problem, quality=Matrix([[0.8, 0.6], [0.2, 0.9]]))).predictions[0].budget is None
