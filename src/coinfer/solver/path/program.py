"""The layered path program: a chain of steps, cut into pieces, each carried by one carrier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.solver.program import FloatArray


class Piece(NamedTuple):
    """Steps ``first`` to ``last``, both included, on ``carrier``; one mode for each, and the codec they arrive in."""

    carrier: int
    first: int
    last: int
    modes: tuple[int, ...]
    codec: int


Path = tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayeredPath:
    r"""Carry steps :math:`0, \dots, L-1` in order, each carrier at most one run of consecutive steps.

    A path is a list of pieces. With :math:`a_0` the source and :math:`a_i` the carrier of piece :math:`i`, it uses

    .. math::
        u_r = \sum_{\text{steps } l} \text{step}_{r,a(l),m(l),l}
        + \sum_{\text{jumps}} w_{r,l}\,(f_{r,ab} + g_{r,ab}\, n_{r,c,l}) + e_{r,c,l}

    of resource :math:`r`, where a jump goes from carrier :math:`a` to :math:`b` before step :math:`l` in codec
    :math:`c`. The first jump leaves the source before step 0, the last returns to it after step :math:`L-1`; both take
    codec 0, and neither is made where the carrier is the source itself. Minimised is :math:`u_0`, or the bottleneck:
    the largest of the pieces' busy sums and of the jumps' :math:`w_0 g_0 n_0 + e_0`.

    Attributes
    ----------
    step
        (resources, carriers, modes, steps): at least 0; infinite where the carrier cannot do the step in the mode.
    size
        (carriers, modes, steps): memory of a step, at least 0.
    capacity
        (carriers,): memory of a carrier, for all its steps together.
    budget
        (resources,): most of each resource; infinite where there is no limit.
    weight
        :math:`w`, (resources, steps + 1): by boundary; boundary ``l`` lies before step ``l``.
    fixed, rate
        :math:`f, g`, (resources, carriers + 1, carriers + 1): from, to; the last index is the source. ``fixed`` of
        resource 0 is infinite where there is no way.
    amount, extra
        :math:`n, e`, (resources, codecs, steps + 1).
    source
        The carrier that is the source; ``None`` where the source carries nothing.
    busy
        (carriers, modes, steps): busy time of a step; needed for the bottleneck.
    order
        ``fixed``: the carriers of a path ascend; ``free``: any order.
    mixed_modes
        Whether the steps of a piece may have different modes.
    objective
        ``sum`` or ``bottleneck``.
    """

    step: FloatArray
    size: FloatArray
    capacity: FloatArray
    budget: FloatArray
    weight: FloatArray
    fixed: FloatArray
    rate: FloatArray
    amount: FloatArray
    extra: FloatArray
    source: int | None = None
    busy: FloatArray | None = None
    order: Literal["fixed", "free"] = "fixed"
    mixed_modes: bool = False
    objective: Literal["sum", "bottleneck"] = "sum"

    def __post_init__(self) -> None:
        if self.step.ndim != 4 or not self.step.size or self.amount.ndim != 3 or not self.amount.size:
            found = Plain(f"{self.step.shape} and {self.amount.shape}")
            raise InputError("step, amount", expected="four and three dimensions, none of them empty", found=found)
        resources, carriers, modes, steps = self.step.shape
        jumps = (resources, self.codecs, steps + 1)
        shapes = {
            "size": (carriers, modes, steps),
            "capacity": (carriers,),
            "budget": (resources,),
            "weight": (resources, steps + 1),
            "fixed": (resources, carriers + 1, carriers + 1),
            "rate": (resources, carriers + 1, carriers + 1),
            "amount": jumps,
            "extra": jumps,
            "busy": (carriers, modes, steps),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise InputError(name, expected=str(shape), found=Plain(str(array.shape)))
        infinite = {"step", "capacity", "budget", "fixed"}
        for name in ("step", *shapes):
            array = getattr(self, name)
            if array is None:
                continue
            if np.isnan(array).any() or (array < 0.0).any() or (name not in infinite and not np.isfinite(array).all()):
                raise InputError(name, expected="numbers of at least 0", found=Plain("others"))
            array.flags.writeable = False
        if self.objective == "bottleneck" and self.busy is None:
            raise InputError("busy", expected="busy times, since the objective is the bottleneck", found=Plain("none"))
        if self.source is not None and not 0 <= self.source < carriers:
            raise InputError("source", expected=f"a carrier in 0..{carriers - 1}", found=self.source)

    @property
    def resources(self) -> int:
        """Number of resources, the objective among them."""
        return int(self.step.shape[0])

    @property
    def carriers(self) -> int:
        """Number of carriers."""
        return int(self.step.shape[1])

    @property
    def modes(self) -> int:
        """Number of modes."""
        return int(self.step.shape[2])

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.step.shape[3])

    @property
    def codecs(self) -> int:
        """Number of codecs."""
        return int(self.amount.shape[1])

    def jump(self, boundary: int, start: int, end: int, codec: int) -> FloatArray:
        """Return what a jump uses of each resource, (resources,); the number ``carriers`` is the source."""
        home = self.carriers if self.source is None else self.source
        if {start, end} <= {home, self.carriers}:
            return np.zeros(self.resources)
        fixed, rate = self.fixed[:, start, end], self.rate[:, start, end]
        moved = fixed + rate * self.amount[:, codec, boundary]
        weight = self.weight[:, boundary]
        # 0 * inf: a way that is not there stays closed even to tokens that never take it.
        used = np.where(np.isinf(moved), np.inf, weight * np.where(np.isinf(moved), 0.0, moved))
        return np.asarray(used + self.extra[:, codec, boundary])

    def jump_busy(self, boundary: int, start: int, end: int, codec: int) -> float:
        """Return how long a jump keeps its way busy."""
        home = self.carriers if self.source is None else self.source
        if {start, end} <= {home, self.carriers}:
            return 0.0
        moved = self.rate[0, start, end] * self.amount[0, codec, boundary]
        return float(self.weight[0, boundary] * moved + self.extra[0, codec, boundary])

    def earlier(self) -> NDArray[np.int64]:
        """Return for each carrier the last one before it that can be swapped with it, (carriers,); -1 without."""
        earlier = np.full(self.carriers, -1, dtype=np.int64)
        for carrier in range(1, self.carriers):
            alike = [other for other in range(carrier) if self._alike(other, carrier)]
            earlier[carrier] = max(alike, default=-1)
        return earlier

    def _alike(self, one: int, other: int) -> bool:
        """Return whether nothing changes when two carriers are swapped."""
        if self.source in {one, other}:
            return False
        order = np.arange(self.carriers + 1)
        order[[one, other]] = other, one
        rows = [array for array in (self.size, self.busy) if array is not None]
        return (
            bool(self.capacity[one] == self.capacity[other])
            and np.array_equal(self.step[:, one], self.step[:, other])
            and all(np.array_equal(array[one], array[other]) for array in rows)
            and all(np.array_equal(way, way[:, order][:, :, order]) for way in (self.fixed, self.rate))
        )

    def jumps(self, path: Path) -> list[tuple[int, int, int, int]]:
        """Return boundary, start, end and codec of every jump of ``path``."""
        stops = [self.carriers, *(piece.carrier for piece in path), self.carriers]
        boundaries = [*(piece.first for piece in path), self.steps]
        codecs = [0, *(piece.codec for piece in path[1:]), 0]
        return list(zip(boundaries, stops[:-1], stops[1:], codecs, strict=True))

    def used(self, path: Path) -> FloatArray:
        """Return what ``path`` uses of each resource, (resources,)."""
        total = np.zeros(self.resources)
        for piece in path:
            for step, mode in zip(range(piece.first, piece.last + 1), piece.modes, strict=True):
                total = total + self.step[:, piece.carrier, mode, step]
        for jump in self.jumps(path):
            total = total + self.jump(*jump)
        return total

    def bottleneck(self, path: Path) -> float:
        """Return the longest busy time of a piece or a jump of ``path``."""
        if self.busy is None:
            raise InputError("busy", expected="busy times", found=Plain("none"))
        busy = self.busy
        pieces = [
            sum(busy[piece.carrier, mode, piece.first + i] for i, mode in enumerate(piece.modes)) for piece in path
        ]
        return float(max([*pieces, *(self.jump_busy(*jump) for jump in self.jumps(path))]))

    def value(self, path: Path) -> float:
        """Return the objective of ``path``."""
        return self.bottleneck(path) if self.objective == "bottleneck" else float(self.used(path)[0])

    def broken(self, path: Path, *, slack: float = 1e-9) -> str | None:
        """Return the first rule that ``path`` breaks, in words; ``None`` where it keeps all."""
        covered = 0
        for piece in path:
            if piece.first != covered or piece.last < piece.first or len(piece.modes) != piece.last - piece.first + 1:
                return f"step {covered} does not come next"
            if not self.mixed_modes and len(set(piece.modes)) > 1:
                return f"the piece from step {piece.first} mixes modes"
            covered = piece.last + 1
        if covered != self.steps:
            return f"{covered} of {self.steps} steps are carried"
        carriers = [piece.carrier for piece in path]
        if len(set(carriers)) < len(carriers) or (self.order == "fixed" and carriers != sorted(carriers)):
            return "a carrier comes twice, or out of order"
        for piece in path:
            held = math.fsum(self.size[piece.carrier, mode, piece.first + i] for i, mode in enumerate(piece.modes))
            if held > self.capacity[piece.carrier] * (1.0 + slack):
                return f"carrier {piece.carrier} is too small for its steps"
        used = self.used(path)
        if not np.isfinite(used[0]):
            return "a step or a jump is not possible"
        over = used > self.budget + slack * np.maximum(self.budget, used)
        return f"resource {int(np.argmax(over))} is over its budget" if over.any() else None
