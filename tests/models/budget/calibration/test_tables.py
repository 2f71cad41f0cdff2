"""Tables promise what is left when the best of noisy values has been picked."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from coinfer.models.budget.calibration import tables
from coinfer.models.budget.calibration.tables import table_claim
from coinfer.models.budget.curves.coverage import unbiased_coverage
from coinfer.solver.program import FloatArray

WORLDS = ("one difficulty", "none in common", "half in common", "same samples")
SIZES = ((2, 6, 10), (3, 4, 10), (50, 6, 10), (200, 6, 5), (20, 6, 200))
"""Strata, options, samples of each estimate."""


def world(kind: str, rows: int, columns: int, samples: int, random: np.random.Generator) -> tuple[FloatArray, ...]:
    """Return true values, estimates and their errors."""
    base, doubling = random.beta(1.0, 2.0, (rows, 1)), 2.0 ** np.arange(columns)
    true = 1.0 - (1.0 - base) ** doubling
    if kind == "one difficulty":
        true = true * random.uniform(0.7, 1.0, true.shape)
    elif kind == "none in common":
        true = random.beta(0.5, 0.5, true.shape)
    elif kind == "half in common":
        true = 0.6 * base + 0.4 * random.random(true.shape)
    if kind == "same samples":
        drawn = max(samples, int(doubling[-1]))
        right = random.binomial(drawn, base)
        rate = (right + 0.5) / (drawn + 1.0)
        seen = unbiased_coverage(right[:, 0], np.full(rows, drawn), doubling)
        error = np.minimum(doubling * (1.0 - rate) ** (doubling - 1.0) * np.sqrt(rate * (1.0 - rate) / drawn), 0.5)
        return true, seen, error
    seen = random.binomial(samples, true) / samples
    least = (samples + 1.0) / (samples + 2.0) ** 2
    return true, seen, np.sqrt(np.maximum(seen * (1.0 - seen), least) / samples)


def picked(seen: FloatArray) -> FloatArray:
    """Return the weights of a plan at a price: each stratum takes what looks best for it."""
    net = seen - 0.01 * 2.0 ** np.arange(seen.shape[1])
    weight = np.zeros(seen.shape)
    weight[np.arange(len(seen)), net.argmax(axis=1)] = 1.0 / len(seen)
    return weight


def covered(kind: str, size: tuple[int, int, int], repeats: int) -> tuple[float, float]:
    """Return how often the 95 % interval holds the true value, and how far the plug-in is off on average."""
    random = np.random.default_rng(11)
    inside, plain = [], []
    for _ in range(repeats):
        true, seen, error = world(kind, *size, random)
        weight = picked(seen)
        mean, variance = table_claim(seen, error, weight)
        inside.append(abs(mean - (weight * true).sum()) <= 1.96 * variance**0.5)
        plain.append((weight * (seen - true)).sum())
    return float(np.mean(inside)), float(np.mean(plain))


@pytest.mark.parametrize(("kind", "size"), list(product(WORLDS, SIZES)))
def test_intervals_hold_what_picked_values_are_worth(kind: str, size: tuple[int, int, int]) -> None:
    """In twenty regimes, 2 to 200 strata, at least 85 % of the 95 % intervals hold, whatever options have in common."""
    inside, _ = covered(kind, size, 40)
    assert inside >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "size"), list(product(WORLDS, SIZES)))
def test_intervals_hold_in_many_repetitions(kind: str, size: tuple[int, int, int]) -> None:
    """The same with 400 repetitions: at least 87 %."""
    inside, _ = covered(kind, size, 400)
    assert inside >= 0.87


def test_the_plug_in_would_be_far_off() -> None:
    """What the estimates of the picked options add up to is too high: the worlds above do select."""
    assert covered("half in common", (200, 6, 5), 20)[1] > 0.08
    assert covered("one difficulty", (50, 6, 10), 20)[1] > 0.04


@pytest.mark.parametrize("rows", [1, 2, 3, 40, 3000])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6, 1e-150])
def test_known_values_stay_whatever_their_size(rows: int, scale: float) -> None:
    """Errors of 0 leave the claim at the values, with no width to speak of; nothing overflows."""
    random = np.random.default_rng(rows)
    value = random.random((rows, 4)) * scale
    weight = picked(value / scale)
    mean, variance = table_claim(value, np.zeros_like(value), weight)
    assert mean == pytest.approx((weight * value).sum(), rel=1e-5)
    assert variance**0.5 <= 1e-4 * scale
    noisy, spread = table_claim(value, np.full_like(value, 0.1 * scale), weight)
    assert np.isfinite(noisy)
    assert spread > 0.0


def test_absent_options_tell_nothing() -> None:
    """What stands in a cell that is not there does not count, and neither does an option that nobody has."""
    random = np.random.default_rng(5)
    true, seen, error = world("half in common", 30, 5, 10, random)
    weight = picked(seen)
    gone = (weight == 0.0) & (random.random(seen.shape) < 0.3)
    seen[gone] = np.nan
    first = table_claim(seen, error, weight)
    error[gone] = 7.0
    assert table_claim(seen, error, weight) == pytest.approx(first)
    nobody = np.full((30, 1), np.nan)
    wider = table_claim(np.hstack([seen, nobody]), np.hstack([error, nobody]), np.hstack([weight, np.zeros((30, 1))]))
    assert wider == pytest.approx(first, rel=1e-3)
    assert abs(first[0] - (weight * true).sum()) < 4.0 * first[1] ** 0.5


def test_factors_give_nearly_what_solving_rows_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large tables are summed with a few factors of the covariance; the claim moves by little of its width."""
    random = np.random.default_rng(6)
    _, seen, error = world("one difficulty", 400, 6, 10, random)
    weight = picked(seen)
    solved = table_claim(seen, error, weight)
    monkeypatch.setattr(tables, "MOST_SOLVED", 0)
    monkeypatch.setattr(tables, "RUN", 64)
    quick = table_claim(seen, error, weight)
    assert quick[0] == pytest.approx(solved[0], abs=0.3 * solved[1] ** 0.5)
    assert quick[1] == pytest.approx(solved[1], rel=0.3)
