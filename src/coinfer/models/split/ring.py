r"""Rings: devices compute windows of layers in turn, round after round, and read weights ahead from the disk.

HALDA of prima.cpp (arXiv 2504.08791, appendix A.3) as distilp 0.1 states it. In each of :math:`k` rounds device
:math:`i` computes :math:`w_i` layers, :math:`n_i` of them on its graphics processor, :math:`\sum_i w_i = L / k`:

.. math:: \min\ (k - 1)\, C + \sum_i D_i(w_i, n_i) + \kappa, \qquad C \ge B_i + \max(0, F_i - (C - B_i))

with :math:`D_i = B_i` the busy time (computing, and loading what overflows the memory), :math:`F_i` the time of reading
the next window. The stall can be eliminated, :math:`C = \max_i (B_i + F_i / 2)`, and the best :math:`n_i` for a
:math:`w_i` lowers :math:`D_i` and :math:`B_i` alike, so that each :math:`k` is an allocation by a sum and a maximum,
solved exactly. distilp gives every device at least one layer; here a device may also be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.allocation import allocate
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RingDevice:
    """One device of a ring.

    Attributes
    ----------
    name
        Its name.
    layer_s, gpu_gain_s
        Seconds of a layer on the processor, and what the graphics processor adds to that (negative where it is faster).
    round_s
        Seconds of each round whatever the layers: messages and copies.
    fetch_s
        Seconds of reading a layer from the disk.
    spill_s
        Seconds of each layer for which memory is missing: shared memory, memory of the processor, of the graphics card.
    room
        Layers for which there is memory, in the same order; not whole numbers; infinite where there is no such limit.
    has_gpu
        Whether it has a graphics processor.
    """

    name: str
    layer_s: float
    gpu_gain_s: float
    round_s: float
    fetch_s: float
    spill_s: tuple[float, float, float]
    room: tuple[float, float, float]
    has_gpu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RingSplit:
    """The best ring.

    Attributes
    ----------
    rounds
        :math:`k`.
    layers, gpu_layers
        :math:`w, n` of each device in each round.
    value
        The objective, in seconds for a token.
    """

    rounds: int
    layers: tuple[int, ...]
    gpu_layers: tuple[int, ...]
    value: float


def solve_ring(
    devices: Sequence[RingDevice], layers: int, *, constant_s: float = 0.0, drop: bool = False
) -> RingSplit | None:
    r"""Return the best ring over all numbers of rounds that divide the layers, one layer a round aside.

    Parameters
    ----------
    devices
        In the order of the ring.
    layers
        Layers of the model.
    constant_s
        :math:`\kappa`: time that nothing decides.
    drop
        Whether a device may be left out.

    Raises
    ------
    InputError
        Without devices or layers.
    """
    if not devices or layers < 1:
        raise InputError("ring", expected="at least one device and one layer", found=Plain(f"{len(devices)}, {layers}"))
    windows = [(k, layers // k) for k in range(1, max(2, layers)) if layers % k == 0]
    # No more layers can be missing than a window has, which matters only where not even buffers have room.
    cramped = any(room < 0.0 for device in devices for room in device.room)
    table = _Tables(devices, layers, most=layers)
    best: RingSplit | None = None
    for rounds, window in windows:
        if cramped:
            table = _Tables(devices, window, most=window)
        busy, cycle = table.of(window, drop=drop)
        found = allocate(busy, cycle, window, factor=float(rounds - 1))
        if found is not None and (best is None or found.value + constant_s < best.value):
            gpu = tuple(int(table.gpu[i, w]) for i, w in enumerate(found.amounts))
            best = RingSplit(rounds=rounds, layers=found.amounts, gpu_layers=gpu, value=found.value + constant_s)
    return best


class _Tables:
    """Busy and cycle time of each device for every number of layers, with the best share of its graphics processor."""

    def __init__(self, devices: Sequence[RingDevice], layers: int, *, most: int) -> None:
        amount = np.arange(layers + 1)
        column = np.array([_column(device) for device in devices])[:, :, None]
        layer_s, gain_s, round_s, fetch_s, shared_s, main_s, card_s, shared, main, card, has_gpu = column.swapaxes(0, 1)
        missing_shared = np.maximum(0.0, np.ceil(amount - shared))
        missing_card = np.maximum(0.0, np.ceil(amount - card))
        card_cost = gain_s * amount + card_s * missing_card
        card_cost[missing_card > most] = np.inf
        card_cost[(amount > 0) & (has_gpu == 0.0)] = np.inf
        self.gpu, least = _best_share(card_cost, main_s, main, most)
        busy = round_s + layer_s * amount + shared_s * missing_shared + least
        busy[missing_shared > most] = np.inf
        self.busy: FloatArray = busy
        self.cycle: FloatArray = busy + fetch_s * amount / 2.0

    def of(self, window: int, *, drop: bool) -> tuple[FloatArray, FloatArray]:
        """Return the tables up to ``window`` layers; none at all costs nothing where devices may be left out."""
        self.busy[:, 0] = self.cycle[:, 0] = 0.0 if drop else np.inf
        return self.busy[:, : window + 1], self.cycle[:, : window + 1]


def _best_share(card_cost: FloatArray, main_s: FloatArray, main: FloatArray, most: int) -> tuple[IntArray, FloatArray]:
    """Return the best layers on the card for every number of layers, and their cost, (devices, layers + 1) each."""
    amount = np.arange(card_cost.shape[1])
    if np.isinf(main).all():  # nothing is missing in main memory: the cheapest amount up to all layers
        least = np.minimum.accumulate(card_cost, axis=1)
        first = np.where(card_cost == least, amount, 0)
        return np.maximum.accumulate(first, axis=1), least
    # Layers on the card and in main memory trade against one another, so every pair (w, n) is tried.
    in_main = amount[:, None] - amount[None, :]
    missing = np.maximum(0.0, np.ceil(in_main - main[:, :, None]))
    pairs = card_cost[:, None, :] + main_s[:, :, None] * missing
    pairs[:, in_main < 0] = np.inf
    pairs[missing > most] = np.inf
    best = np.argmin(pairs, axis=2)
    return best, np.take_along_axis(pairs, best[:, :, None], axis=2)[:, :, 0]


def _column(device: RingDevice) -> tuple[float, ...]:
    return (
        device.layer_s,
        device.gpu_gain_s,
        device.round_s,
        device.fetch_s,
        *device.spill_s,
        *device.room,
        float(device.has_gpu),
    )
