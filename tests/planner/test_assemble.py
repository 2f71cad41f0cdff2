"""Assembling: what a profile knows goes into the problem, and what it does not know stays absent."""

from __future__ import annotations

import pytest

from coinfer.errors import ProfileError
from coinfer.models.selection.data import Budgets, Category
from coinfer.planner.assemble import Candidate, Workload, assemble
from coinfer.profiler.profile import DeviceFacts, Entry, Estimate, Profile, Quantity

WORKLOAD = Workload(categories=(Category(name="chat"), Category(name="code")), weights=(3.0, 1.0))


def entry(quantity: Quantity, value: float, *, category: str | None = "chat", width: float | None = 0.5) -> Entry:
    low, high = (None, None) if width is None else (value - width * value, value + width * value)
    estimate = Estimate(value=value, low=low, high=high, samples=9, basis="measured", source="measured")
    return Entry(device="box", model="m", engine="e", quantity=quantity, estimate=estimate, category=category)


def profile(*entries: Entry, busy_w: float | None = None) -> Profile:
    power = None if busy_w is None else Estimate(value=busy_w, samples=0, basis="declared", source="declared")
    facts = DeviceFacts(name="box", description="a box", memory_bytes=100, busy_power_w=power)
    return Profile(devices=(facts,), entries=entries)


CANDIDATE = Candidate(name="m", device="box")
QUALITY = {"m": {"chat": 0.5, "code": 0.25}}


def test_what_was_not_measured_stays_absent() -> None:
    """A category without a time has no latency, and a device without power gives no energy: never 0."""
    made = assemble(
        profile(entry("request_s", 2.0)),
        name="p",
        candidates=[CANDIDATE],
        workload=WORKLOAD,
        budgets=Budgets(),
        quality=QUALITY,
        expert_memory_bytes={"m": 7},
    )
    expert = made.experts[0]
    assert expert.latency_s == {"chat": 2.0}
    assert expert.energy_j is None
    assert expert.memory_bytes == 7
    assert made.quality.array.tolist() == [[0.5], [0.25]]


def test_the_pessimistic_stance_plans_on_the_bad_ends() -> None:
    """Pessimistic latency is the high end, pessimistic quality the low one."""
    made = assemble(
        profile(
            entry("request_s", 2.0),
            entry("quality", 0.5, width=0.2),
            entry("quality", 0.5, category="code", width=0.2),
            entry("memory_bytes", 8.0, category=None, width=None),
        ),
        name="p",
        candidates=[CANDIDATE],
        workload=WORKLOAD,
        budgets=Budgets(),
        stance="pessimistic",
    )
    assert made.experts[0].latency_s == {"chat": 3.0}
    assert made.quality.array.tolist() == [[0.4], [0.4]]


def test_energy_without_a_counter_is_declared_power_times_time() -> None:
    """The figure is marked as declared, so that every report can say so."""
    entries = [entry("request_s", 2.0, category=name) for name in ("chat", "code")]
    made = assemble(
        profile(*entries, busy_w=30.0),
        name="p",
        candidates=[CANDIDATE],
        workload=WORKLOAD,
        budgets=Budgets(energy_j=100.0),
        quality=QUALITY,
        expert_memory_bytes={"m": 7},
    )
    assert made.experts[0].energy_j == {"chat": 60.0, "code": 60.0}
    assert made.experts[0].energy_basis == "declared"


def test_measured_energy_wins_over_declared_power() -> None:
    """A counter's joules are used where there are some."""
    entries = [entry("request_s", 2.0, category=name) for name in ("chat", "code")]
    entries += [entry("request_energy_j", 5.0, category=name) for name in ("chat", "code")]
    made = assemble(
        profile(*entries, busy_w=30.0),
        name="p",
        candidates=[CANDIDATE],
        workload=WORKLOAD,
        budgets=Budgets(),
        quality=QUALITY,
        expert_memory_bytes={"m": 7},
    )
    assert made.experts[0].energy_j == {"chat": 5.0, "code": 5.0}
    assert made.experts[0].energy_basis == "measured"


def test_request_times_are_derived_from_rates_only_when_all_parts_are_known() -> None:
    """Tokens times seconds per token; an unknown prefill rate is not left out silently."""
    decode = entry("decode_s_per_token", 0.01, category=None)
    prefill = entry("prefill_s_per_token", 0.001, category=None)
    lengths = Workload(
        categories=WORKLOAD.categories,
        weights=WORKLOAD.weights,
        prompt_tokens={"chat": 100.0, "code": 100.0},
        output_tokens={"chat": 200.0, "code": 50.0},
    )

    def latency(*entries: Entry) -> dict[str, float]:
        made = assemble(
            profile(*entries),
            name="p",
            candidates=[CANDIDATE],
            workload=lengths,
            budgets=Budgets(),
            quality=QUALITY,
            expert_memory_bytes={"m": 7},
        )
        return made.experts[0].latency_s

    assert latency(decode, prefill) == {"chat": pytest.approx(2.1), "code": pytest.approx(0.6)}
    assert latency(decode) == {}


def test_unknown_quality_is_an_error() -> None:
    """Nobody can plan for quality without knowing any: the sentence names expert and category."""
    with pytest.raises(ProfileError, match="quality of m in chat"):
        assemble(
            profile(entry("request_s", 2.0)), name="p", candidates=[CANDIDATE], workload=WORKLOAD, budgets=Budgets()
        )
