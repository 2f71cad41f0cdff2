"""Annealing over the copies of all layers at once: what to hold where, at given shares, under caps on the loads."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from coinfer.errors import BackendMissing
from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.assignment.replicas.anneal_steps import MODULUS, anneal_steps
from coinfer.solver.assignment.replicas.program import SlotProgram
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop

Kernel = Literal["auto", "numpy", "compiled"]
BATCH = {True: 200_000, False: 2_000}
"""Steps between two looks at the clock, compiled and not."""


@dataclass(eq=False)
class Copies:
    """The copies of a slot program as slots, with the loads and costs that follow; changed in place by the steps.

    Attributes
    ----------
    item, share
        (layers, slots).
    held, part_load, pull
        As in :func:`coinfer.solver.assignment.replicas.anneal_steps.anneal_steps`.
    """

    program: SlotProgram
    part_of: IntArray
    item: IntArray
    share: FloatArray
    held: BoolArray
    part_load: FloatArray
    pull: FloatArray

    @classmethod
    def of(cls, program: SlotProgram, held: BoolArray, shares: FloatArray) -> Copies:
        """Return the copies with everything that follows from them."""
        part_of = np.repeat(np.arange(program.parts), program.slots)
        item = np.full((program.layers, len(part_of)), -1, dtype=np.int64)
        first = np.cumsum(program.slots) - program.slots
        layer, part, what = np.nonzero(held.transpose(0, 2, 1))
        filled = held.sum(axis=1).ravel()
        place = np.arange(len(what)) - np.repeat(np.cumsum(filled) - filled, filled)
        item[layer, first[part] + place] = what
        share = np.zeros(item.shape)
        share[layer, first[part] + place] = shares[layer, what, part]
        return cls(
            program=program,
            part_of=part_of,
            item=item,
            share=share,
            held=held.copy(),
            part_load=np.einsum("le,leg->lg", program.loads, shares),
            pull=np.ascontiguousarray(pulls(program, shares).transpose(0, 2, 1)),
        )

    def shares(self) -> FloatArray:
        """Return the shares, (layers, items, parts)."""
        shares = np.zeros(self.held.shape)
        layer, slot = np.nonzero(self.item >= 0)
        shares[layer, self.item[layer, slot], self.part_of[slot]] = self.share[layer, slot]
        return shares


def pulls(program: SlotProgram, shares: FloatArray) -> FloatArray:
    """Return what all tokens of an item would cost in each part, given the layers beside it: (layers, items, parts)."""
    pull = np.zeros(shares.shape)
    for layer, flow in enumerate(program.weights):
        pull[layer + 1] += (flow.T @ shares[layer]) @ program.distance
        pull[layer] += flow @ (shares[layer + 1] @ program.distance)
    return pull


def steps_of(kernel: Kernel) -> tuple[Callable[..., tuple[int, int]], bool]:
    """Return the steps and whether they are compiled.

    Raises
    ------
    BackendMissing
        If ``compiled`` is asked for and numba is not installed.
    """
    if kernel == "numpy" or (kernel == "auto" and find_spec("numba") is None):
        return anneal_steps, False
    try:
        module: Any = importlib.import_module("coinfer.solver.assignment.replicas.anneal_compiled")
    except ImportError as error:
        raise BackendMissing("the compiled annealing needs numba: pip install 'coinfer[fast]'") from error
    return module.anneal_steps, True


def anneal(
    copies: Copies,
    caps: FloatArray,
    *,
    end_s: float,
    steps: int | None = None,
    seed: int = 0,
    hot: float | None = None,
    stop: Stop | None = None,
    kernel: Kernel = "auto",
) -> int:
    """Exchange copies while the temperature falls; changes ``copies`` and returns the steps that were tried.

    Parameters
    ----------
    caps
        (layers,): most load of a part; the price of a unit above it rises as the temperature falls.
    end_s
        Time at which it ends, as :func:`time.perf_counter` counts.
    steps
        Steps after which it ends; ``None``: as many as the time allows. With a number the result is repeatable.
    hot
        First temperature; ``None``: a quarter of the typical cost of an item.
    """
    program = copies.program
    run, compiled = steps_of(kernel)
    batch, state, tried = BATCH[compiled], 1 + (seed * 7919 + 12345) % (MODULUS - 2), 0
    backward = np.ascontiguousarray(program.weights.transpose(0, 2, 1))
    barred = _barred(program)
    holding = np.zeros(copies.held.shape) if program.cost is None else program.cost
    typical = float(program.weights.sum()) / max(1, program.layers * program.items)
    hot = typical / 4.0 if hot is None else hot
    cold, began, temperature = typical / 300.0, time.perf_counter(), hot
    dearest = 2.0 * copies.pull.max(axis=(1, 2)) / np.maximum(program.loads.mean(axis=1), 1e-300)
    while not stop:
        span = max(end_s - began, 1e-9)
        done = (time.perf_counter() - began) / span if steps is None else tried / max(steps, 1)
        if done >= 1.0 or time.perf_counter() >= end_s:
            break
        temperature = hot * (cold / hot) ** min(1.0, done * 1.05) if hot > cold else hot
        left = batch if steps is None else min(batch, steps - tried)
        price = dearest * (0.05 + 0.95 * min(1.0, done * 1.1))
        _, state = run(
            program.weights, backward, program.distance, barred, holding, program.loads, caps, price,
            copies.part_of, copies.item, copies.share, copies.held, copies.part_load, copies.pull,
            temperature, temperature, left, state,
        )  # fmt: skip
        tried += left
    return tried


def _barred(program: SlotProgram) -> BoolArray:
    """Return where no copy may come, (layers, items, parts)."""
    shape = (program.layers, program.items, program.parts)
    barred = np.zeros(shape, dtype=bool) if program.allowed is None else ~program.allowed
    if program.required is not None:
        # A copy that must stay is never taken away: its item may not come anywhere else by an exchange.
        barred = barred | program.required.any(axis=2, keepdims=True)
    return barred
