r"""Tables judged by a few effects: of the option, of the stratum, and of the two together.

On the scale of :mod:`coinfer.models.budget.calibration.stabilise` a value is :math:`v_{ij} = \mu + b_j + s_j (a_i +
e_{ij})` with normal effects and known spreads :math:`s_j` of the options. How large the three effects are is not fitted
but summed over a grid by what the table says of it (Gelman, Bayesian Analysis 1, 2006, on priors flat in the standard
deviations), which is what keeps claims honest where strata are few: with two strata nobody knows how much of what looks
best is luck. Options share a mean, so the one that looks best of all is taken down too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from coinfer.models.budget.calibration.stabilise import Stabilised, stabilised
from coinfer.solver.program import FloatArray, IntArray

SHARES = np.array([0.01, 0.1, 0.2, 0.35, 0.55, 0.8, 1.2, 1.8])
"""Standard deviations of the effects on the grid, in those of the whole table."""
KEPT, KEPT_LARGE, LARGE = 40, 3, 1_000_000
"""Most points of the grid that are used, and in tables of more cells than LARGE."""
RUN = 20_000
"""Strata that are summed together."""
TOWARDS_OPTION = 0.75
"""How far an error is drawn towards that of its option, after allowing for the value."""
SPREAD_ROWS = 4.0
"""The common spread of the options counts like so many strata."""
LEAST, ABSENT = 1e-12, 1e16
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Point:
    """A point of the grid, given the table.

    Attributes
    ----------
    weight
        Probability, before scaling: its logarithm.
    row, cell
        Variances of the effect of a stratum, and of a cell.
    mean, of_mean
        (options,), (options, options): of the options.
    """

    weight: float
    row: float
    cell: float
    mean: FloatArray
    of_mean: FloatArray


def hierarchy_claim(seen: FloatArray, error: FloatArray, weight: FloatArray, rows: IntArray) -> tuple[float, float]:
    """Return mean and variance of the weighted sum of the true values.

    Parameters
    ----------
    seen, error, weight
        (strata, options): estimates of at most 1, NaN where absent; standard errors; weights.
    rows
        Strata that the effects are fitted to.
    """
    scale = stabilised(seen[rows], error[rows] ** 2)
    places, noise = _places(scale, seen, error)
    spread = _spread(places[rows], noise[rows])
    center = float(places[noise < ABSENT].mean())
    scale = scale.moved(-center)
    places, noise = (places - center) / spread, np.where(noise < ABSENT, noise / spread**2, ABSENT)
    points = _points(places[rows], noise[rows], spread)
    most = KEPT if seen.size <= LARGE else KEPT_LARGE
    top = max(point.weight for point in points)
    kept = [point for point in sorted(points, key=lambda each: -each.weight)[:most] if point.weight > top - 7.0]
    share = np.exp([point.weight - top for point in kept])
    share /= share.sum()
    found = np.array([_sum(point, scale, spread, places, noise, weight) for point in kept])
    mean = float(share @ found[:, 0])
    return mean, float(share @ (found[:, 1] + (found[:, 0] - mean) ** 2))


def _places(scale: Stabilised, seen: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the table on the scale and its variances there; absent cells lie at the mean of their option."""
    there = ~np.isnan(seen)
    squared = np.where(there, error, 0.0) ** 2
    curve = scale.curve_at(np.where(there, seen, 0.0))
    off = squared > 0.0
    typical = squared.sum(axis=0) / np.maximum(np.where(off, curve, 0.0).sum(axis=0), LEAST)
    own = squared / curve
    noise = np.maximum(np.where(off, own + TOWARDS_OPTION * (typical - own), 0.0), LEAST)
    places = np.where(there, scale.to_scale(np.where(there, seen, 0.0)), 0.0)
    center = places.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, places, center), np.where(there, noise, ABSENT)


def _spread(places: FloatArray, noise: FloatArray) -> FloatArray:
    """Return the spread of each option between strata, as a factor on the common one."""
    rows, columns = places.shape
    known = noise < ABSENT
    count = known.sum(axis=0)
    if rows == 1:
        return np.ones(columns)
    whole = ((places - places.mean(axis=0)) ** 2).sum(axis=0) / np.maximum(count - 1, 1)
    own = whole - np.where(known, noise, 0.0).sum(axis=0) / np.maximum(count, 1)
    own = np.maximum(own, 0.05 * whole)
    common = float(own.mean())
    if common <= LEAST:
        return np.ones(columns)
    found: FloatArray = np.sqrt(np.maximum((rows * own / common + SPREAD_ROWS) / (rows + SPREAD_ROWS), 1e-3))
    return found


