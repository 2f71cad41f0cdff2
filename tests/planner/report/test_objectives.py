"""The page for every objective and gate: figures named for what they are, limits the right way round."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection.data import Budgets, CostOfPass
from coinfer.planner.comparison import compare
from coinfer.planner.front import front
from coinfer.planner.make import plan as make_plan
from coinfer.planner.report import build
from coinfer.planner.report.facts import Facts
from coinfer.planner.report.reasons import reasons
from coinfer.planner.units import count
from coinfer.profiler.measurement import Measurement
from coinfer.records import Matrix

PROBLEMS = Path(__file__).parents[3] / "examples/problems"
UNITS = {"quality": "", "energy_j": "\u00a0J", "cost_of_pass": "$"}


def variant(problem: Problem, objective: Any, gate: Any) -> Problem:
    """Return the fleet with another objective and gate, and scores that know something of the quality."""
    random = np.random.default_rng(3)
    scores = np.round(4.0 * problem.quality.array + random.normal(0.0, 0.8, problem.quality.shape), 3)
    cost = CostOfPass(fallback_price_usd={category.name: 0.05 for category in problem.categories}, trials=8)
    return replace(
        problem,
        experts=tuple(
            replace(expert, price_usd={name: 2e-5 * joules for name, joules in (expert.energy_j or {}).items()})
            for expert in problem.experts
        ),
        objective=objective,
        gate=gate,
        gate_scores=Matrix(scores) if gate in ("softmax", "top_1") else None,
        cost_of_pass=cost if objective == "cost_of_pass" else None,
        quality_floor=None if objective == "quality" else 0.6,
        budgets=Budgets(experts=3),
    )


def text(page: str, section: str) -> str:
    """Return the words of one section."""
    part = page.split(f'id="{section}"')[1].split("</section>", maxsplit=1)[0]
    return html.unescape(re.sub("<[^>]+>", " ", part))


@pytest.mark.parametrize("gate", ["oracle", "category", "softmax", "top_1"])
@pytest.mark.parametrize("objective", ["quality", "energy_j", "cost_of_pass"])
def test_a_value_is_called_what_it_is(example: Any, objective: str, gate: str) -> None:
    """Headline, tiles and certificate have the figure with its unit and sign; a cost is never called a quality."""
    problem = variant(example.problem, objective, gate)
    plan = make_plan(problem)
    page = build(problem=problem, plan=plan, front=front(problem, plan=plan, points=2))
    facts = Facts(problem, plan)
    shown = facts.worth.amount(plan.certificate.value)
    lead = text(page, "decision")

    assert shown in lead
    assert UNITS[objective] in shown
    assert "\u2212" not in lead
    assert f"proven bound: {'at most' if objective == 'quality' else 'at least'} {shown}" in lead
    assert ("with a mean quality of" in lead) is (objective == "quality")
    assert "proven optimal within the budgets" in lead
    assert ("Your gate" in lead) is (gate in ("softmax", "top_1"))
    assert ("knows only the category reaches" in lead) is (gate not in ("softmax", "top_1"))
    assert ("Cost of a pass" in text(page, "answers")) is (objective == "cost_of_pass")
    assert facts.worth.exact(plan.certificate.value) in text(page, "certificate")
    assert facts.verified
    assert facts.closed


def test_the_floor_is_a_limit_that_is_used_from_above(example: Any) -> None:
    """The row has mean quality, floor and what is above it; a plan at the floor has it binding."""
    problem = variant(example.problem, "energy_j", "oracle")
    plan = make_plan(problem)
    rows = re.findall(r"<tr.*?</tr>", build(problem=problem, plan=plan).split('id="budgets"')[1], flags=re.DOTALL)
    (row,) = (row for row in rows if "Mean quality, at least" in row)

    assert re.findall(r'class="figure" data-label="(\w+)">([^<]+)', row)[:2] == [
        ("Used", "0.6000"),
        ("Limit", "0.6000"),
    ]
    assert "binding" in row
    assert "over the limit" not in row


def test_leaves_are_evidence_like_a_tree(example: Any) -> None:
    """A verified search of boxes is proven, its leaves are counted; without them the same claims prove nothing."""
    problem = variant(example.problem, "quality", "softmax")
    plan = make_plan(problem)
    certificate = plan.certificate
    assert certificate.proof is None
    assert certificate.leaves is not None
    page = build(problem=problem, plan=plan)
    leaves = count(len(certificate.leaves.leaves), "leaf", "leaves")
    assert f"has {leaves} of a monotonic search" in text(page, "certificate")

    bare = replace(plan, certificate=replace(certificate, leaves=None))
    assert not Facts(problem, bare).verified
    assert "carries no data" in text(build(problem=problem, plan=bare), "certificate")


def test_a_left_out_expert_that_the_gate_would_misuse_is_explained() -> None:
    """The reason is what the gate would make of it, from the problem: the value with it, and that it is worse."""
    problem = read_problem(PROBLEMS / "deployed_gate_softmax.json")
    facts = Facts(problem, make_plan(problem))

    (told,) = reasons(facts, facts.experts["boaster"])
    assert "would make it 0.7204, which is worse" in told


def test_an_expert_that_would_cost_the_floor_is_explained(example: Any) -> None:
    """Where a cheaper answer would drop the mean quality below the floor, the sentence says to what."""
    problem = replace(variant(example.problem, "energy_j", "category"), quality_floor=0.74)
    plan = make_plan(problem)
    facts = Facts(problem, plan)
    told = [sentence for expert in problem.experts for sentence in reasons(facts, expert)]

    assert any("below the floor of 0.740" in sentence for sentence in told)
    assert not any("quality by" in sentence for sentence in told)


def test_the_bound_is_drawn_only_along_its_own_axis(example: Any) -> None:
    """A proven cost or energy is no height of a chart of qualities."""
    for objective in ("quality", "energy_j", "cost_of_pass"):
        problem = variant(example.problem, objective, "oracle")
        plan = make_plan(problem)
        page = build(problem=problem, plan=plan, front=front(problem, plan=plan, points=2))
        names = re.findall(r'class="bound-name">([^<]+)', page)
        drawn = [name for name in names if name.startswith("proven bound")]
        assert len(drawn) == {"quality": 2, "energy_j": 1, "cost_of_pass": 0}[objective]
        assert all(UNITS[objective] in name for name in drawn)
        assert ("quality floor 0.6000" in names) is (objective != "quality")
        assert "its height is the mean quality" in text(page, "front")


def test_a_measured_quality_keeps_the_floor_from_above(example: Any) -> None:
    """Of a floor, more is within the limit."""
    problem = variant(example.problem, "energy_j", "category")
    plan = make_plan(problem)

    def kept(correct: float) -> bool | None:
        expert = plan.decision.selected[0]
        row = Measurement(
            device=plan.deployments[0].device,
            model=expert,
            engine="e",
            phase="request",
            category="code",
            seconds=1.0,
            correct=correct,
            source="measured",
        )
        (found,) = (item for item in compare(plan, [row]) if item.prediction.budget == 0.6)
        return found.keeps_budget

    assert kept(1.0) is True
    assert kept(0.0) is False


def test_a_change_of_objective_is_not_subtracted(example: Any) -> None:
    """A plan for the least energy is not compared in value with one for the most quality."""
    quality, energy = (variant(example.problem, name, "category") for name in ("quality", "energy_j"))
    first, second = make_plan(quality), make_plan(energy)

    assert "another objective" in text(build(problem=energy, plan=second, previous=first), "changes")
    assert "another objective" in text(build(problem=quality, plan=first, previous=second), "changes")
    assert "another objective" not in text(build(problem=energy, plan=second, previous=second), "changes")
