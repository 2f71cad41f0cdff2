"""The sweep over depths."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coinfer.errors import Infeasible, LimitReached
from coinfer.models.split.sustained import sustained
from coinfer.planner.split.throughput import plan_throughput
from coinfer.solver.limits import Limits
from coinfer.solver.pattern.improve import longest_way
from coinfer.testing.pipelines import pipeline_cluster


def test_the_sweep_takes_the_depth_that_sustains_most() -> None:
    """No depth sustains more than the choice, deeper lines have more static flow, and latency limits are kept."""
    lengths = {"prompt_tokens": 100.0, "output_tokens": 100.0}

    free = plan_throughput(pipeline_cluster(), **lengths)
    tight = plan_throughput(pipeline_cluster(), **lengths, token_limit_s=0.8 * free.best.sustained.token_s)

    assert free.complete
    assert free.best.sustained.tokens_per_s == max(choice.sustained.tokens_per_s for choice in free.choices)
    static = [choice.static_tokens_per_s for choice in free.choices if choice.stay_s is None]
    assert static == sorted(static)
    assert tight.best.sustained.token_s <= 0.8 * free.best.sustained.token_s
    assert tight.best.sustained.tokens_per_s < free.best.sustained.tokens_per_s
    assert free.best.plan.in_flight is not None
    assert free.best.plan.in_flight >= free.best.sustained.in_flight


def test_scarce_caches_lead_to_other_pipelines() -> None:
    """With little room the best static flow is not what sustains most, and counting caches helps or does no harm."""
    scarce = pipeline_cluster(memory=9_000.0)
    lengths = {"prompt_tokens": 400.0, "output_tokens": 400.0}

    found = plan_throughput(scarce, **lengths)

    deepest = max(found.choices, key=lambda choice: choice.static_tokens_per_s)
    assert found.best.sustained.limit == "cache"
    assert found.best.sustained.tokens_per_s >= deepest.sustained.tokens_per_s
    assert found.best.sustained.tokens_per_s < found.best.static_tokens_per_s


def test_what_cannot_be_planned_ends_in_a_sentence() -> None:
    """Too few units, a latency no pipeline keeps, no time."""
    lengths = {"prompt_tokens": 100.0, "output_tokens": 100.0}
    with pytest.raises(Infeasible, match="holds all layers"):
        plan_throughput(pipeline_cluster(layers=60), **lengths)
    with pytest.raises(Infeasible, match="within 1e-06 s"):
        plan_throughput(pipeline_cluster(), **lengths, token_limit_s=1e-6)
    with pytest.raises(LimitReached):
        plan_throughput(pipeline_cluster(), **lengths, limits=Limits(time_s=0.0))


def test_improvement_keeps_what_was_promised() -> None:
    """Improved ranges sustain at least as much, within the latency limit and the number of stages, and say so."""
    lengths = {"prompt_tokens": 100.0, "output_tokens": 100.0}
    cluster = pipeline_cluster(memory=9_000.0, layers=5, counts=(2, 3))
    base = plan_throughput(cluster, **lengths).best

    better = plan_throughput(cluster, **lengths, token_limit_s=base.sustained.token_s * 1.01, improve_s=5.0).best

    assert better.sustained.tokens_per_s >= base.sustained.tokens_per_s
    assert better.sustained.token_s <= base.sustained.token_s * 1.01
    assert longest_way(better.ranges) <= better.stage_limit
    assert sustained(replace(better.plan, in_flight=None), **lengths) == better.sustained
    assert {layer for unit in better.plan.units for layer in range(unit.start, unit.stop)} == set(range(5))