def _points(places: FloatArray, noise: FloatArray, spread: FloatArray) -> list[_Point]:
    """Return the grid with what the table says of each point."""
    known = noise < ABSENT
    size = max(float(places[known].var()), float(noise[known].mean()), LEAST) ** 0.5
    width = np.log(np.gradient(SHARES))
    alike = 1e2 * size**2 / np.outer(spread, spread)
    prior = np.array([np.diag((size * share / spread) ** 2) + alike for share in SHARES])
    points = []
    for row, cell in product(range(len(SHARES)), repeat=2):
        of_row, of_cell = (size * SHARES[row]) ** 2, (size * SHARES[cell]) ** 2
        precision = 1.0 / (of_cell + noise)
        pull = of_row / (1.0 + of_row * precision.sum(axis=1))
        told = np.diag(precision.sum(axis=0)) - precision.T @ (pull[:, None] * precision)
        seen = precision * places
        right = seen.sum(axis=0) - (pull * seen.sum(axis=1)) @ precision
        squares = float((seen * places).sum() - (pull * seen.sum(axis=1) ** 2).sum())
        logs = float(-np.log(precision[known]).sum() + np.log1p(of_row * precision.sum(axis=1)).sum())
        whole = np.eye(len(spread)) + told @ prior
        of_means = prior @ np.linalg.inv(whole)
        means = of_means @ right
        likelihood = -0.5 * (logs + np.linalg.slogdet(whole)[1] + squares - means @ right)
        weights = likelihood + width[row] + width[cell] + width
        points += [
            _Point(
                weight=float(weights[option]), row=of_row, cell=of_cell, mean=means[option], of_mean=of_means[option]
            )
            for option in range(len(SHARES))
        ]
    return points


def _sum(
    point: _Point, scale: Stabilised, spread: FloatArray, places: FloatArray, noise: FloatArray, weight: FloatArray
) -> tuple[float, float]:
    """Return mean and variance of the weighted sum at a point; the error of the options' means is shared by all."""
    mean, variance, shared = 0.0, 0.0, np.zeros(len(spread))
    for start in range(0, len(places), RUN):
        rows = slice(start, start + RUN)
        part = _run(point, scale, spread, places[rows], noise[rows], weight[rows])
        mean, variance, shared = mean + part[0], variance + part[1], shared + part[2]
    return mean, variance + float(shared @ point.of_mean @ shared)


def _run(
    point: _Point, scale: Stabilised, spread: FloatArray, places: FloatArray, noise: FloatArray, weight: FloatArray
) -> tuple[float, float, FloatArray]:
    """Return mean, variance and weight of the options' means of some strata.

    Errors of one stratum are taken as independent, and then what they would add if they were all the same is added.
    """
    row, column = np.nonzero(weight)
    rows = len(places)
    precision = 1.0 / (point.cell + noise)
    pull = point.row / (1.0 + point.row * precision.sum(axis=1))
    away = places - point.mean
    effect = pull * (precision * away).sum(axis=1)
    keep = point.cell * precision[row, column]
    place = point.mean[column] + effect[row] + keep * (away[row, column] - effect[row])
    left = pull[row] * (1.0 - keep) ** 2 + point.cell * (1.0 - keep)
    at = spread[column][:, None] * (place[:, None] + np.sqrt(left)[:, None] * NODES)
    value = scale.to_value(at) @ (WEIGHTS / WEIGHTS.sum())
    counts = weight[row, column] * spread[column] * scale.slope_at(spread[column] * place)
    own = float((np.bincount(row, weights=counts * np.sqrt(left), minlength=rows) ** 2).sum())
    by_row = np.bincount(row, weights=counts * (1.0 - keep), minlength=rows) * pull
    shared = np.bincount(column, weights=counts * (1.0 - keep), minlength=len(spread)) - by_row @ precision
    used = by_row[:, None] * precision
    np.add.at(used, (row, column), counts * keep)
    used *= np.sqrt(np.where(noise < ABSENT, noise, 0.0))
    together = np.maximum(np.abs(used).sum(axis=1) ** 2 - (used**2).sum(axis=1), 0.0).sum()
    return float(weight[row, column] @ value), own + float(together), shared
