"""The objective as the search uses it: its value, its bound over a box, its single gains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from coinfer.errors import InputError, Plain
from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.monotonic.oracles import Calls, Counted, CountedPair
from coinfer.solver.monotonic.program import (
    Difference,
    FacilityLocation,
    FloatArray,
    GatedMean,
    IntArray,
    MixedMonotone,
    Monotone,
    MonotonicProgram,
    Submodular,
)
from coinfer.solver.monotonic.weaken import weakened


def searchable(program: MonotonicProgram) -> MonotonicProgram:
    """Return the program with an objective that is asked by oracle: the strongest such class."""
    if isinstance(program.objective, FacilityLocation):
        return weakened(program, "submodular")
    return weakened(program, "mixed") if isinstance(program.objective, GatedMean) else program


class Goal:
    """A counted objective.

    Parameters
    ----------
    program
        A searchable program.
    calls
        The shared count.

    Attributes
    ----------
    by_lower
        Whether the bound of a box falls as its lower corner rises.
    single
        The oracle of a monotone objective, which knows single steps; ``None`` for the other classes.
    shrinking
        Whether gains shrink as the point grows, so that they bound a box.
    """

    def __init__(self, program: MonotonicProgram, calls: Calls) -> None:
        objective = program.objective
        self.single: Counted | None = None
        self._method: Literal["vertex", "mixed"] = "mixed"
        self._parts: tuple[Counted | CountedPair, ...]
        self._bounds: Callable[[IntArray, IntArray], FloatArray]
        match objective:
            case Submodular(oracle=oracle) | Monotone(oracle=oracle):
                single = self.single = Counted(oracle, calls, "objective", finite=True)
                self._method, self._parts = "vertex", (single,)
                self._bounds = lambda lowers, uppers: single.values(uppers)  # noqa: ARG005
            case Difference(rising=rising, falling=falling):
                first = Counted(rising, calls, "objective.rising", finite=True)
                second = Counted(falling, calls, "objective.falling", finite=True)
                self._parts = first, second
                self._bounds = lambda lowers, uppers: first.values(uppers) - second.values(lowers)
            case MixedMonotone(oracle=pair):
                both = CountedPair(pair, calls, "objective", variables=program.variables, finite=True)
                self._parts = (both,)
                self._bounds = lambda lowers, uppers: both.values(uppers, lowers)
            case _:
                raise InputError("objective", expected="a class with an oracle", found=Plain(type(objective).__name__))
        self.by_lower = self.single is None
        self.shrinking = isinstance(objective, Submodular)

    @property
    def largest(self) -> float:
        """Largest answer so far, in size."""
        return max(part.largest for part in self._parts)

    def bounds(self, lowers: IntArray, uppers: IntArray) -> FloatArray:
        """Return what no point of each box is worth more than; corners (count, variables) each, answer (count,)."""
        return self._bounds(lowers, uppers)

    def values(self, points: IntArray) -> FloatArray:
        """Return the objective at each of ``points`` (count, variables) as (count,)."""
        return self._bounds(points, points)

    def leaf(self, bound: float) -> BoxLeaf:
        """Return the leaf of a box whose bound is that of its corners."""
        return BoxLeaf(method=self._method, bound=float(bound))
