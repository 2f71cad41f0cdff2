"""Plans of splits: optimal, checked without a solver, and refused where they claim too much."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from coinfer.errors import CertificateError, Infeasible, PlanMismatch
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.evaluate import evaluate
from coinfer.planner.make import plan
from coinfer.planner.split.document import SplitPlan
from coinfer.planner.verify import verify
from coinfer.testing.split import every_decision, random_split


def _least(problem: SplitProblem) -> float:
    judged = (evaluate(problem, decision) for decision in every_decision(problem))
    return min((each.value for each in judged if not each.violations), default=math.inf)


@pytest.mark.parametrize("objective", ["tpot", "request", "bottleneck"])
@pytest.mark.parametrize("order", ["listed", "free"])
@pytest.mark.parametrize("running", [False, True])
def test_a_plan_is_the_best_of_all_decisions_and_verifies(objective: str, order: str, running: bool) -> None:
    """Whatever the objective, order and budgets, no decision is better, and the checker agrees with every figure."""
    solved = infeasible = 0
    for seed in range(5):
        held = running and objective != "bottleneck"
        problem = random_split(seed, layers=3, objective=objective, order=order, running=held, budgets=seed % 2 == 0)
        least = _least(problem)
        if math.isinf(least):
            with pytest.raises(Infeasible):
                plan(problem)
            infeasible += 1
            continue
        made = plan(problem)
        assert math.isclose(made.certificate.value, least, rel_tol=1e-9)
        assert made.certificate.status == "optimal"
        checked = verify(problem, made)
        assert math.isclose(checked.value, least, rel_tol=1e-9)
        solved += 1
    assert solved >= 2, (solved, infeasible)


def _plan() -> tuple[SplitProblem, SplitPlan]:
    problem = random_split(0, layers=3)
    made = plan(problem)
    assert isinstance(made, SplitPlan)
    assert verify(problem, made).proven
    return problem, made


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": 0.9}, "certificate.value"),
        ({"bound": 1.1}, "certificate.bound"),
        ({"verified_bound": 1.1}, "certificate.verified_bound"),
        ({"proof": None}, "certificate.verified_bound"),
        ({"status": "feasible"}, "certificate.status"),
        ({"claims": ()}, "certificate.claims"),
    ],
)
def test_a_certificate_that_was_changed_is_refused(change: dict[str, Any], sentence: str) -> None:
    """Numbers are multiplied, words replaced: each lie is named."""
    problem, made = _plan()
    certificate = made.certificate
    new = {key: value * certificate.value if isinstance(value, float) else value for key, value in change.items()}
    forged = msgspec.structs.replace(made, certificate=msgspec.structs.replace(certificate, **new))
    with pytest.raises(CertificateError, match=sentence):
        verify(problem, forged)


def test_figures_and_decisions_that_were_changed_are_refused() -> None:
    """A figure that is not the problem's, a decision that is no split, and another problem's plan are named."""
    problem, made = _plan()
    figures = msgspec.structs.replace(made.figures, tpot_s=made.figures.tpot_s * 1.01)
    with pytest.raises(CertificateError, match=r"figures\.tpot_s"):
        verify(problem, msgspec.structs.replace(made, figures=figures))
    fewer = msgspec.structs.replace(made.decision, segments=made.decision.segments[:-1])
    with pytest.raises(CertificateError, match="feasibility"):
        verify(problem, msgspec.structs.replace(made, decision=fewer))
    with pytest.raises(PlanMismatch):
        verify(random_split(1, layers=3), made)
