"""Coverage at 10,000 samples of several models on the same problems, forecast together from 100; rows for the table.

What each forecast sees is a random 100 outcomes of every model of the data set. ``Sharing`` was chosen on these series,
so the row with the target has it chosen again for each data set on the other one. Pythia series steepen where
``flattening`` asks whether they flatten: all its values have the same error there, and the default stands. The form of
the rules, and the pulls of the line, were found on all of the series: no row takes that back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Row
from coinfer.models.budget.forecast import Sharing, forecast_jointly

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
DRAWN, GOAL = 100, 10_000
SIZES = (30, 300, 1_000)
ERROR, COVERED = 0.025, (0.85, 0.95)
WEIGHTS, FLATTENINGS = (0.75, 0.0, 0.25, 0.5, 1.0), (1.0, 0.0, 0.5)
"""The defaults come first: of equal errors the first is taken."""
SPREADS = (0.7, 0.5, 0.6, 0.75, 0.8, 0.9, 1.0)
TIE = 1e-12


def joint_rows(
    names: Sequence[str], draws: Sequence[Sequence[Counts]], counts: Sequence[Counts], truths: Floats
) -> list[Row]:
    """Return the rows.

    Parameters
    ----------
    names
        Data set of each series.
    draws
        Right samples of each problem in each draw of each series.
    counts
        Right samples of each problem in all outcomes of each series.
    truths
        (series,): coverage at the goal.
    """
    began = time.perf_counter()
    label = f"12 series x {len(draws[0])} of {DRAWN}"
    grid = [Sharing(weight=weight, flattening=fall, spread=1.0) for fall, weight in product(FLATTENINGS, WEIGHTS)]
    found = [_forecasts(names, draws, DRAWN, each) for each in grid]
    errors = np.array([np.abs(ends[0] - truths).mean(axis=0) for ends in found])
    seconds = time.perf_counter() - began
    sets = np.array(names)
    kinds = list(dict.fromkeys(names))
    others = {kind: errors[_best(errors[:, sets != kind].mean(axis=1))][sets == kind] for kind in kinds}
    alone = [errors[_best(np.delete(errors, at, axis=1).mean(axis=1)), at] for at in range(len(truths))]
    held_out = float(np.concatenate(list(others.values())).mean())
    steady = [at for at, each in enumerate(grid) if each.flattening == 0.0]
    default = errors[0]
    return [
        _row("jointly: error, chosen on the other data set", label, held_out, ERROR, seconds),
        *(_row("... of these", kind, float(each.mean()), None, seconds) for kind, each in others.items()),
        _row("... chosen on the other eleven series", label, float(np.mean(alone)), None, seconds),
        _row("jointly: mean error, as it is", label, float(default.mean()), None, seconds),
        *(_row("... of these", kind, float(default[sets == kind].mean()), None, seconds) for kind in kinds),
        _row("... without flattening", label, float(errors[steady[0]].mean()), None, seconds),
        _row("jointly: error of the worst series", label, float(default.max()), None, seconds),
        *_intervals(found[0], truths, sets, label, seconds),
        *_sizes(names, counts, min(len(draws[0]), 12), truths),
    ]


def _sizes(names: Sequence[str], counts: Sequence[Counts], repeats: int, truths: Floats) -> list[Row]:
    """Return the rows of other numbers of samples, on which nothing was chosen but the spread."""
    random, rows = np.random.default_rng(12), []
    for drawn in SIZES:
        began = time.perf_counter()
        draws = [[random.hypergeometric(each, GOAL - each, drawn) for _ in range(repeats)] for each in counts]
        middle, low, high = _forecasts(names, draws, drawn, Sharing())
        held = float(((low <= truths) & (truths <= high)).mean())
        error = float(np.abs(middle - truths).mean())
        seconds = time.perf_counter() - began
        rows.append(_row("jointly: error, by samples", f"{drawn} drawn", error, None, seconds))
        rows.append(_row("... 90 % interval holds the truth", f"{drawn} drawn", held, None, seconds))
    return rows


def _intervals(ends: Floats, truths: Floats, sets: NDArray[np.str_], label: str, seconds: float) -> list[Row]:
    """Return the rows of the 90 % interval: as it is, and with its spread chosen on the other data set."""
    held = {}
    for spread in SPREADS:
        part = 1.0 - (1.0 - spread) * (1.0 - DRAWN / GOAL)
        low, high = (ends[0] + part * (end - ends[0]) for end in ends[1:])
        held[spread] = ((low <= truths) & (truths <= high)).mean(axis=0)
    gaps = {
        kind: [abs(float(share[sets != kind].mean()) - 0.9) for share in held.values()] for kind in dict.fromkeys(sets)
    }
    others = np.concatenate([held[SPREADS[_best(np.array(gap))]][sets == kind] for kind, gap in gaps.items()])
    part = 1.0 - (1.0 - SPREADS[0]) * (1.0 - DRAWN / GOAL)
    width = part * float((ends[2] - ends[1]).mean())
    return [
        _share("jointly: 90 % interval holds the truth", label, float(held[SPREADS[0]].mean()), seconds),
        _share("jointly: ... chosen on the other data set", label, float(others.mean()), seconds),
        _row("jointly: share of the worst series", label, float(held[SPREADS[0]].min()), None, seconds),
        _row("jointly: mean width", label, width, None, seconds),
    ]


def _forecasts(names: Sequence[str], draws: Sequence[Sequence[Counts]], drawn: int, sharing: Sharing) -> Floats:
    """Return forecast and ends of the interval, (3, draws, series)."""
    found = np.empty((3, len(draws[0]), len(draws)))
    for kind in dict.fromkeys(names):
        columns = [at for at, name in enumerate(names) if name == kind]
        for index in range(len(draws[0])):
            right = np.column_stack([draws[at][index] for at in columns])
            for at, made in zip(columns, forecast_jointly(right, drawn, [GOAL], sharing=sharing), strict=True):
                found[:, index, at] = made.coverage[0], made.lower[0], made.upper[0]
    return found


def _best(errors: Floats) -> int:
    """Return the first of the smallest."""
    return int(np.flatnonzero(errors <= errors.min() + TIE)[0])


def _row(claim: str, instance: str, figure: float, target: float | None, seconds: float) -> Row:
    holds = None if target is None else figure <= target
    return Row(
        claim=claim, instance=instance, figure=figure, unit="", target=target, holds=holds, peer="-", seconds=seconds
    )


def _share(claim: str, instance: str, figure: float, seconds: float) -> Row:
    holds = COVERED[0] <= figure <= COVERED[1]
    return Row(
        claim=claim, instance=instance, figure=figure, unit="", target=0.9, holds=holds, peer="-", seconds=seconds
    )
