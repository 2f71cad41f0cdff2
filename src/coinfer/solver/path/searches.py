"""Searches for the least sum, and for the least bottleneck by searches for any path below one."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from coinfer.solver.limits import Limits
from coinfer.solver.path.kernels import Choice
from coinfer.solver.path.potentials import Row
from coinfer.solver.path.program import LayeredPath, Path
from coinfer.solver.path.search import CLOSE, Search
from coinfer.solver.path.tables import before, ends_busy, followers, jump_busy
from coinfer.solver.program import FloatArray
from coinfer.solver.progress import OnProgress, Progress, Stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What a search found: the path, a bound on the objective, the rows of prices that show it.

    ``lagrangian`` is a bound that the prices show by themselves.
    """

    path: Path | None
    bound: float
    lagrangian: float
    labels: int
    limit: str | None
    prices: tuple[tuple[float, ...], ...]
    carrier_prices: tuple[tuple[float, ...], ...]


def search_sum(
    program: LayeredPath, *, limits: Limits, stop: Stop, on_progress: OnProgress | None, kernels: Choice
) -> Found:
    """Minimise the sum."""
    search = Search(program=program, limits=limits, stop=stop, on_progress=on_progress, kernels=kernels)
    search.run()
    prices, carrier_prices = _written(program, search.prices)
    return Found(
        path=search.path,
        bound=search.bound,
        lagrangian=search.lagrangian,
        labels=search.labels,
        limit=search.limit,
        prices=prices,
        carrier_prices=carrier_prices,
    )


def search_bottleneck(
    program: LayeredPath, *, limits: Limits, stop: Stop, on_progress: OnProgress | None, kernels: Choice
) -> Found:
    """Minimise the bottleneck: halve the list of all busy times, looking each time for any path with less."""
    sums = replace(program, objective="sum")
    times = _times(program)
    began = time.perf_counter()
    path: Path | None = None
    value, labels, limit = math.inf, 0, None
    low, high = 0, len(times)  # no path is below times[low - 1]; one is at times[high], or none is known
    rows: list[Row] = []
    search: Search | None = None
    while low < high or path is None:
        middle = len(times) if path is None and search is None else (low + high) // 2
        below = math.inf if middle == len(times) else max(times[middle] * (1.0 + CLOSE), 1e-300)  # 0 is below that
        search = Search(
            program=sums,
            limits=limits,
            stop=stop,
            on_progress=None,
            kernels=kernels,
            below=below,
            any_path=True,
            labels=labels,
            began=began,
        )
        search.run()
        labels = search.labels
        if search.path is not None:
            path, value = search.path, program.bottleneck(search.path)
            high = int(np.searchsorted(times, value * (1.0 - CLOSE)))
        elif search.bound == math.inf:
            rows = search.prices
            low = middle + 1
        if search.limit is not None or low > len(times):
            limit = search.limit
            break
        if on_progress is not None:
            on_progress(Progress(seconds=time.perf_counter() - began, value=value, bound=_at(times, low), nodes=labels))
    nothing = path is None and limit is None
    bound = math.inf if nothing else min(value, _at(times, low))
    prices, carrier_prices = _written(program, rows)
    return Found(
        path=path,
        bound=bound,
        lagrangian=0.0,
        labels=labels,
        limit=limit,
        prices=prices,
        carrier_prices=carrier_prices,
    )


def _at(times: FloatArray, index: int) -> float:
    """Return the least bottleneck that is left when all before ``index`` are ruled out."""
    return float(times[index]) if index < len(times) else 0.0


def _times(program: LayeredPath) -> FloatArray:
    """Return every busy time that a piece or a jump may have, ascending."""
    parts = [np.zeros(1), *ends_busy(program)]
    if program.busy is not None:
        sums = before(program.busy)
        first, last = np.triu_indices(program.steps + 1, 1)
        parts.append((sums[..., last] - sums[..., first]).ravel())
    ways = followers(program)
    parts += [jump_busy(program, boundary)[ways].ravel() for boundary in range(1, program.steps)]
    return np.unique(np.concatenate(parts))


def _written(program: LayeredPath, rows: list[Row]) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Return the prices of rows for all resources, as they go into a proof."""
    limited = np.isfinite(program.budget)
    limited[0] = True
    prices = np.zeros((len(rows), program.resources))
    if rows:
        prices[:, limited] = [row.prices for row in rows]
    written = tuple(tuple(row.tolist()) for row in prices)
    return written, tuple(tuple(row.carrier_prices.tolist()) for row in rows)
