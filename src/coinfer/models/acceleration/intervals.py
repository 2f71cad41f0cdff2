"""Intervals that stay honest for a model, device or method that nobody measured: grouped cross-conformal prediction.

What is new about a cell decides which rows calibrate it. For a new device, each device of the history is left out in
turn, predicted from the others, and its errors are kept; so for a new model, a new method, and combinations. A
cell that is new only as a combination is calibrated by leaving out cells. Where the device is known, only errors on
that device count: eight rows of a new GPU are no reason to trust it like the one with hundreds. Errors of one group are
alike, so the unit that counts is the group: with K groups, no method can promise more than K/(K+1) without
assumptions on the errors (two-layer hierarchical conformal prediction: Dunn, Wasserman and Ramdas 2022; Lee, Barber
and Willett 2023). The intervals take the form of CV+ (Barber, Candes, Ramdas and Tibshirani 2021), which adds the
errors of a fold to what that fold's own predictor says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from coinfer.models.acceleration.predict import Fitted, Predictor, fit
from coinfer.models.acceleration.table import Design, FloatArray, IntArray

_AXES = 3  # model, device, method; a new task is described by its numbers
_DEVICE = 1
_MOST_FOLDS = 20
_CELL_FOLDS = 10
_LEAST_ROWS = 2

Novelty = tuple[bool, ...]
"""Whether model, device and method of a cell occur in no row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intervals:
    """Predictions for cells, in logarithms.

    Attributes
    ----------
    value
        (cells,).
    low, high
        (cells,): ends of the intervals; NaN where the rows cannot calibrate one.
    level
        (cells,): coverage that the groups can support, at most what was asked; NaN where there is no interval.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    level: FloatArray


class _Fold(NamedTuple):
    """One predictor that did not see some rows, and its errors on them.

    ``groups`` says, for each of the ``rows``, which new things or which cell it stands for.
    """

    fitted: Fitted
    rows: IntArray
    groups: IntArray
    errors: FloatArray


def predict_intervals(
    table: Design,
    rows: IntArray,
    logs: FloatArray,
    cells: IntArray,
    *,
    level: float,
    predictor: Predictor = "roofline+trees",
    seed: int = 0,
) -> Intervals:
    """Predict ``cells`` with intervals.

    Parameters
    ----------
    table
        All cells, measured or not.
    rows, logs
        (rows,): which cell each row measured, and the logarithm of the figure.
    cells
        (cells,): which cells to predict.
    level
        Coverage asked, in (0, 1).
    predictor, seed
        As in :func:`coinfer.models.acceleration.predict.fit`.

    Raises
    ------
    BackendMissing
        If trees are wanted and scikit-learn is not installed.
    """
    value = fit(table, rows, logs, predictor=predictor, seed=seed).predict(table, cells)
    low, high, reached = (np.full(len(cells), np.nan) for _ in range(3))
    news = [novelty(table, rows, cell) for cell in cells]
    on = table.codes[cells, _DEVICE]
    folds = {new: _folds(table, rows, logs, new, predictor=predictor, seed=seed) for new in sorted(set(news))}
    for new, device in sorted({(new, -1 if new[_DEVICE] else int(code)) for new, code in zip(news, on, strict=True)}):
        used = [_on_device(fold, table, rows, device) for fold in folds[new]]
        used = [fold for fold in used if len(fold.rows)]
        if not used:
            continue
        here = np.flatnonzero([other == new and device in (-1, code) for other, code in zip(news, on, strict=True)])
        units = _units(table, rows, new, used)
        supported = min(level, units / (units + 1.0))
        lows, highs = _ends(table, used, cells[here], supported, units)
        low[here], high[here] = np.minimum(lows, value[here]), np.maximum(highs, value[here])
        reached[here] = supported
    return Intervals(value=value, low=low, high=high, level=reached)


def novelty(table: Design, rows: IntArray, cell: int) -> Novelty:
    """Say which of model, device and method of ``cell`` occur in no row."""
    return tuple(bool((table.codes[rows, axis] != table.codes[cell, axis]).all()) for axis in range(_AXES))


def _folds(
    table: Design, rows: IntArray, logs: FloatArray, new: Novelty, *, predictor: Predictor, seed: int
) -> list[_Fold]:
    """Return the predictors that each left out what is new, with their errors on it."""
    axes = _new_axes(new)
    codes = table.codes[rows][:, axes]
    keys, groups = np.unique(codes, axis=0, return_inverse=True)
    groups = groups.ravel().astype(np.int64)
    order = np.random.default_rng(0).permutation(len(keys))
    # Cells are spread over the folds; new things are left out one at a time, or a sample of their combinations.
    members = (
        np.array_split(order, min(_CELL_FOLDS, len(keys))) if not any(new) else [order[[i]] for i in range(len(keys))]
    )
    folds: list[_Fold] = []
    for member in members[:_MOST_FOLDS]:
        tested = np.isin(groups, member)
        kept = (codes != keys[member[0]]).all(axis=1) if any(new) else ~tested
        if kept.sum() < _LEAST_ROWS:
            continue
        fitted = fit(table, rows[kept], logs[kept], predictor=predictor, seed=seed)
        errors = np.abs(logs[tested] - fitted.predict(table, rows[tested]))
        folds.append(_Fold(fitted, np.flatnonzero(tested), groups[tested], errors))
    return folds


def _new_axes(new: Novelty) -> list[int]:
    return [axis for axis in range(_AXES) if new[axis]] or list(range(_AXES))


def _on_device(fold: _Fold, table: Design, rows: IntArray, device: int) -> _Fold:
    """Return the errors of a fold on one device; on all of them for -1."""
    kept = (table.codes[rows[fold.rows], _DEVICE] == device) | (device == -1)
    return _Fold(fold.fitted, fold.rows[kept], fold.groups[kept], fold.errors[kept])


def _units(table: Design, rows: IntArray, new: Novelty, folds: list[_Fold]) -> int:
    """Return how many independent units stand behind the errors: the fewest new things on any axis, or the cells."""
    if not any(new):
        return len(np.unique(np.concatenate([fold.groups for fold in folds])))
    codes = table.codes[rows[np.concatenate([fold.rows for fold in folds])]]
    return min(len(np.unique(codes[:, axis])) for axis in _new_axes(new))


def _ends(
    table: Design, folds: list[_Fold], cells: IntArray, level: float, units: int
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the intervals: quantiles over all folds and their errors, each group weighing the same."""
    groups = np.concatenate([fold.groups for fold in folds])
    _, inverse, count = np.unique(groups, return_inverse=True, return_counts=True)
    weights = units / (units + 1.0) / len(count) / count[inverse]
    centres = [fold.fitted.predict(table, cells)[:, None] for fold in folds]
    above = np.concatenate([centre + fold.errors for centre, fold in zip(centres, folds, strict=True)], axis=1)
    below = np.concatenate([centre - fold.errors for centre, fold in zip(centres, folds, strict=True)], axis=1)
    return -_quantile(-below, weights, level), _quantile(above, weights, level)


def _quantile(values: FloatArray, weights: FloatArray, level: float) -> FloatArray:
    """Return per row the least value with at least ``level`` of the weight at or below it."""
    order = np.argsort(values, axis=1)
    reached = np.cumsum(weights[order], axis=1) >= level - 1e-9
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), values.shape[1] - 1)
    return np.take_along_axis(values, np.take_along_axis(order, first[:, None], axis=1), axis=1)[:, 0]
