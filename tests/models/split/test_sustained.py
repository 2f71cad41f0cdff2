"""The balance of flow, latency and caches."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from coinfer.models.split.pipeline import ENDS, PipelineEdge, PipelinePlan, PipelineUnit
from coinfer.models.split.sustained import WAIT_PASSES, sustained


def plan(*, cache: float, depth: int = 2, in_flight: int | None = None) -> PipelinePlan:
    """Equal units one after the other, joined by hops of 10 ms."""
    units = tuple(
        PipelineUnit(name=str(i), start=i, stop=i + 1, pass_s=2e-3, token_s=1e-4, batch_tokens=80, cache_tokens=cache)
        for i in range(depth)
    )
    ends = [ENDS, *range(depth), ENDS]
    edges = tuple(
        PipelineEdge(source=a, target=b, weight=2.0, latency_s=0.01, bytes_per_s=1e9, token_bytes=0.0)
        for a, b in itertools.pairwise(ends)
    )
    return PipelinePlan(layers=depth, units=units, edges=edges, in_flight=in_flight)


def test_much_room_leaves_computing_as_the_limit() -> None:
    """The rate is that of full batches, and the latency follows from it."""
    found = sustained(plan(cache=1e9), prompt_tokens=100.0, output_tokens=100.0)

    rate = 80 / (2e-3 + 80 * 1e-4)
    assert found.limit == "compute"
    assert found.tokens_per_s == pytest.approx(rate)
    assert found.written_per_s == pytest.approx(rate / 2)
    assert found.token_s == pytest.approx(2 * WAIT_PASSES * 2e-3 / (1 - rate * 1e-4) + 0.03)


def test_little_room_is_used_up_by_littles_law() -> None:
    """Where caches bind, rate times stay is the room, in tokens."""
    found = sustained(plan(cache=5_000.0), prompt_tokens=100.0, output_tokens=100.0)

    stay_s = found.prompt_s + 99 * found.token_s
    assert found.limit == "cache"
    assert found.tokens_per_s * stay_s == pytest.approx(5_000.0)
    assert found.in_flight == pytest.approx(found.tokens_per_s * stay_s / 200)


def test_depth_costs_where_caches_bind() -> None:
    """Twice the stages of the same speed and room sustain less, and take longer for a token."""
    short, deep = (
        sustained(plan(cache=5_000.0, depth=depth), prompt_tokens=100.0, output_tokens=100.0) for depth in (2, 4)
    )

    assert deep.tokens_per_s < 0.7 * short.tokens_per_s
    assert deep.token_s > 1.5 * short.token_s


@pytest.mark.parametrize("cache", [2_000.0, 20_000.0, 200_000.0])
def test_more_of_anything_never_sustains_less(cache: float) -> None:
    """More room, and a looser limit on what is in flight, never lower the rate."""
    base = sustained(plan(cache=cache, in_flight=20), prompt_tokens=80.0, output_tokens=40.0)

    for more in (plan(cache=2 * cache, in_flight=20), plan(cache=cache, in_flight=40), plan(cache=cache)):
        assert sustained(more, prompt_tokens=80.0, output_tokens=40.0).tokens_per_s >= base.tokens_per_s * (1 - 1e-9)


def test_a_limit_on_requests_is_kept() -> None:
    """Requests in flight equal the limit where it binds."""
    found = sustained(plan(cache=1e9, in_flight=7), prompt_tokens=100.0, output_tokens=100.0)

    assert found.limit == "in flight"
    assert found.in_flight == pytest.approx(7.0)


def test_shares_follow_the_weights() -> None:
    """A unit that takes a third of the requests computes for a third of them."""
    line = plan(cache=1e9, depth=1)
    twin = replace(line.units[0], name="twin")
    edges = tuple(
        PipelineEdge(source=a, target=b, weight=w, latency_s=0.0, bytes_per_s=1e9, token_bytes=0.0)
        for a, b, w in ((ENDS, 0, 2.0), (ENDS, 1, 1.0), (0, ENDS, 2.0), (1, ENDS, 1.0))
    )
    both = replace(line, units=(line.units[0], twin), edges=edges)

    assert both.shares() == pytest.approx((2 / 3, 1 / 3))
    found = sustained(both, prompt_tokens=10.0, output_tokens=10.0)
    assert found.tokens_per_s == pytest.approx(1.5 * line.units[0].tokens_per_s)
