"""Values per stratum that borrow from other strata."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import ProblemError
from coinfer.models.budget.difficulty.frontier import frontier
from coinfer.models.budget.difficulty.measured import option_values
from coinfer.models.budget.difficulty.menus import options_of
from coinfer.models.budget.difficulty.shrink import (
    NOTHING_LEARNED,
    Shrinkage,
    chosen_shrinkage,
    empirical_bayes,
    mean_per_stratum,
    stratum_values,
)
from coinfer.models.budget.difficulty.strata import Partition, by_history, by_label, pooled
from coinfer.solver.program import FloatArray, IntArray
from coinfer.testing.difficulty import graded_outcomes

BUDGETS = np.array([1.0, 2.0, 4.0, 8.0])


def _table(informative: bool, seed: int, prompts: int = 200) -> tuple[FloatArray, FloatArray, Partition]:
    outcomes = graded_outcomes(prompts, seed=seed, informative=informative)
    _, pairs = options_of(outcomes, (1, 2, 4, 8))
    cost = np.array([outcomes.sample_cost[0, 0, arm] * count for arm, count in pairs])
    return option_values(outcomes, pairs), cost, by_label(outcomes)


def _unseen(
    table: FloatArray, cost: FloatArray, own: Partition, learn: IntArray, score: IntArray, value: FloatArray
) -> FloatArray:
    """Return what plans by ``value`` gain at ``BUDGETS`` on the prompts ``score``, with an option that does nothing."""
    part = own.only(score)
    none = np.zeros((len(value), 1))
    truth = np.hstack([none, mean_per_stratum(table[score], part)])
    costs = np.broadcast_to(np.append(0.0, cost), truth.shape)
    planned = np.hstack([none, value])
    return frontier(planned, costs, part.prompts.astype(np.float64), true_value=truth).at(BUDGETS)


def test_raw_is_the_mean_and_full_pull_is_the_mean_of_all() -> None:
    """Without borrowing a stratum has its own mean; pulled in full, it has that of all prompts."""
    table, _, own = _table(True, 0)
    assert stratum_values(table, own, Shrinkage()).value == pytest.approx(mean_per_stratum(table, own))
    everywhere = stratum_values(table, own, NOTHING_LEARNED).value
    assert everywhere == pytest.approx(np.tile(table.mean(axis=0), (2, 1)))


def test_empirical_bayes_trusts_what_is_large_against_its_noise() -> None:
    """Strata far apart keep their means; strata that differ by noise alone end near the mean of all."""
    table, _, own = _table(True, 1)
    raw, overall = mean_per_stratum(table, own), table.mean(axis=0)
    kept = np.abs(empirical_bayes(table, own).value - overall).sum() / np.abs(raw - overall).sum()
    assert kept > 0.95
    shares = []
    for seed in range(5):
        table, _, own = _table(False, seed)
        raw, overall = mean_per_stratum(table, own), table.mean(axis=0)
        shares.append(np.abs(empirical_bayes(table, own).value - overall).sum() / np.abs(raw - overall).sum())
    assert np.mean(shares) < 0.5


def test_a_label_that_says_nothing_does_not_lose() -> None:
    """With coin-thrown labels on few prompts shrunk plans lose less on unseen prompts than raw ones, nearly nothing."""
    gaps = {"raw": 0.0, "shrunk": 0.0}
    base = 0.0
    for seed in range(60):
        table, cost, own = _table(False, seed, prompts=60)
        order = np.random.default_rng(seed).permutation(60)
        learn, score = order[:30], order[30:]
        told = own.only(learn)
        alike = _unseen(table, cost, own, learn, score, stratum_values(table[learn], told, NOTHING_LEARNED).value)
        raw = _unseen(table, cost, own, learn, score, stratum_values(table[learn], told, Shrinkage()).value)
        shrunk = _unseen(table, cost, own, learn, score, stratum_values(table[learn], told).value)
        base += alike.sum()
        gaps["raw"] += (alike - raw).sum()
        gaps["shrunk"] += (alike - shrunk).sum()
    assert gaps["shrunk"] < 0.8 * gaps["raw"]
    assert gaps["shrunk"] < 0.01 * base


def test_a_label_that_says_much_is_used() -> None:
    """With labels that follow the difficulty, shrunk plans gain on unseen prompts at small budgets."""
    gain = 0.0
    for seed in range(5):
        table, cost, own = _table(True, seed)
        order = np.random.default_rng(seed).permutation(200)
        learn, score = order[:100], order[100:]
        told = own.only(learn)
        alike = _unseen(table, cost, own, learn, score, stratum_values(table[learn], told, NOTHING_LEARNED).value)
        gain += (_unseen(table, cost, own, learn, score, stratum_values(table[learn], told).value) - alike)[0]
    assert gain / 5.0 > 0.02


def test_cross_validation_tells_a_label_from_a_coin() -> None:
    """On many prompts a label that follows the difficulty is used, and a coin mostly is not."""
    candidates = (Shrinkage(), Shrinkage(pull=0.3))
    chosen = {}
    for informative in (True, False):
        kept = [
            chosen_shrinkage(table, cost, own, BUDGETS, candidates=candidates, seed=seed)
            for seed in range(5)
            for table, cost, own in [_table(informative, seed)]
        ]
        chosen[informative] = sum(each != NOTHING_LEARNED for each in kept)
    assert chosen[True] == 5
    assert chosen[False] <= 2


def test_an_empty_stratum_has_what_all_have() -> None:
    """A stratum without prompts takes the mean of all, or of its neighbours, never 0 and never NaN."""
    table, _, _ = _table(True, 2, prompts=40)
    runs = by_history(np.repeat([0, 2], 20)[:, None], np.full((40, 1), 4), models=["other"])
    for shrinkage in (Shrinkage(), Shrinkage(width=0.1), None):
        value = stratum_values(table, runs, shrinkage).value
        assert np.isfinite(value).all()
        assert (value[4] > 0.0).any()
    assert empirical_bayes(table, runs).value[4] == pytest.approx(table.mean(axis=0))


def test_what_was_not_measured_is_not_zero() -> None:
    """NaN entries count for nothing; an option that was measured nowhere is refused."""
    table, _, own = _table(True, 3, prompts=20)
    holes = table.copy()
    holes[::3, 0] = np.nan
    expected = np.nanmean(np.where((own.of_prompt == 0)[:, None], holes, np.nan), axis=0)
    assert stratum_values(holes, own, Shrinkage()).value[0] == pytest.approx(expected)
    holes[own.of_prompt == 0, 1] = np.nan
    assert stratum_values(holes, own, Shrinkage()).value[0, 1] == pytest.approx(np.nanmean(holes[:, 1]))
    holes[:, 0] = np.nan
    with pytest.raises(ProblemError, match=r"options\[0\]: expected measured on some prompt"):
        stratum_values(holes, own, Shrinkage())


def test_the_error_is_that_of_a_mean() -> None:
    """Over repeated draws the estimate of the mean strays as much as its standard error says."""
    found, said = [], []
    for seed in range(60):
        table, _, own = _table(True, seed, prompts=80)
        made = stratum_values(table, pooled(len(own.of_prompt)), Shrinkage())
        found.append(made.value[0])
        said.append(made.error[0])
    assert np.std(found, axis=0) == pytest.approx(np.mean(said, axis=0), rel=0.35)


def test_few_equal_prompts_are_not_certain() -> None:
    """A stratum of one prompt, or of prompts that were never right, still has an error."""
    table, _, _ = _table(True, 4, prompts=30)
    runs = by_history(np.array([[1]] + [[0]] * 29), np.full((30, 1), 1), models=["other"])
    for made in (stratum_values(table, runs, Shrinkage()), empirical_bayes(table, runs)):
        assert (made.error[1] > 0.05).all()
