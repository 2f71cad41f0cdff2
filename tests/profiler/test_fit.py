"""A fitted profile says what the rows say, and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import CoinferError, ProfileError
from coinfer.profiler.fit import fit
from coinfer.profiler.measurement import Measurement
from coinfer.profiler.profile import FORMAT, DeviceFacts, Estimate, Profile, Quantity, read_profile
from coinfer.testing.profiles import measurements, profiles


def _row(**fields: object) -> Measurement:
    given_fields = {
        "device": "d",
        "model": "m",
        "engine": "e",
        "phase": "request",
        "seconds": 1.0,
        "source": "measured",
    }
    return Measurement(**(given_fields | fields))  # type: ignore[arg-type]


def _find(rows: list[Measurement], quantity: Quantity, category: str | None = None) -> Estimate | None:
    return fit(rows, devices=()).find(device="d", model="m", quantity=quantity, category=category)


@given(rows=st.lists(measurements(same_key=True), max_size=12), seed=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Measurement], seed: random.Random) -> None:
    """Any order of the same rows gives the same profile, bit for bit."""
    shuffled = list(rows)
    seed.shuffle(shuffled)

    assert fit(rows, devices=()) == fit(iter(shuffled), devices=())


@given(rows=st.lists(measurements(same_key=True), max_size=12))
def test_no_entry_without_a_row_that_tells_it(rows: list[Measurement]) -> None:
    """Every entry has a row of its key, has no more samples than that, and is in no way better than its rows."""
    for entry in fit(rows, devices=()).entries:
        key = (entry.device, entry.model, entry.engine, entry.quantisation, entry.power_mode, entry.batch)
        told = [
            row
            for row in rows
            if (row.device, row.model, row.engine, row.quantisation, row.power_mode, row.batch) == key
            and (row.phase == "request" or not entry.quantity.startswith("request"))
            and (row.energy_j is not None or entry.quantity not in ("request_energy_j", "power_w"))
            and (row.correct is not None or entry.quantity != "quality")
            and (row.memory_bytes is not None or entry.quantity != "memory_bytes")
        ]
        assert 1 <= entry.estimate.samples <= len(told)
        assert entry.estimate.basis != "measured" or any(row.source == "measured" for row in told)
        assert entry.estimate.samples > 1 or entry.estimate.low is None


@given(profile=profiles())
def test_profiles_survive_their_file(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A profile that was written is read back equal."""
    path = tmp_path_factory.mktemp("profile") / "profile.json"
    jsonfile.write(path, profile)

    assert read_profile(path) == profile
    assert jsonfile.read(path, Profile, format_name=FORMAT) == profile


@given(seconds=st.lists(st.floats(5e-324, 1.7e308), min_size=1, max_size=4), energy=st.floats(0.0, 1.7e308))
def test_extreme_rows_end_in_a_profile_or_a_sentence(seconds: list[float], energy: float) -> None:
    """Sums beyond the largest number are an error of ours, never infinity and never a traceback."""
    rows = [_row(seconds=s, energy_j=energy, energy_source="published", source="page") for s in seconds]
    try:
        fit(rows, devices=())
    except CoinferError as error:
        assert "expected" in str(error)


def test_a_sum_too_large_is_named() -> None:
    """The sentence names quantity, model and device."""
    with pytest.raises(ProfileError, match="request_s of m on d: expected"):
        fit([_row(seconds=1.7e308), _row(seconds=1.7e308)], devices=())


def test_known_rows_give_the_numbers_worked_out_by_hand() -> None:
    """Means, rates, memory and shares of a small table are those of pen and paper."""
    rows = [
        _row(category="qa", seconds=1.0, prompt_tokens=10, output_tokens=4, correct=1.0, prompt="p"),
        _row(category="qa", seconds=3.0, prompt_tokens=20, output_tokens=6, correct=0.0, prompt="q"),
        _row(phase="prefill", seconds=0.2, prompt_tokens=100),
        _row(phase="prefill", seconds=0.4, prompt_tokens=300, memory_bytes=70),
        _row(phase="decode", seconds=2.0, output_tokens=50, memory_bytes=90),
    ]
    expected = {"request_s": 2.0, "prompt_tokens": 15.0, "output_tokens": 5.0, "quality": 0.5}
    for quantity, value in expected.items():
        estimate = _find(rows, quantity, "qa")  # type: ignore[arg-type]
        assert estimate is not None
        assert (estimate.value, estimate.samples, estimate.basis) == (value, 2, "measured")
    request_s = _find(rows, "request_s", "qa")
    assert request_s is not None
    assert (request_s.low, request_s.high) == pytest.approx((0.0, 2.0 + 12.7062047))  # t(1, 0.975) * sqrt(2) / sqrt(2)
    assert getattr(_find(rows, "prefill_s_per_token"), "value", None) == pytest.approx(0.6 / 400)
    assert getattr(_find(rows, "decode_s_per_token"), "value", None) == pytest.approx(0.04)
    assert getattr(_find(rows, "memory_bytes"), "value", None) == 90.0
    for absent in ("request_energy_j", "request_p95_s", "power_w", "request_overhead_s"):
        assert _find(rows, absent, "qa") is None  # type: ignore[arg-type]


