"""Predictions beside measurements: like with like, absent stays absent, declared energy is never measured."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from coinfer.models.selection.decision import Route
from coinfer.planner.comparison import Compared, compare
from coinfer.planner.selection.document import Prediction, SelectionPlan
from coinfer.profiler.measurement import Measurement


def row(seconds: float = 1.0, **fields: Any) -> Measurement:
    """Return one measured request."""
    base = {"device": "rtx-4070", "model": "coder-7b-q4", "engine": "e", "phase": "request", "source": "measured"}
    return Measurement(**{**base, "category": "code", **fields}, seconds=seconds)


def one(
    example: Any, rows: list[Measurement], /, weights: Any = None, statistic: str = "mean", **fields: Any
) -> Compared:
    """Compare one prediction with rows."""
    prediction = Prediction(**{"quantity": "latency_s", "category": "code", "value": 2.0, **fields})
    plan: SelectionPlan = replace(example.plan, predictions=(prediction,))
    (found,) = compare(plan, rows, latency_statistic=statistic, category_weights=weights)
    return found


def test_each_prediction_is_compared_in_its_order(example: Any) -> None:
    """The result follows the predictions of the plan, one for one."""
    found = compare(example.plan, example.rows, latency_statistic="p50")

    assert [item.prediction for item in found] == list(example.plan.predictions)


def test_what_was_not_measured_is_absent(example: Any) -> None:
    """Without rows nothing is measured, everything has a reason, and no error, verdict or limit is made up."""
    for item in compare(example.plan, []):
        assert (item.measured, item.declared, item.inside, item.overlaps, item.plausible) == (None,) * 5
        assert (item.relative_error, item.keeps_budget) == (None, None)
        assert item.absent_because


def test_latency_is_compared_by_the_statistic_of_the_problem(example: Any) -> None:
    """Of 1, 1, 7 seconds the mean is 3 and the median 1; an unknown statistic is not guessed."""
    rows = [row(1.0), row(1.0), row(7.0)]

    assert one(example, rows).measured.value == pytest.approx(3.0)
    assert one(example, rows, statistic="p50").measured.value == 1.0
    assert one(example, rows, statistic="median").measured.value == 1.0
    assert one(example, rows, statistic="fastest").measured is None
    assert "fastest" in one(example, rows, statistic="fastest").absent_because


def test_other_categories_phases_and_published_rows_do_not_count(example: Any) -> None:
    """Only requests of the category that were measured here enter."""
    rows = [row(1.0), row(9.0, category="dialogue"), row(9.0, phase="decode"), row(9.0, source="a paper, table 3")]

    assert one(example, rows).measured.value == 1.0
    assert one(example, rows).measured.samples == 1


def test_where_experts_share_a_category_the_slowest_counts(example: Any) -> None:
    """The prediction is that of the slowest expert, so 1 s and 5 s give 5 s; with one of them unseen, nothing."""
    shared = tuple(Route(category="code", expert=name, fraction=0.5) for name in ("coder-7b-q4", "qwen-7b-q4"))
    decision = replace(example.plan.decision, routes=shared)
    changed = type(example)(problem=example.problem, plan=replace(example.plan, decision=decision), front=(), rows=())
    fast, slow = row(1.0), row(5.0, model="qwen-7b-q4")

    assert one(changed, [fast, slow]).measured.value == 5.0
    assert one(changed, [fast, slow]).statistic == "mean of the slowest expert"
    assert one(changed, [fast]).measured is None


@pytest.mark.parametrize("source", ["declared", "published"])
def test_energy_without_a_counter_is_kept_apart(example: Any, source: str) -> None:
    """Declared and published joules are shown as such and never compared as a measurement."""
    rows = [row(energy_j=4.0, energy_source=source)]
    found = one(example, rows, quantity="energy_j")

    assert (found.measured, found.relative_error) == (None, None)
    assert found.declared.value == 4.0
    assert "no energy counter" in found.absent_because


def test_energy_of_a_batch_is_shared_by_its_requests(example: Any) -> None:
    """A batch of four that took 8 J took 2 J per request."""
    found = one(example, [row(energy_j=8.0, energy_source="nvml", batch=4)], quantity="energy_j")

    assert found.measured.value == 2.0
    assert found.declared is None


def test_the_workload_is_weighted_by_the_planned_mix(example: Any) -> None:
    """Nine right answers in code and one wrong in dialogue: 0.9 as they came, 0.5 with the planned halves."""
    rows = [row(correct=1.0) for _ in range(9)] + [row(correct=0.0, category="dialogue")]
    weights = {"code": 1.0, "dialogue": 1.0}

    def quality(chosen: Any) -> Compared:
        return one(example, rows, weights=chosen, quantity="quality", category=None)

    assert quality(None).measured.value == pytest.approx(0.9)
    assert quality(weights).measured.value == pytest.approx(0.5)
    assert quality({**weights, "summaries": 1.0}).measured is None
    assert "summaries" in quality({**weights, "summaries": 1.0}).absent_because


def test_memory_of_a_device_needs_every_expert_on_it(example: Any) -> None:
    """Two experts live on the device: the largest readings add up, and one unread expert leaves the sum absent."""
    both = [row(memory_bytes=3), row(memory_bytes=5), row(memory_bytes=20, model="mistral-8b-q4")]

    def memory(rows: list[Measurement]) -> Compared:
        return one(example, rows, quantity="memory_bytes", category=None, device="rtx-4070")

    assert memory(both).measured.value == 25.0
    assert memory(both[:2]).measured is None
    assert "mistral-8b-q4" in memory(both[:2]).absent_because


def test_verdicts(example: Any) -> None:
    """Inside, outside with overlap, outside without; error and limit follow the measured value."""
    near, far = [row(2.2), row(2.6), row(3.0)], [row(5.0), row(5.1), row(5.2)]
    band = {"low": 1.5, "high": 2.5, "budget": 3.0}

    assert one(example, [row(2.2)], **band).inside is True
    assert one(example, [row(2.2)], **band).overlaps is None
    assert (one(example, near, **band).inside, one(example, near, **band).overlaps) == (False, True)
    assert (one(example, far, **band).inside, one(example, far, **band).overlaps) == (False, False)
    assert one(example, near, **band).keeps_budget is True
    assert one(example, far, **band).keeps_budget is False
    assert one(example, far).relative_error == pytest.approx(1.55)
    assert (one(example, near).plausible, one(example, far).plausible) == (True, False)
    assert one(example, far).inside is None
