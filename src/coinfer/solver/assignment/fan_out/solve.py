"""One call for little fan-out: search by co-used pairs, then by the sets themselves, and a bound."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

import numpy as np

from coinfer.errors import BackendMissing
from coinfer.solver.assignment.fan_out import steps as plain
from coinfer.solver.assignment.fan_out.bound import bound_fan_out
from coinfer.solver.assignment.fan_out.program import FanOutProgram, distinct_parts, fan_out_of, fan_out_violations
from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.assignment.replicas.pack import balanced_copies
from coinfer.solver.assignment.replicas.program import SlotProgram
from coinfer.solver.certificate.fan_out import ENUMERATED, FanOutProof, assignments, best_of_all, co_used
from coinfer.solver.limits import Limits
from coinfer.solver.program import IntArray
from coinfer.solver.progress import Stop

Kernel = Literal["auto", "numpy", "compiled"]
DEFAULT_TIME_S = 20.0
SEARCH_SHARE = 0.7
"""Share of the time for the search where a bound is wanted too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FanOutResult:
    """Assignment with little fan-out, and how little is possible.

    Attributes
    ----------
    part
        (layers, items); ``None`` where no layer assignment that keeps the limits was found.
    value
        Sum over all sets of the parts they touch, times how often they are used, plus the costs of places; ``inf``
        without an assignment.
    bound
        Proven lower bound on it.
    proof
        What ``certificate.fan_out`` re-derives the bound from; ``None`` where no bound was asked for.
    seconds
        Wall-clock seconds.
    """

    part: IntArray | None
    value: float
    bound: float
    proof: FanOutProof | None
    seconds: float


def solve_fan_out(
    program: FanOutProgram,
    *,
    start: IntArray | None = None,
    limits: Limits | None = None,
    stop: Stop | None = None,
    with_proof: bool = True,
    on_value: Callable[[float], None] | None = None,
    kernel: Kernel = "auto",
) -> FanOutResult:
    """Put the items of every layer into parts so that the sets touch few parts.

    Parameters
    ----------
    start
        (layers, items): where the search begins; ``None``: from even loads.
    limits
        ``time_s`` (20 s without), shared out equally among the layers; ``nodes``: thousands of steps for each layer,
        for a run that can be repeated.

    Raises
    ------
    BackendMissing
        If the compiled steps are asked for and numba is not installed.
    """
    limits, stop = limits or Limits(), Stop() if stop is None else stop
    began = time.perf_counter()
    total_s = DEFAULT_TIME_S if limits.time_s is None else limits.time_s
    part, found = _start(program, start), np.zeros(program.layers, dtype=bool)
    tiny = assignments(program.slots, program.items) <= ENUMERATED
    module = _steps(kernel)
    if not tiny:
        _Layer(program, 0, part[0], module).run(
            math.inf, Limits(nodes=0), Stop()
        )  # compiles, before time is shared out
    for layer in range(program.layers):
        if tiny:
            least = best_of_all(program, layer)[1]
            part[layer], found[layer] = (part[layer], False) if least is None else (least, True)
            continue
        now = time.perf_counter()
        left = began + total_s * (SEARCH_SHARE if with_proof else 1.0) - now
        search = _Layer(program, layer, part[layer], module)
        part[layer], found[layer] = search.run(now + max(0.0, left) / (program.layers - layer), limits, stop)
    keeps = bool(found.all()) and not fan_out_violations(program, part)
    value = math.inf
    if keeps:
        value = float(fan_out_of(program, part).sum()) + _placing(program, part)
        if on_value is not None:
            on_value(value)
    bound, proof = 0.0, None
    if with_proof:
        by_layer, proof = bound_fan_out(program, part if keeps else None, end_s=began + total_s, stop=stop)
        bound = float(by_layer.sum())
    return FanOutResult(
        part=part if keeps else None,
        value=value,
        bound=min(bound, value),
        proof=proof,
        seconds=time.perf_counter() - began,
    )


def _steps(kernel: Kernel) -> ModuleType:
    """Return the module whose steps are to be used."""
    if kernel == "numpy" or (kernel == "auto" and find_spec("numba") is None):
        return plain
    try:
        return importlib.import_module("coinfer.solver.assignment.fan_out.compiled")
    except ImportError as error:
        raise BackendMissing("the compiled fan-out steps need numba: pip install 'coinfer[fast]'") from error


def _placing(program: FanOutProgram, part: IntArray) -> float:
    """Return the sum of the costs of places."""
    if program.cost is None:
        return 0.0
    layer, item = np.indices(part.shape)
    return float(program.cost[layer, item, part].sum())


def _start(program: FanOutProgram, start: IntArray | None) -> IntArray:
    """Return a copy of ``start``, or the most even assignment; it keeps slots and permissions."""
    if start is not None:
        return start.astype(np.int64, copy=True)
    loads = np.zeros((program.layers, program.items)) if program.loads is None else program.loads
    if program.loads is None:
        np.add.at(loads, (program.layer[:, None], program.sets), program.count[:, None])
    even = SlotProgram(
        weights=np.zeros((program.layers - 1, program.items, program.items)),
        loads=loads,
        distance=1.0 - np.eye(program.parts),
        slots=program.slots,
        replicas=0,
        allowed=program.allowed,
    )
    part: IntArray = np.argmax(balanced_copies(even)[0], axis=2).astype(np.int64)
    return part


