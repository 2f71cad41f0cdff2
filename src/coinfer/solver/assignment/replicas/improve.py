"""Copies where they pay: fewer tokens that change part, under a cap on the loads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.assignment.program import BoolArray, imbalance
from coinfer.solver.assignment.replicas.anneal import Copies, Kernel, anneal
from coinfer.solver.assignment.replicas.layer import costs_onward, view_of
from coinfer.solver.assignment.replicas.layer_search import LayerLimits, search_layer
from coinfer.solver.assignment.replicas.pack import balanced_copies
from coinfer.solver.assignment.replicas.program import CLOSE, Dispatch, SlotProgram, dispatched, holding_cost
from coinfer.solver.assignment.replicas.relabel import relabel
from coinfer.solver.assignment.replicas.replicate import copy_counts
from coinfer.solver.assignment.replicas.split import even_split
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop

DEFAULT_TIME_S = 20.0
IDLE = 3
"""Last sweeps without a better find after which the search ends."""
ROUNDS = 4
"""Times that annealing at given shares and new copies and shares alternate; each begins cooler than the one before."""
STEPS_OF_A_NODE = 20_000
"""Annealing steps for which one node of ``limits.nodes`` stands: a limit on work, so that a run can be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplicaResult:
    """Copies and shares, and what they are worth.

    Attributes
    ----------
    held, shares
        (layers, items, parts).
    value
        Objective: expected separation plus the cost of holding the copies.
    imbalance
        (layers,): expected load of the heaviest part over the mean load.
    within_cap
        Whether the cap on the loads is kept.
    history
        Seconds and value of each improvement, oldest first.
    """

    held: BoolArray
    shares: FloatArray
    value: float
    imbalance: FloatArray
    within_cap: bool
    history: tuple[tuple[float, float], ...]


def place_replicas(
    program: SlotProgram,
    *,
    load_cap: float | None = None,
    over: Literal["worst_layer", "mean"] = "worst_layer",
    dispatch: Dispatch = "split",
    start: IntArray | None = None,
    limits: Limits | None = None,
    stop: Stop | None = None,
    on_value: Callable[[float], None] | None = None,
    kernel: Kernel = "auto",
) -> ReplicaResult:
    """Choose copies, parts and shares so that tokens rarely change part.

    Parameters
    ----------
    load_cap, over
        Most load of a part over the mean load, in every layer or in the mean over the layers; ``None``: no cap. A cap
        that no copies were found to keep is come near to as far as possible, and ``within_cap`` is False.
    start
        (layers, items): part of each item's first copy; ``None``: begin with the most even copies.
    limits
        ``time_s`` (20 s without); ``nodes``: batches of annealing steps, for a run that can be repeated.

    Raises
    ------
    InputError
        If ``start`` has another shape or does not fit into the slots.
    """
    limits, stop = limits or Limits(), Stop() if stop is None else stop
    began = time.perf_counter()
    end = began + (DEFAULT_TIME_S if limits.time_s is None else limits.time_s)
    even = balanced_copies(program)
    caps = _caps(program, imbalance(np.einsum("le,leg->lg", program.loads, even[1])), load_cap, over)
    best = _Best(program, dispatch, load_cap, over, began, on_value)
    best.offer(*even)
    held, shares = even if start is None else _with_copies(program, start)
    best.offer(held, shares)
    for turn in range(ROUNDS):
        now = time.perf_counter()
        if stop or now >= end:
            break
        copies = Copies.of(program, *relabel(program, held, shares))
        share_s = (end - now) * (0.7 / (ROUNDS - turn) if turn < ROUNDS - 1 else 0.6)
        steps = None if limits.nodes is None else limits.nodes * STEPS_OF_A_NODE // ROUNDS
        hot = _typical(program) * (0.25 if turn == 0 and start is None else 0.04) / (1 + turn)
        anneal(copies, caps, end_s=now + share_s, steps=steps, seed=limits.seed, hot=hot, stop=stop, kernel=kernel)
        held, shares = relabel(program, copies.held, copies.shares())
        best.offer(held, shares)
        held, shares = _sweep(program, held, shares, caps, dispatch, end, stop)
        if not best.offer(held, shares):
            held, shares = best.held.copy(), best.shares.copy()
        caps = caps * best.tighten()
    best.offer(*relabel(program, best.held, best.shares))
    idle = 0
    while not stop and time.perf_counter() < end and idle < IDLE:
        held, shares = _sweep(program, best.held, best.shares, caps, dispatch, end, stop)
        idle = 0 if best.offer(held, shares) else idle + 1
        caps = caps * best.tighten()
    return best.result()


