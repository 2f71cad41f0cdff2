"""All paths that are best for some weighing of the sum and the bottleneck."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from coinfer.errors import InputError
from coinfer.solver.limits import Limits
from coinfer.solver.path.dynamic import shortest
from coinfer.solver.path.kernels import Choice
from coinfer.solver.path.program import LayeredPath, Path
from coinfer.solver.path.search import CLOSE, Search
from coinfer.solver.path.solve import dynamic_class, labels_class
from coinfer.solver.progress import Stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParetoPoint:
    """A path that no other beats in both: its sum of resource 0, and its bottleneck."""

    path: Path
    value: float
    bottleneck: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParetoResult:
    """The front, by rising sum and falling bottleneck.

    Attributes
    ----------
    points
        Paths none of which beats another in both.
    complete
        Whether every feasible path is matched or beaten in both by one of them, up to rounding. Where a limit ended
        the search, this holds for bottlenecks of at least that of the last point.
    limit
        What ended the search; ``None`` without.
    seconds
        Wall-clock seconds.
    """

    points: tuple[ParetoPoint, ...]
    complete: bool
    limit: str | None
    seconds: float


def pareto_path(
    program: LayeredPath, *, limits: Limits | None = None, stop: Stop | None = None, kernels: Choice = "auto"
) -> ParetoResult:
    """List the front of sum and bottleneck: the least sum, then the least below the bottleneck of that, and so on.

    Every point is exact. ``limits`` hold for the whole; its gaps must be 0.

    Raises
    ------
    InputError
        Without busy times, with mixed modes, with more carriers than labels tell apart, or with a gap.
    """
    began = time.perf_counter()
    limits, stop = limits or Limits(), stop or Stop()
    if program.busy is None or program.mixed_modes or not labels_class(program):
        raise InputError("program", expected="busy times and unmixed modes", found="another program")
    if limits.relative_gap or limits.absolute_gap:
        raise InputError("limits", expected="no gap, since every point is exact", found="a gap")
    sums = replace(program, objective="sum")
    points: list[ParetoPoint] = []
    below, limit, labels = math.inf, None, 0
    while True:
        if stop or (limits.time_s is not None and time.perf_counter() - began >= limits.time_s):
            limit = "interrupt" if stop else "time"
            break
        if dynamic_class(sums):
            path = shortest(sums, below=below)
        else:
            search = Search(
                program=sums,
                limits=limits,
                stop=stop,
                on_progress=None,
                kernels=kernels,
                below=below,
                labels=labels,
                began=began,
            )
            search.run()
            path, limit, labels = search.path, search.limit, search.labels
        if limit is not None or path is None:
            break
        point = ParetoPoint(path=path, value=float(program.used(path)[0]), bottleneck=program.bottleneck(path))
        if points and point.value <= points[-1].value * (1.0 + CLOSE):
            points.pop()  # as cheap as the one before, and less of a bottleneck
        points.append(point)
        below = point.bottleneck * (1.0 - CLOSE)
        if below <= 0.0:
            break
    return ParetoResult(points=tuple(points), complete=limit is None, limit=limit, seconds=time.perf_counter() - began)