class _Layer:
    """The search in one layer."""

    def __init__(self, program: FanOutProgram, layer: int, part: IntArray, module: ModuleType) -> None:
        self.program, self.layer, self.module = program, layer, module
        items, parts = program.items, program.parts
        self.sets, self.count = program.rows(layer)
        self.used = co_used(self.sets, self.count, items)
        open_to: BoolArray | None = None if program.allowed is None else program.allowed[layer]
        self.barred = np.zeros((items, parts), dtype=bool) if open_to is None else ~open_to
        self.cost = np.zeros((items, parts)) if program.cost is None else program.cost[layer]
        self.loads = np.zeros(items) if program.loads is None else program.loads[layer]
        self.cap = float(self.loads.sum()) + 1.0
        if program.load_caps is not None:
            self.cap = float(program.load_caps[layer])
        self.part_of = np.repeat(np.arange(parts), program.slots)
        self.first = np.concatenate([[0], np.cumsum(np.bincount(self.sets.ravel(), minlength=items))]).astype(np.int64)
        self.member = (np.argsort(self.sets.ravel(), kind="stable") // max(1, program.size)).astype(np.int64)
        self.best, self.value = part, math.inf
        self.offer(part)

    def offer(self, part: IntArray) -> None:
        """Keep an assignment if it is the best within the cap."""
        load = np.bincount(part, weights=self.loads, minlength=self.program.parts)
        if load.max() > self.cap * (1.0 + 1e-9):
            return
        value = float(self.count @ distinct_parts(self.sets, part))
        value += float(self.cost[np.arange(len(part)), part].sum())
        if value < self.value:
            self.best, self.value = part.copy(), value

    def run(self, end_s: float, limits: Limits, stop: Stop) -> tuple[IntArray, bool]:
        """Search by pairs for a third of the time, then by sets; return the best, and whether it keeps the cap."""
        now = time.perf_counter()
        begun, seed = self.best.copy(), 1 + (limits.seed * 7919 + self.layer * 104729 + 12345) % (plain.MODULUS - 2)
        budget = None if limits.nodes is None else limits.nodes * 1000
        part, seed = self._by_pairs(begun, now + (end_s - now) / 3.0, budget, seed, stop)
        self.offer(part)
        self._by_sets(part, end_s, budget, seed, stop)
        return self.best, math.isfinite(self.value)

    def _slots(self, part: IntArray) -> IntArray:
        """Return the item in each slot, -1 for none."""
        item = np.full(len(self.part_of), -1, dtype=np.int64)
        for g in range(self.program.parts):
            mine = np.flatnonzero(part == g)
            item[np.flatnonzero(self.part_of == g)[: len(mine)]] = mine
        return item

    def _by_pairs(
        self, part: IntArray, end_s: float, budget: int | None, seed: int, stop: Stop
    ) -> tuple[IntArray, int]:
        item, typical = self._slots(part), float(self.used.sum()) / max(1, self.program.items)
        load = np.bincount(part, weights=self.loads, minlength=self.program.parts)
        near = np.stack([self.used[part == g].sum(axis=0) for g in range(self.program.parts)])
        mean = max(float(self.loads.mean()), 1e-300)
        batch, begun, tried = 20_000 if self.module is not plain else 1_000, time.perf_counter(), 0
        while not stop:
            now = time.perf_counter()
            done = (now - begun) / max(end_s - begun, 1e-9) if budget is None else tried / max(1, budget)
            if (done >= 1.0 or now >= end_s) and (tried or budget is not None):
                break
            hot = typical * 0.05 * 0.005 ** min(1.0, done * 1.1)
            price = 2.0 * typical / mean * (0.05 + min(1.0, done * 1.2))
            _, seed = self.module.pair_steps(
                self.used, self.barred, self.cost, self.loads, self.cap, price, self.part_of, item, load, near,
                hot, hot, batch, seed,
            )  # fmt: skip
            tried += batch
        return _parts_of(item, self.part_of, part), seed

    def _by_sets(self, part: IntArray, end_s: float, budget: int | None, seed: int, stop: Stop) -> None:
        item, part = self._slots(part), part.copy()
        load = np.bincount(part, weights=self.loads, minlength=self.program.parts)
        inside = np.stack([(part[self.sets] == g).sum(axis=1) for g in range(self.program.parts)], axis=1)
        typical = float(self.count.sum()) * self.program.size / max(1, self.program.items)
        price = 4.0 * typical / max(float(self.loads.mean()), 1e-300)
        batch, begun, tried = 200 if self.module is not plain else 20, time.perf_counter(), 0
        while not stop:
            now = time.perf_counter()
            done = (now - begun) / max(end_s - begun, 1e-9) if budget is None else tried / max(1, budget // 50)
            if (done >= 1.0 or now >= end_s) and (tried or budget is not None):
                break
            heat = typical * 0.004 * max(0.0, 1.0 - done * 1.3)
            taken, seed = self.module.set_steps(
                self.sets, self.count, self.first, self.member, self.barred, self.cost, self.loads, self.cap, price,
                self.part_of, item, part, load, inside, heat, batch, seed,
            )  # fmt: skip
            tried += batch
            if taken:
                self.offer(part)


def _parts_of(item: IntArray, part_of: IntArray, like: IntArray) -> IntArray:
    """Return the part of each item."""
    part = np.empty_like(like)
    part[item[item >= 0]] = part_of[item >= 0]
    return part
