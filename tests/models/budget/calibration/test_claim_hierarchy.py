"""Claims of tables in worlds that a single normal fit of the rows gets wrong."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.models.budget.calibration.hierarchy import hierarchy_claim
from coinfer.models.budget.calibration.stabilise import stabilised
from coinfer.models.budget.calibration.tables import table_claim
from coinfer.solver.program import FloatArray

REGIMES = {
    "two levels": (50, 6, "best"),
    "more options than strata tell apart": (30, 30, "best"),
    "alike, one option for all": (30, 20, "common"),
    "alike, two strata": (2, 6, "best"),
    "one stratum": (1, 6, "best"),
    "errors grow with values": (8, 6, "best"),
    "many strata, two levels": (200, 4, "best"),
}


def world(name: str, rows: int, columns: int, random: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return true values, estimates and errors."""
    if name == "errors grow with values":
        true = np.exp(1.5 * random.normal(size=(rows, 1)) + 0.5 * random.normal(size=(rows, columns)))
        error = 0.15 * true * random.uniform(0.5, 2.0, true.shape)
        return true, np.maximum(true + error * random.normal(size=true.shape), 0.0), error
    if "two levels" in name:
        true = np.where(random.random((rows, 1)) < 0.5, 0.05, 0.9) * random.uniform(0.8, 1.0, (rows, columns))
    elif "alike" in name:
        true = np.clip(0.5 + 0.02 * random.normal(size=(rows, columns)), 0.0, 1.0)
    else:
        true = 0.6 * random.beta(1.0, 2.0, (rows, 1)) + 0.4 * random.random((rows, columns))
    seen = random.binomial(10, true) / 10
    return true, seen, np.sqrt(np.maximum(seen * (1.0 - seen), 11.0 / 144.0) / 10)


def covered(name: str, repeats: int) -> float:
    """Return how often the 95 % interval holds what the picked cells are worth."""
    rows, columns, how = REGIMES[name]
    random, inside = np.random.default_rng(17), []
    for _ in range(repeats):
        true, seen, error = world(name, rows, columns, random)
        picked = seen.argmax(axis=1) if how == "best" else np.full(rows, seen.sum(axis=0).argmax())
        weight = np.zeros(seen.shape)
        weight[np.arange(rows), picked] = 1.0 / rows
        mean, variance = table_claim(seen, error, weight)
        inside.append(abs(mean - (weight * true).sum()) <= 1.96 * variance**0.5)
    return float(np.mean(inside))


@pytest.mark.parametrize("name", REGIMES)
def test_intervals_hold_where_rows_are_not_normal_or_few(name: str) -> None:
    """In seven more regimes at least 85 % of 40 intervals hold what was picked."""
    assert covered(name, 40) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("name", REGIMES)
def test_the_same_in_many_repetitions(name: str) -> None:
    """With 300 repetitions: at least 87 %."""
    assert covered(name, 300) >= 0.87


def test_the_scale_is_undone_and_flattens_errors() -> None:
    """Places lead back to their values, beyond the ends too, and errors of shares are alike on the scale."""
    random = np.random.default_rng(2)
    value = np.append(random.random(400), [0.0, 1.0])[:, None]
    scale = stabilised(value, value * (1.0 - value) / 20 + 1e-4)
    wide = np.linspace(-0.3, 1.4, 200)
    assert scale.to_value(scale.to_scale(wide)) == pytest.approx(wide, abs=1e-12)
    assert scale.to_scale(wide) == pytest.approx(np.sort(scale.to_scale(wide)))
    middle = np.array([0.1, 0.3, 0.5, 0.8])
    slope = 1.0 / scale.slope_at(scale.to_scale(middle))
    assert slope**2 * middle * (1.0 - middle) == pytest.approx(np.full(4, 0.25) * (slope[2] ** 2), rel=0.2)


def test_the_option_that_looks_best_of_all_is_taken_down() -> None:
    """With true values alike the claim for the best of twenty options loses most of its luck."""
    random = np.random.default_rng(4)
    seen = 0.5 + 0.15 * random.normal(size=(10, 20))
    best = int(seen.mean(axis=0).argmax())
    weight = np.zeros(seen.shape)
    weight[:, best] = 0.1
    mean, variance = hierarchy_claim(seen, np.full(seen.shape, 0.15), weight, np.arange(10))
    luck = seen[:, best].mean() - 0.5
    assert mean - 0.5 < 0.5 * luck
    assert abs(mean - 0.5) < 2.5 * variance**0.5


@pytest.mark.parametrize(
    "value", [[[0.667]], [[0.05]], [[0.7, 0.7, 0.7, 0.72]], [[0.66], [0.7]], [[0.9, 0.9], [0.9, 0.9]]]
)
def test_values_that_are_alike_are_not_drawn_to_nought(value: list[list[float]]) -> None:
    """Claims of a few alike cells lie near them, with about the width that their errors give."""
    seen = np.array(value)
    weight = np.zeros(seen.shape)
    weight[:, -1] = 1.0 / len(seen)
    error = np.full(seen.shape, 0.05)
    mean, variance = table_claim(seen, error, weight)
    assert mean == pytest.approx((weight * seen).sum(), abs=0.02)
    assert 0.3 * 0.05 / len(seen) ** 0.5 <= variance**0.5 <= 2.0 * 0.05


def test_large_tables_are_summed_in_runs() -> None:
    """Strata that the fit does not look at are judged by it all the same: a table twice over has the same claim."""
    random = np.random.default_rng(6)
    seen, error = random.random((25_000, 3)), np.full((25_000, 3), 0.1)
    weight = np.zeros(seen.shape)
    weight[np.arange(25_000), seen.argmax(axis=1)] = 1.0
    rows = np.arange(100)
    whole = hierarchy_claim(seen, error, weight, rows)
    halves = [hierarchy_claim(seen, error, np.where(part[:, None], weight, 0.0), rows) for part in _halves()]
    assert sum(mean for mean, _ in halves) == pytest.approx(whole[0])
    assert sum(variance**0.5 for _, variance in halves) >= whole[1] ** 0.5


def _halves() -> list[FloatArray]:
    first = np.arange(25_000) < 12_000
    return [first, ~first]