def test_a_single_sample_has_no_interval() -> None:
    """One row gives its value and neither end of an interval, for every quantity."""
    row = _row(energy_j=2.0, energy_source="rapl", correct=1.0, prompt_tokens=3, output_tokens=4, memory_bytes=5)
    entries = fit([row], devices=()).entries

    assert {entry.quantity for entry in entries} == {
        "request_s",
        "request_energy_j",
        "quality",
        "prompt_tokens",
        "output_tokens",
        "memory_bytes",
    }
    assert all(entry.estimate.low is entry.estimate.high is None for entry in entries)


def test_energy_comes_from_rows_with_energy_alone() -> None:
    """Rows without a counter neither lower the mean energy nor count as its samples; the counter is named."""
    rows = [_row(energy_j=6.0, energy_source="rapl"), _row(energy_j=8.0, energy_source="rapl"), _row()]
    energy = _find(rows, "request_energy_j")

    assert energy is not None
    assert (energy.value, energy.samples, energy.source) == (7.0, 2, "measured by rapl")


def test_declared_energy_is_never_called_measured() -> None:
    """Energy worked out from a declared power keeps its basis, and gives way to a counter's."""
    declared = _row(energy_j=6.0, energy_source="declared")
    assert getattr(_find([declared], "request_energy_j"), "basis", None) == "declared"

    both = _find([declared, _row(energy_j=2.0, energy_source="nvml")], "request_energy_j")
    assert both is not None
    assert (both.value, both.basis, both.samples) == (2.0, "measured", 1)


def test_published_rows_stay_published_and_give_way_to_measured_ones() -> None:
    """A published figure keeps its source; beside rows measured here it is left out of the same key."""
    page = _row(phase="decode", output_tokens=1, source="page 1", energy_j=20.0, energy_source="published")
    published = _find([page], "decode_s_per_token")
    assert published is not None
    assert (published.basis, published.source) == ("published", "page 1")
    power = _find([page], "power_w")
    assert power is not None
    assert (power.value, power.basis) == (20.0, "published")
    other = _row(phase="decode", output_tokens=1, source="page 2")
    assert getattr(_find([page, other], "decode_s_per_token"), "source", None) == "2 sources"

    measured = _find([page, _row(phase="decode", output_tokens=1, seconds=5.0)], "decode_s_per_token")
    assert measured is not None
    assert (measured.value, measured.basis, measured.samples) == (5.0, "measured", 1)


def test_engine_format_and_mode_are_kept_apart() -> None:
    """Rows that differ in engine, number format, power mode or batch are never averaged."""
    rows = [_row(), _row(engine="f"), _row(quantisation="Q4_0"), _row(power_mode="25W"), _row(batch=2)]

    assert [e.estimate.samples for e in fit(rows, devices=()).entries if e.quantity == "request_s"] == [1] * 5


def test_the_rate_of_a_batch_is_what_one_sequence_waits() -> None:
    """A batch of 8 that writes 8 tokens in 0.1 s makes each sequence wait 0.1 s for its token, not 0.0125 s."""
    profile = fit([_row(phase="decode", batch=8, output_tokens=8, seconds=0.1)], devices=())

    assert profile.entries[0].estimate.value == pytest.approx(0.1)


def test_repeated_prompts_do_not_sharpen_intervals() -> None:
    """Asking every prompt four times leaves the interval of the mean as it was, and the tail without one."""
    once = [_row(prompt=str(i), seconds=1.0 + i / 100) for i in range(80)]
    single, repeated = _find(once, "request_s"), _find(once * 4, "request_s")
    assert single is not None
    assert repeated is not None
    assert (single.low, single.high, repeated.samples) == (repeated.low, repeated.high, 320)

    tail, repeated_tail = _find(once, "request_p95_s"), _find(once * 4, "request_p95_s")
    assert tail is not None
    assert repeated_tail is not None
    assert tail.low is not None
    assert repeated_tail.low is None


def test_devices_are_taken_over() -> None:
    """The facts of devices stand in the profile as they were given, and none is made up."""
    facts = (DeviceFacts(name="d", description="a board"),)

    assert fit([_row(device="other")], devices=facts).devices == facts
