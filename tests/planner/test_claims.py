"""What a plan may not claim, however it is written down."""

from __future__ import annotations

import msgspec
import pytest

from coinfer import jsonfile
from coinfer.errors import CertificateError
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.planner.make import plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.verify import verify
from coinfer.records import Matrix


def two_experts(quality: list[list[float]], *, sizes: tuple[int, int] = (1, 1), memory: int = 10) -> SelectionProblem:
    """Two experts of one device, one category; only one of them fits."""
    return SelectionProblem(
        name="two",
        devices=(Device(name="box", memory_bytes=memory),),
        categories=(Category(name="chat"),),
        experts=tuple(
            Expert(name=f"e{n}", device="box", latency_s={"chat": 1.0}, memory_bytes=size)
            for n, size in enumerate(sizes)
        ),
        prompts=tuple(Prompt(name=f"p{i}", category="chat") for i in range(len(quality))),
        quality=Matrix(quality),
        budgets=Budgets(experts=1),
        gate="category",
    )


def with_decision_of(problem: SelectionProblem, made: SelectionPlan, other: SelectionProblem) -> SelectionPlan:
    """The plan ``made`` with the decision and the figures of another problem's plan, and its own proof."""
    stolen = plan(other)
    value = stolen.certificate.value
    certificate = msgspec.structs.replace(made.certificate, value=value, bound=value, verified_bound=value)
    return msgspec.structs.replace(
        stolen, problem_sha256=jsonfile.sha256(problem), certificate=certificate, deployments=stolen.deployments
    )


def test_a_limit_on_bytes_has_no_tolerance() -> None:
    """Twenty bytes too many are too many, and the better expert stays out."""
    tight = two_experts([[0.75, 0.35]], sizes=(24 * 10**9 + 20, 10), memory=24 * 10**9)
    made = plan(tight)
    assert made.decision.selected == ("e1",)
    loose = two_experts([[0.75, 0.35]], sizes=(24 * 10**9 + 20, 10), memory=25 * 10**9)
    with pytest.raises(CertificateError, match="memory_bytes"):
        verify(tight, with_decision_of(tight, made, loose))


def test_tiny_qualities_are_compared_on_their_own_scale() -> None:
    """A decision nine times worse is not optimal because both are small."""
    small = two_experts([[1e-10, 9e-10]])
    made = plan(small)
    assert made.decision.selected == ("e1",)
    assert verify(small, made).proven
    swapped = two_experts([[9e-10, 1e-10]])
    worse = with_decision_of(small, made, swapped)
    certificate = msgspec.structs.replace(worse.certificate, value=1e-10)
    predictions = tuple(
        msgspec.structs.replace(p, value=1e-10) if p.quantity == "quality" else p for p in worse.predictions
    )
    lie = msgspec.structs.replace(
        worse, certificate=certificate, predictions=predictions, alternatives={"oracle": 1e-10, "category": 1e-10}
    )
    with pytest.raises(CertificateError):
        verify(small, lie)


def test_means_that_cancel_are_exact() -> None:
    """Qualities of 1e16 and -1e16 leave the 1 between them, which sums of floats would lose."""
    problem = two_experts([[1e16, 0.1], [1.0, 0.1], [-1e16, 0.1]])
    made = plan(problem)
    assert made.certificate.value == pytest.approx(1 / 3)
