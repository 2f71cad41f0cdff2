"""The fan-out program: items of a layer in parts, so that sets of items used together touch few parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.assignment.program import BoolArray, part_loads
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FanOutProgram:
    r"""Assign every item of every layer to one part; the layers do not touch each other.

    .. math:: \min_p \sum_r n_r\, |\{p(l_r, e) : e \in K_r\}| + \sum_{l,e} c_{l,e,p(l,e)}
        \quad\text{s.t. } |\{e : p(l,e)=g\}| \le s_g,\ \sum_{e:p(l,e)=g} a_{l,e} \le A_l

    Attributes
    ----------
    layers, items
        Layers, and items of one layer.
    layer, count, sets
        (sets,), (sets,) and (sets, k): layer of each set, how often it is used, and its k distinct items.
    slots
        (parts,): most items of a layer in a part.
    loads, load_caps
        (layers, items) and (layers,): load of items, and most load of a part; ``None``: no cap.
    allowed
        (layers, items, parts): False where an item must not be; ``None``: everywhere allowed.
    cost
        (layers, items, parts): cost of a place, at least 0; ``None``: all 0.
    """

    layers: int
    items: int
    layer: IntArray
    count: FloatArray
    sets: IntArray
    slots: IntArray
    loads: FloatArray | None = None
    load_caps: FloatArray | None = None
    allowed: BoolArray | None = None
    cost: FloatArray | None = None

    def __post_init__(self) -> None:
        rows = len(self.sets)
        if self.sets.ndim != 2 or self.layer.shape != (rows,) or self.count.shape != (rows,):
            raise InputError("sets", expected="one layer and one count for each set", found=Plain(str(self.sets.shape)))
        if rows and (self.layer.min() < 0 or self.layer.max() >= self.layers):
            raise InputError("layer", expected=f"numbers in 0..{self.layers - 1}", found=Plain("others"))
        if rows and (self.sets.min() < 0 or self.sets.max() >= self.items):
            raise InputError("sets", expected=f"numbers in 0..{self.items - 1}", found=Plain("others"))
        if not (np.isfinite(self.count).all() and (self.count >= 0.0).all()):
            raise InputError("count", expected="finite numbers, at least 0", found=Plain("others"))
        if (np.diff(np.sort(self.sets, axis=1), axis=1) == 0).any():
            raise InputError("sets", expected="distinct items in each set", found=Plain("an item twice"))
        if (self.slots < 0).any() or int(self.slots.sum()) < self.items:
            raise InputError("slots", expected=f"room for {self.items} items", found=Plain(f"{int(self.slots.sum())}"))
        if self.load_caps is not None and self.loads is None:
            raise InputError("loads", expected="loads, since there is a cap on them", found=Plain("none"))

    @property
    def parts(self) -> int:
        """Number of parts."""
        return len(self.slots)

    @property
    def size(self) -> int:
        """Items of a set."""
        return int(self.sets.shape[1])

    def rows(self, layer: int) -> tuple[IntArray, FloatArray]:
        """Return the sets of one layer and how often each is used; sets in any order of items are one."""
        mine = self.layer == layer
        if not mine.any():
            return np.zeros((0, self.size), dtype=np.int64), np.zeros(0)
        found, which = np.unique(np.sort(self.sets[mine], axis=1), axis=0, return_inverse=True)
        count = np.bincount(which.ravel(), weights=self.count[mine], minlength=len(found))
        return found.astype(np.int64), count.astype(np.float64)


def distinct_parts(sets: IntArray, part: IntArray) -> IntArray:
    """Return how many parts each set (sets, k) touches when the items are in ``part`` (..., items): (..., sets)."""
    chosen = np.sort(part[..., sets], axis=-1)
    found: IntArray = min(1, sets.shape[1]) + (np.diff(chosen, axis=-1) != 0).sum(axis=-1)
    return found


def fan_out_of(program: FanOutProgram, part: IntArray) -> FloatArray:
    """Return the sum over the sets of each layer of the parts that they touch, (layers,)."""
    total = np.zeros(program.layers)
    for layer in range(program.layers):
        mine = program.layer == layer
        total[layer] = program.count[mine] @ distinct_parts(program.sets[mine], part[layer])
    return total


def fan_out_violations(program: FanOutProgram, part: IntArray) -> tuple[str, ...]:
    """Say which limits ``part`` (layers, items) breaks; loads may exceed a cap by 1e-9 of it."""
    layer, item = np.indices(part.shape)
    counts = np.zeros((program.layers, program.parts), dtype=np.int64)
    np.add.at(counts, (layer, part), 1)
    broken = [
        f"layer {i}: part {g} has {counts[i, g]} items, room for {program.slots[g]}"
        for i, g in np.argwhere(counts > program.slots)
    ]
    if program.allowed is not None:
        wrong = np.argwhere(~program.allowed[layer, item, part])
        broken += [f"layer {i}: item {e} is in part {part[i, e]}, where it must not be" for i, e in wrong]
    if program.loads is not None and program.load_caps is not None:
        most = part_loads(program.loads, part, program.parts).max(axis=1)
        over = np.flatnonzero(most > program.load_caps * (1.0 + 1e-9))
        broken += [f"layer {i}: a part has load {most[i]:g}, more than {program.load_caps[i]:g}" for i in over]
    return tuple(broken)