@dataclass
class _Best:
    """The best copies so far: the cap comes first, then the value."""

    program: SlotProgram
    dispatch: Dispatch
    load_cap: float | None
    over: str
    began: float
    on_value: Callable[[float], None] | None

    def __post_init__(self) -> None:
        self.key = (math.inf, math.inf)
        self.history: list[tuple[float, float]] = []
        self.uneven = np.ones(self.program.layers)
        self.last = 0.0

    def offer(self, held: BoolArray, shares: FloatArray) -> bool:
        """Keep these copies if they are better, and say whether they are."""
        found = dispatched(self.program, held, shares, self.dispatch)
        value = float(found.separated.sum()) + holding_cost(self.program, held)
        excess = self.last = 0.0
        if self.load_cap is not None:
            uneven = found.imbalance
            reached = float(uneven.max() if self.over == "worst_layer" else uneven.mean())
            excess = self.last = max(0.0, reached - self.load_cap * (1.0 + CLOSE))
        if (excess, value) >= self.key:
            return False
        self.key, self.uneven = (excess, value), found.imbalance
        self.held, self.shares = held.copy(), shares.copy()
        if excess == 0.0:
            self.history.append((time.perf_counter() - self.began, value))
            if self.on_value is not None:
                self.on_value(value)
        return True

    def tighten(self) -> float:
        """Return by how much to tighten the caps, since the last copies that were offered went above them.

        Under ``local`` the tokens that arrive at a layer change with the layers before it; a sweep sees them as they
        are, but annealing does not. A mean over the layers can also be missed by the layers that keep no cap.
        """
        if self.load_cap is None or self.last == 0.0:
            return 1.0
        return max(0.98, 1.0 - 1.2 * self.last / self.load_cap)

    def result(self) -> ReplicaResult:
        """Return what was kept."""
        return ReplicaResult(
            held=self.held,
            shares=self.shares,
            value=self.key[1],
            imbalance=self.uneven,
            within_cap=self.key[0] == 0.0,
            history=tuple(self.history),
        )


def _typical(program: SlotProgram) -> float:
    """Return the mean weight of an item between two layers."""
    return float(program.weights.sum()) / max(1, program.layers * program.items)


def _caps(program: SlotProgram, least: FloatArray, load_cap: float | None, over: str) -> FloatArray:
    """Return the most load of a part in each layer, (layers,).

    A layer that is not known to keep the cap gets the least that it is known to keep. A cap on the mean is shared out
    so that all other layers have the same one.
    """
    mean = program.loads.sum(axis=1) / program.parts
    if load_cap is None:
        return np.full(program.layers, float(program.loads.sum()) + 1.0)
    level = load_cap
    if over == "mean":
        for _ in range(program.layers):
            tight = least > level
            if tight.all():
                break
            level = (load_cap * program.layers - least[tight].sum()) / (~tight).sum()
        level = max(level, 1.0)
    caps: FloatArray = np.maximum(np.maximum(level, least), 1.0) * mean
    return caps


def _with_copies(program: SlotProgram, start: IntArray) -> tuple[BoolArray, FloatArray]:
    """Return the assignment with copies of its heaviest items wherever slots are left, at even shares."""
    shape = (program.layers, program.items)
    if start.shape != shape or start.min() < 0 or start.max() >= program.parts:
        expected = f"{shape} numbers in 0..{program.parts - 1}"
        raise InputError("start", expected=expected, found=Plain(str(start.shape)))
    held = np.zeros((*shape, program.parts), dtype=bool)
    layer, item = np.indices(shape)
    held[layer, item, start] = True
    if (held.sum(axis=1) > program.slots).any():
        raise InputError("start", expected="an assignment that fits into the slots", found=Plain("another"))
    open_to = np.ones_like(held) if program.allowed is None else program.allowed
    if program.required is not None:
        held |= program.required
    counts = copy_counts(program.loads, program.extra, np.maximum(open_to.sum(axis=2), 1), held.sum(axis=2))
    for i in range(program.layers):
        load = program.loads[i] / counts[i] @ held[i]
        for e in np.argsort(-program.loads[i] / counts[i], kind="stable"):
            for _ in range(int(counts[i, e] - held[i, e].sum())):
                free = (held[i].sum(axis=0) < program.slots) & ~held[i, e] & open_to[i, e]
                if not free.any():
                    break
                g = int(np.argmin(np.where(free, load, np.inf)))
                held[i, e, g] = True
                load[g] += program.loads[i, e] / counts[i, e]
    return held, even_split(program.loads, held)


def _sweep(
    program: SlotProgram,
    held: BoolArray,
    shares: FloatArray,
    caps: FloatArray,
    dispatch: Dispatch,
    end_s: float,
    stop: Stop,
) -> tuple[BoolArray, FloatArray]:
    """Choose copies and shares anew, layer by layer from the first, each between its neighbours as they are."""
    held, shares = held.copy(), shares.copy()
    later = costs_onward(program, held, shares, dispatch)
    before: FloatArray | None = None
    for layer in range(program.layers):
        after = later[layer] if layer + 1 < program.layers else None
        view = view_of(program, layer, before, after, dispatch)
        limits = LayerLimits(
            cap=float(caps[layer]),
            slots=program.slots,
            extra=program.extra,
            allowed=None if program.allowed is None else program.allowed[layer],
            required=None if program.required is None else program.required[layer],
        )
        tries = 0 if stop or time.perf_counter() >= end_s else None
        held[layer], shares[layer] = search_layer(view, held[layer], shares[layer], limits, tries=tries)
        fraction, stay = view.fractions(held[layer])
        before = stay + fraction[:, None] * shares[layer] if dispatch == "local" else shares[layer]
    return held, shares
