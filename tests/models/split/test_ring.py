"""Rings of devices: the exact solver against distilp's program."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.split.ring import RingDevice, solve_ring
from coinfer.testing.ring import solve_ring_by_milp


def _devices(seed: int, count: int, *, cramped: bool = False) -> list[RingDevice]:
    rng = np.random.default_rng(seed)
    devices = []
    for i in range(count):
        room = rng.uniform(-1.0 if cramped else 0.0, 8.0, size=3)
        room[rng.random(3) < 0.3] = math.inf
        has_gpu = bool(rng.random() < 0.7)
        if not has_gpu:
            room[2] = math.inf
        devices.append(
            RingDevice(
                name=f"d{i}",
                layer_s=float(rng.uniform(0.05, 2.0)),
                gpu_gain_s=float(rng.uniform(-0.04, 0.1)),
                round_s=float(rng.uniform(0.0, 0.5)),
                fetch_s=float(rng.uniform(0.0, 1.0)),
                spill_s=(float(rng.uniform(0, 1)), float(rng.uniform(0, 1)), float(rng.uniform(0, 1))),
                room=(float(room[0]), float(room[1]), float(room[2])),
                has_gpu=has_gpu,
            )
        )
    return devices


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([4, 6, 12]), st.booleans(), st.booleans())
def test_no_ring_costs_less(seed: int, count: int, layers: int, drop: bool, cramped: bool) -> None:
    """The value is that of distilp's integer program, with and without devices left out, even without room."""
    devices = _devices(seed, count, cramped=cramped)
    found = solve_ring(devices, layers, constant_s=0.25, drop=drop)
    peer = solve_ring_by_milp(devices, layers, constant_s=0.25, drop=drop, gap=0.0)
    assert (found is None) == (peer is None)
    if found is not None and peer is not None:
        assert math.isclose(found.value, peer.value, rel_tol=1e-6, abs_tol=1e-6)
        assert sum(found.layers) * found.rounds == layers


def test_leaving_devices_out_never_costs_more() -> None:
    """A device of dead weight is left out, and the ring is then as fast as without it."""
    devices = _devices(7, 2)
    slow = RingDevice(
        name="slow",
        layer_s=50.0,
        gpu_gain_s=0.0,
        round_s=5.0,
        fetch_s=0.0,
        spill_s=(0.0, 0.0, 0.0),
        room=(math.inf, math.inf, math.inf),
        has_gpu=False,
    )
    alone = solve_ring(devices, 12)
    kept = solve_ring([*devices, slow], 12)
    free = solve_ring([*devices, slow], 12, drop=True)
    assert alone is not None
    assert kept is not None
    assert free is not None
    assert free.layers[-1] == 0
    assert free.value <= alone.value < 0.2 * kept.value


def test_a_ring_of_nothing_is_refused() -> None:
    """Without devices there is no ring."""
    with pytest.raises(InputError, match="at least one device"):
        solve_ring([], 4)
