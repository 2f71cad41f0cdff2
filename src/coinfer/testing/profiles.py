"""Hypothesis strategies of measurements, estimates and profiles."""

from __future__ import annotations

from typing import Literal, get_args

from hypothesis import strategies as st

from coinfer.profiler.measurement import EnergySource, Measurement, Phase
from coinfer.profiler.profile import DeviceFacts, Entry, Estimate, Profile, Quantity

_COUNTERS: tuple[EnergySource, ...] = ("rapl", "nvml", "jetson")
_BASES: tuple[Literal["measured", "published", "declared", "derived"], ...] = (
    "measured",
    "published",
    "declared",
    "derived",
)

_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_few_names = st.sampled_from(["a", "b", "ü"])
_amounts = st.floats(1e-6, 1e6)
_counts = st.integers(0, 10_000)


@st.composite
def measurements(draw: st.DrawFn, *, same_key: bool = False) -> Measurement:
    """Draw a valid measurement: every phase, every field present or absent.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    same_key
        Draw device, model and the like from a few values, so that rows of one list share their keys.
    """
    names = _few_names if same_key else _names
    phase: Phase = draw(st.sampled_from(get_args(Phase)))
    energy_j = draw(st.none() | st.just(0.0) | _amounts)
    published = draw(st.booleans())
    counters = ("published",) if published else (*_COUNTERS, "declared")
    return Measurement(
        device=draw(names),
        model=draw(names),
        engine=draw(names),
        phase=phase,
        seconds=draw(_amounts),
        source=f"page {draw(names)}" if published else "measured",
        batch=draw(st.integers(1, 3)),
        quantisation=draw(st.none() | names),
        power_mode=draw(st.none() | names),
        category=draw(st.none() | names) if phase == "request" else None,
        context_tokens=draw(st.none() | _counts),
        prompt_tokens=draw(st.none() | _counts),
        output_tokens=draw(st.none() | _counts),
        energy_j=energy_j,
        energy_source=None if energy_j is None else draw(st.sampled_from(counters)),
        memory_bytes=draw(st.none() | st.integers(0, 2**40)),
        correct=draw(st.none() | st.floats(0.0, 1.0)),
        prompt=draw(st.none() | names) if phase == "request" else None,
    )


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    """Draw a valid estimate, with an interval around its value or without one."""
    value = draw(st.floats(0.0, 1e6))
    interval = draw(st.none() | st.tuples(st.floats(0.0, 1e3), st.floats(0.0, 1e3)))
    return Estimate(
        value=value,
        low=None if interval is None else max(0.0, value - interval[0]),
        high=None if interval is None else value + interval[1],
        samples=draw(st.integers(0, 1000)),
        basis=draw(st.sampled_from(_BASES)),
        source=draw(_names),
    )


@st.composite
def profiles(draw: st.DrawFn, *, max_entries: int = 5) -> Profile:
    """Draw a valid profile; its entries may speak of devices that it does not describe.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_entries
        Most entries.
    """
    devices = draw(st.lists(_names, unique=True, max_size=3))
    return Profile(
        devices=tuple(
            DeviceFacts(
                name=name,
                description=draw(_names),
                memory_bytes=draw(st.none() | st.integers(0, 2**40)),
                idle_power_w=draw(st.none() | estimates()),
                busy_power_w=draw(st.none() | estimates()),
                energy_counter=draw(st.none() | _names),
            )
            for name in devices
        ),
        entries=tuple(draw(st.lists(_entries(), max_size=max_entries))),
    )


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    return Entry(
        device=draw(_few_names),
        model=draw(_few_names),
        engine=draw(_names),
        quantity=draw(st.sampled_from(get_args(Quantity))),
        estimate=draw(estimates()),
        quantisation=draw(st.none() | _names),
        power_mode=draw(st.none() | _names),
        category=draw(st.none() | _few_names),
        batch=draw(st.integers(1, 3)),
    )
