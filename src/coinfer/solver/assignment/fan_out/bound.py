"""Multipliers for the fan-out bound: a subgradient method on the spectral bound of the co-located pairs."""

from __future__ import annotations

import time

import numpy as np

from coinfer.records import Matrix
from coinfer.solver.assignment.fan_out.program import FanOutProgram
from coinfer.solver.certificate.fan_out import (
    ENUMERATED,
    FanOutProof,
    assignments,
    check_fan_out,
    co_used,
    spectral_most,
)
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop

STEPS = 300
"""Most subgradient steps of a layer."""


def bound_fan_out(
    program: FanOutProgram, part: IntArray | None, *, end_s: float, stop: Stop, with_entries: bool = True
) -> tuple[FloatArray, FanOutProof]:
    """Return a proven lower bound of each layer's fan-out, (layers,), and what shows it.

    Parameters
    ----------
    part
        (layers, items): a good assignment; the steps aim at the pairs that it has in one part. ``None``: none known.
    end_s
        Time at which the steps end, as :func:`time.perf_counter` counts; every layer gets an equal share.
    with_entries
        Whether the multipliers of the entries are sought, which are large: (layers * items, items).
    """
    items, layers = program.items, program.layers
    if assignments(program.slots, items) <= ENUMERATED:
        proof = FanOutProof(enumerated=tuple(range(layers)))
        return check_fan_out(program, proof), proof
    diagonal, entries = np.zeros((layers, items)), np.zeros((layers, items, items))
    for layer in range(layers):
        now = time.perf_counter()
        until = now + max(0.0, end_s - now) / (layers - layer)
        used = co_used(*program.rows(layer), items)
        target = 0.0
        if part is not None:
            target = float(used[part[layer][:, None] == part[layer][None, :]].sum())
        diagonal[layer], entries[layer] = _multipliers(program, used, target, until, stop, with_entries)
    proof = FanOutProof(diagonal=Matrix(diagonal), entries=Matrix(entries.reshape(-1, items)) if with_entries else None)
    return check_fan_out(program, proof), proof


def _multipliers(
    program: FanOutProgram, used: FloatArray, target: float, until: float, stop: Stop, with_entries: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the multipliers with the least bound found: Polyak steps toward ``target``, which no bound is below."""
    items = len(used)
    scale = max(float(used.sum()) / max(items, 1), 1e-300)
    diagonal, entries = np.zeros(items), np.zeros((items, items))
    best = (np.inf, diagonal, entries)
    length, since = 1.0, 0
    slow_diagonal, slow_entries = np.zeros(items), np.zeros((items, items))
    for _ in range(STEPS):
        value, attained = spectral_most(used, program.slots, diagonal, entries)
        if value < best[0]:
            since = 0 if value < best[0] - 1e-4 * scale else since + 1
            best = (value, diagonal, entries)
        else:
            since += 1
        if since >= 10:
            length, since = length / 2.0, 0
        if stop or time.perf_counter() >= until or length < 1e-3:
            break
        away = np.diagonal(attained) - 1.0
        below = attained - np.diag(np.diagonal(attained)) if with_entries else np.zeros_like(attained)
        below = np.where((entries > 0.0) | (below < 0.0), below, 0.0)
        slow_diagonal, slow_entries = 0.6 * slow_diagonal + away, 0.6 * slow_entries + below
        norm = float(slow_diagonal @ slow_diagonal + np.sum(slow_entries**2))
        if norm <= 1e-18:
            break
        step = length * max(value - target, 1e-9 * scale) / norm
        diagonal = diagonal - step * slow_diagonal
        entries = np.maximum(0.0, entries - step * slow_entries)
    return best[1], best[2]
