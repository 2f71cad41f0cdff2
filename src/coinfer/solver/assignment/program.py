"""The layered assignment program: what is assigned, what separation costs, and what limits it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.solver.program import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayeredAssignment:
    r"""Assign every item of every layer to one part.

    .. math::
        \min_p \sum_{l} \sum_{e,f} w_{l,e,f}\, d_{p(l,e),\,p(l+1,f)} + \sum_{l,e} c_{l,e,p(l,e)}
        \quad\text{s.t. } |\{e : p(l,e)=g\}| \le s_g,\ \sum_{e:p(l,e)=g} a_{l,e} \le A_l

    This is ExFlow's integer program (arXiv 2401.08383) over aggregated counts, with a cost matrix, loads and
    placement costs added. The mean cap couples the layers:
    :math:`\frac1L\sum_l \max_g \text{load}_{l,g} / \overline{\text{load}}_l \le m`.

    Attributes
    ----------
    weights
        :math:`w`, (layers - 1, items, items): weight between an item and an item of the next layer, at least 0.
    distance
        :math:`d`, (parts, parts): cost of a unit of weight between two parts; symmetric, at least 0, 0 on the diagonal.
    capacity
        :math:`s`, (parts,): most items of one layer in a part. Where their sum is the number of items, every part is
        full in every layer.
    cost
        :math:`c`, (layers, items, parts): cost of a place, at least 0; ``None``: all 0.
    allowed
        (layers, items, parts): False where an item must not be; ``None``: everywhere allowed.
    loads
        :math:`a`, (layers, items): load of each item, at least 0; ``None`` without load caps.
    load_caps
        :math:`A`, (layers,): most load of one part; ``None``: no cap.
    mean_imbalance_cap
        :math:`m`: most mean over the layers of the largest part's load over the mean load of the parts; ``None``: no
        cap. A layer without load counts as 1.
    """

    weights: FloatArray
    distance: FloatArray
    capacity: IntArray
    cost: FloatArray | None = None
    allowed: BoolArray | None = None
    loads: FloatArray | None = None
    load_caps: FloatArray | None = None
    mean_imbalance_cap: float | None = None

    def __post_init__(self) -> None:
        shape = (self.layers, self.items)
        if self.weights.ndim != 3 or self.weights.shape[1] != self.weights.shape[2]:
            raise InputError("weights", expected="(layers - 1, items, items)", found=Plain(str(self.weights.shape)))
        if self.distance.shape != (self.parts, self.parts):
            expected = f"({self.parts}, {self.parts}) for {self.parts} parts"
            raise InputError("distance", expected=expected, found=Plain(str(self.distance.shape)))
        if (self.distance != self.distance.T).any() or self.distance.diagonal().any():
            raise InputError("distance", expected="a symmetric matrix with zero diagonal", found=Plain("another"))
        wanted = {"cost": (*shape, self.parts), "allowed": (*shape, self.parts), "loads": shape}
        for name, size in {**wanted, "load_caps": shape[:1]}.items():
            array = getattr(self, name)
            if array is not None and array.shape != size:
                raise InputError(name, expected=str(size), found=Plain(str(array.shape)))
        for name in ("weights", "distance", "cost", "loads"):
            array = getattr(self, name)
            if array is not None and not (np.isfinite(array).all() and (array >= 0.0).all()):
                raise InputError(name, expected="finite numbers, at least 0", found=Plain("others"))
        if self.loads is None and (self.load_caps is not None or self.mean_imbalance_cap is not None):
            raise InputError("loads", expected="loads, since there is a cap on them", found=Plain("none"))
        if (self.capacity < 0).any() or int(self.capacity.sum()) < self.items:
            expected = f"room for {self.items} items in all"
            raise InputError("capacity", expected=expected, found=Plain(f"{int(self.capacity.sum())}"))

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.weights) + 1

    @property
    def items(self) -> int:
        """Number of items of a layer."""
        return int(self.weights.shape[1])

    @property
    def parts(self) -> int:
        """Number of parts."""
        return len(self.capacity)

    @property
    def uniform(self) -> bool:
        """Whether every separation costs the same."""
        off = self.distance[~np.eye(self.parts, dtype=bool)]
        return bool(off.size == 0 or (off == off[0]).all())

    @property
    def full(self) -> bool:
        """Whether every part is full in every layer, and all parts are equally large."""
        return int(self.capacity.sum()) == self.items and bool((self.capacity == self.capacity[0]).all())

    @property
    def interchangeable(self) -> bool:
        """Whether exchanging any two parts, in all layers, changes nothing."""
        same = bool((self.capacity == self.capacity[0]).all())
        return same and self.uniform and self.cost is None and self.allowed is None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """What an assignment costs and which limits it breaks.

    Attributes
    ----------
    value
        Objective.
    separated
        (layers - 1,): weight times distance between each layer and the next.
    placing
        Sum of the placement costs.
    part_loads
        (layers, parts): load of each part; ``None`` without loads.
    violations
        Broken limits in words; empty for a feasible assignment.
    """

    value: float
    separated: FloatArray
    placing: float
    part_loads: FloatArray | None
    violations: tuple[str, ...]


def evaluate(program: LayeredAssignment, part: IntArray) -> Evaluated:
    """Return what ``part`` (layers, items) costs; loads may exceed a cap by 1e-9 of it.

    Raises
    ------
    InputError
        If ``part`` has another shape or names parts that are not there.
    """
    shape = (program.layers, program.items)
    if part.shape != shape or part.min(initial=0) < 0 or part.max(initial=0) >= program.parts:
        raise InputError("part", expected=f"{shape} numbers in 0..{program.parts - 1}", found=Plain(str(part.shape)))
    separated = np.array(
        [
            np.sum(weights * program.distance[part[layer][:, None], part[layer + 1][None, :]])
            for layer, weights in enumerate(program.weights)
        ]
    )
    layer, item = np.indices(shape)
    placing = 0.0 if program.cost is None else float(program.cost[layer, item, part].sum())
    broken: list[str] = []
    counts = np.zeros((program.layers, program.parts), dtype=np.int64)
    np.add.at(counts, (layer, part), 1)
    for i, g in np.argwhere(counts > program.capacity):
        broken.append(f"layer {i}: part {g} has {counts[i, g]} items, room for {program.capacity[g]}")
    if program.allowed is not None:
        for i, e in np.argwhere(~program.allowed[layer, item, part]):
            broken.append(f"layer {i}: item {e} is in part {part[i, e]}, where it must not be")
    loads = None if program.loads is None else part_loads(program.loads, part, program.parts)
    if loads is not None:
        broken += _load_violations(program, loads)
    return Evaluated(
        value=float(separated.sum()) + placing,
        separated=separated,
        placing=placing,
        part_loads=loads,
        violations=tuple(broken),
    )


def part_loads(loads: FloatArray, part: IntArray, parts: int) -> FloatArray:
    """Return the load of each part, (layers, parts)."""
    total = np.zeros((len(loads), parts))
    np.add.at(total, (np.arange(len(loads))[:, None], part), loads)
    return total


def imbalance(loads: FloatArray) -> FloatArray:
    """Return the largest load over the mean load of each layer, (layers,); 1 where there is no load at all."""
    mean = loads.mean(axis=1)
    uneven: FloatArray = np.divide(loads.max(axis=1), mean, out=np.ones(len(loads)), where=mean > 0.0)
    return uneven


def _load_violations(program: LayeredAssignment, loads: FloatArray) -> list[str]:
    """Say which caps on loads are broken."""
    broken: list[str] = []
    if program.load_caps is not None:
        over = np.flatnonzero(loads.max(axis=1) > program.load_caps * (1.0 + 1e-9))
        broken += [f"layer {i}: a part has load {loads[i].max():g}, more than {program.load_caps[i]:g}" for i in over]
    if program.mean_imbalance_cap is not None:
        mean = float(imbalance(loads).mean())
        if mean > program.mean_imbalance_cap * (1.0 + 1e-9):
            broken.append(f"the mean imbalance is {mean:g}, more than {program.mean_imbalance_cap:g}")
    return broken
