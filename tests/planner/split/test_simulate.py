"""The simulation against what is known in closed form."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError, ProblemError
from coinfer.models.split.pipeline import ENDS, PipelineEdge, PipelinePlan, PipelineUnit
from coinfer.models.split.sustained import sustained
from coinfer.planner.split.route import Router
from coinfer.planner.split.simulate import simulate
from coinfer.planner.split.workload import (
    AZURE_OUTPUT,
    AZURE_PROMPT,
    Lengths,
    Workload,
    poisson_workload,
    read_azure_trace,
)


def unit(start: int, stop: int, **changes: float) -> PipelineUnit:
    """A unit of one pass a millisecond, with room for much."""
    parts = {"pass_s": 1e-3, "token_s": 1e-4, "batch_tokens": 64, "cache_tokens": 1e9} | changes
    return PipelineUnit(name=f"{start}-{stop}", start=start, stop=stop, **parts)  # type: ignore[arg-type]


def edge(source: int, target: int, *, weight: float = 1.0, latency_s: float = 0.0) -> PipelineEdge:
    """An edge over which bytes take no time to speak of, unless between units."""
    token_bytes = 0.0 if ENDS in (source, target) else 100.0
    return PipelineEdge(
        source=source, target=target, weight=weight, latency_s=latency_s, bytes_per_s=1e6, token_bytes=token_bytes
    )


def line(*units: PipelineUnit, latency_s: float = 0.0, in_flight: int | None = None) -> PipelinePlan:
    """Units one after the other."""
    ends = [ENDS, *range(len(units)), ENDS]
    edges = tuple(edge(a, b, latency_s=latency_s) for a, b in itertools.pairwise(ends))
    return PipelinePlan(layers=units[-1].stop, units=units, edges=edges, in_flight=in_flight)


def requests(arrival: list[float], prompt: int, output: int) -> Workload:
    """Requests of one length."""
    count = len(arrival)
    return Workload(
        arrival_s=np.array(arrival), prompt_tokens=np.full(count, prompt), output_tokens=np.full(count, output)
    )


def test_one_request_takes_the_sum_of_its_passes() -> None:
    """Alone on two units, prompt and tokens take exactly the passes, the bytes and the hops."""
    plan = line(unit(0, 2), unit(2, 5, pass_s=2e-3), latency_s=0.01)

    figures = simulate(plan, requests([0.5], prompt=50, output=9), warm_s=0.0, end_s=5.0)

    # 50 and 1 tokens of 100 bytes over 1 MB/s between the units; three hops of 10 ms.
    assert figures.prompt_s == pytest.approx(0.03 + 1e-3 + 2e-3 + 2 * 50e-4 + 50 * 1e-4)
    assert figures.token_s == pytest.approx(0.03 + 1e-3 + 2e-3 + 2 * 1e-4 + 1e-4)
    assert figures.decode_tokens_per_s == pytest.approx(9 / 5)
    assert figures.tokens_per_s == pytest.approx(59 / 5)
    assert figures.queue_s == 0.0


def test_a_long_prompt_passes_in_parts() -> None:
    """Of 150 tokens, a unit that takes 64 at once needs three passes."""
    figures = simulate(line(unit(0, 2)), requests([0.0], prompt=150, output=1), warm_s=0.0, end_s=1.0)

    assert figures.prompt_s == pytest.approx(3 * 1e-3 + 150 * 1e-4)
    assert figures.batch_tokens == (50.0,)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_a_single_server_waits_as_m_d_1(load: float) -> None:
    """Poisson arrivals at one server of constant time wait rho d / (2 (1 - rho)) on average (Pollaczek-Khinchine)."""
    service_s = 0.01
    plan = line(unit(0, 1, pass_s=service_s, token_s=0.0, batch_tokens=1))
    random = np.random.default_rng(5)
    arrivals = np.cumsum(random.exponential(service_s / load, 40_000))

    end_s = float(arrivals[-1])
    figures = simulate(plan, requests(arrivals.tolist(), prompt=1, output=1), warm_s=0.05 * end_s, end_s=end_s)

    assert figures.prompt_s == pytest.approx(service_s + load * service_s / (2 * (1 - load)), rel=0.04)
    assert figures.busy[0] == pytest.approx(load, rel=0.03)


def test_littles_law_holds_for_queue_and_service() -> None:
    """Requests waiting and served are the rate times their mean times, with limits on what is in flight."""
    plan = line(unit(0, 1), unit(1, 2), in_flight=6)
    random = np.random.default_rng(2)
    arrivals = np.cumsum(random.exponential(0.05, 12_000)).tolist()

    figures = simulate(plan, requests(arrivals, prompt=40, output=20), warm_s=20.0, end_s=arrivals[-1])

    assert figures.served_s is not None
    assert figures.queue_s is not None
    assert figures.queued > 0.01
    assert figures.in_flight == pytest.approx(figures.requests_per_s * figures.served_s, rel=0.02)
    assert figures.queued == pytest.approx(figures.requests_per_s * figures.queue_s, rel=0.1)


def test_full_batches_pass_what_the_unit_can() -> None:
    """Under more work than it takes, a unit of 64 tokens a pass reaches 64 / (pass + 64 token)."""
    slow = unit(0, 1, cache_tokens=50_000)
    workload = requests([0.0] * 3000, prompt=100, output=50)

    figures = simulate(line(slow), workload, warm_s=5.0, end_s=25.0)

    assert figures.tokens_per_s == pytest.approx(slow.tokens_per_s, rel=0.03)
    assert figures.cache_use[0] <= 1.0


def test_caches_are_never_overfull_and_room_bounds_what_is_in_flight() -> None:
    """With room for two requests and a half, two are served at once, however many wait."""
    plan = line(unit(0, 1, cache_tokens=250), unit(1, 2))

    figures = simulate(plan, requests([0.0] * 200, prompt=50, output=50), warm_s=0.5, end_s=3.0)

    assert figures.in_flight == pytest.approx(2.0, rel=0.01)
    assert figures.cache_use[0] == pytest.approx(0.8, rel=0.01)


def test_short_requests_overtake_only_where_that_is_wanted() -> None:
    """A request that finds no room blocks those behind it, unless first_come is False."""
    plan = line(unit(0, 1, cache_tokens=100))
    workload = Workload(
        arrival_s=np.zeros(3), prompt_tokens=np.array([60, 60, 10]), output_tokens=np.array([40, 40, 5])
    )

    blocked = simulate(plan, workload, warm_s=0.0, end_s=0.02)
    assert blocked.in_flight == pytest.approx(1.0, rel=0.01)
    smaller = Workload(arrival_s=np.zeros(3), prompt_tokens=np.array([40, 60, 10]), output_tokens=np.array([40, 40, 5]))
    overtaken = simulate(plan, smaller, warm_s=0.0, end_s=0.01, first_come=False)
    assert overtaken.in_flight > 1.5


@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=4), count=st.integers(1, 200))
@settings(max_examples=40)
def test_ways_follow_the_weights_in_every_run(weights: list[int], count: int) -> None:
    """After any number of choices, each branch was taken its share, give or take one for each branch."""
    units = tuple(unit(0, 1) for _ in weights)
    edges = [edge(ENDS, i, weight=weight) for i, weight in enumerate(weights)]
    edges += [edge(i, ENDS) for i in range(len(weights))]
    router = Router(PipelinePlan(layers=1, units=units, edges=tuple(edges)))

    ways = [router.way(lambda _: True) for _ in range(count)]

    for i, weight in enumerate(weights):
        assert abs(ways.count((i,)) - count * weight / sum(weights)) <= len(weights)


def test_the_router_passes_over_full_units() -> None:
    """A closed unit is left out; where no unit is open there is no way."""
    edges = (edge(ENDS, 0, weight=9.0), edge(ENDS, 1), edge(0, ENDS), edge(1, ENDS))
    router = Router(PipelinePlan(layers=1, units=(unit(0, 1), unit(0, 1)), edges=edges))

    assert router.way(lambda place: place == 1) == (1,)
    assert router.way(lambda _: False) is None


@pytest.mark.parametrize("cache", [4_000.0, 60_000.0])
def test_the_balance_predicts_the_simulation(cache: float) -> None:
    """With little cache and with much, the sustained rate is that of the simulation within 6 %."""
    one, two = unit(0, 1, cache_tokens=cache), unit(1, 2, pass_s=2e-3, cache_tokens=cache)
    plan = line(one, two, latency_s=0.02)
    expected = sustained(plan, prompt_tokens=100.0, output_tokens=50.0)

    figures = simulate(plan, requests([0.0] * 6000, prompt=100, output=50), warm_s=10.0, end_s=40.0)

    assert figures.tokens_per_s == pytest.approx(expected.tokens_per_s, rel=0.06)
    assert expected.limit == ("cache" if cache < 10_000 else "compute")


def test_lengths_have_their_mean_and_end_where_they_should() -> None:
    """The Azure lengths average what is published and stay below the cut."""
    random = np.random.default_rng(0)
    for lengths in (AZURE_PROMPT, AZURE_OUTPUT):
        drawn = lengths.sample(40_000, random)
        assert drawn.mean() == pytest.approx(lengths.mean, rel=0.02)
        assert 1 <= drawn.min() <= drawn.max() <= lengths.longest


def test_the_same_seed_draws_the_same_requests() -> None:
    """And another seed draws others."""
    drawn = [
        poisson_workload(requests_per_s=5.0, duration_s=20.0, prompt=AZURE_PROMPT, output=AZURE_OUTPUT, seed=seed)
        for seed in (1, 1, 2)
    ]

    assert np.array_equal(drawn[0].arrival_s, drawn[1].arrival_s)
    assert np.array_equal(drawn[0].prompt_tokens, drawn[1].prompt_tokens)
    assert not np.array_equal(drawn[0].arrival_s[:20], drawn[2].arrival_s[:20])


def test_traces_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    """The format of the Azure data set, with times from the first request on."""
    path = tmp_path / "trace.csv"
    header = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    path.write_text(header + "2023-11-16 18:17:04.0319600,4808,10\n2023-11-16 18:17:03.9799600,3180,8\n")

    workload = read_azure_trace(path)

    assert workload.arrival_s == pytest.approx([0.0, 0.052], abs=1e-6)
    assert workload.prompt_tokens.tolist() == [3180, 4808]
    for text in (
        "",
        "a,b\n",
        header,
        header + "now,1,2\n",
        header + "2023-11-16 18:17:04,1\n",
        header + "2023-11-16,x,1\n",
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=r"trace\.csv"):
            read_azure_trace(path)


def test_what_cannot_be_simulated_is_refused() -> None:
    """Edges that skip layers, units that lead nowhere, requests longer than any cache, windows that end too soon."""
    small = line(unit(0, 1, cache_tokens=20))
    with pytest.raises(InputError, match="the longest request"):
        simulate(small, requests([0.0], prompt=20, output=1), warm_s=0.0, end_s=1.0)
    with pytest.raises(InputError, match="warm_s < end_s"):
        simulate(small, requests([0.0], prompt=2, output=1), warm_s=1.0, end_s=1.0)
    with pytest.raises(ProblemError, match="goes on at layer 1"):
        PipelinePlan(layers=3, units=(unit(0, 1), unit(2, 3)), edges=(edge(ENDS, 0), edge(0, 1), edge(1, ENDS)))
    with pytest.raises(ProblemError, match="edges to and from"):
        PipelinePlan(layers=1, units=(unit(0, 1), unit(0, 1)), edges=(edge(ENDS, 0), edge(0, ENDS), edge(ENDS, 1)))
    with pytest.raises(InputError, match="ascending"):
        requests([1.0, 0.0], prompt=1, output=1)
    with pytest.raises(InputError, match="at least 1 each"):
        requests([1.0], prompt=0, output=1)
    with pytest.raises(InputError, match="lengths"):
        Lengths(mean=900.0, sigma=1.0, longest=1000)
