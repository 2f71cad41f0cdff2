"""Posteriors that follow outcomes, and what to sample next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import InputError
from coinfer.models.budget.calibration.design import design, knowledge_gradient
from coinfer.models.budget.calibration.factor import GRID, matched_beta
from coinfer.models.budget.calibration.update import Posteriors, empirical_posteriors, update, updated
from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.outcomes import Outcomes
from coinfer.records import Matrix


def outcomes_of(right: list[list[int]], drawn: list[list[int]], names: tuple[str, ...] = ()) -> Outcomes:
    """Return outcomes without costs."""
    shape = np.array(drawn).shape
    return Outcomes(
        prompts=names or tuple(f"prompt {i}" for i in range(shape[0])),
        arms=tuple(f"arm {i}" for i in range(shape[1])),
        successes=np.array(right, dtype=np.int64),
        samples=np.array(drawn, dtype=np.int64),
        resources=(),
        sample_cost=np.zeros((0, *shape)),
    )


cells = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=4)


@given(st.lists(cells, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_order_and_parts_make_no_difference(parts: list[list[tuple[int, int]]], random: object) -> None:
    """Outcomes that arrive in parts, in any order, give the posterior of their sum."""
    batches = [
        outcomes_of([[a, b], [c, d]], [[a + w, b + x], [c + y, d + z]]) for (a, w), (b, x), (c, y), (d, z) in parts
    ]
    start = (np.full((2, 2), 0.5), np.full((2, 2), 2.0))
    forward, backward = start, start
    for batch in batches:
        forward = update(*forward, batch)
    random.shuffle(batches)  # type: ignore[attr-defined]
    for batch in batches:
        backward = update(*backward, batch)
    np.testing.assert_allclose(forward, backward, rtol=1e-12)
    right = sum(batch.successes for batch in batches)
    drawn = sum(batch.samples for batch in batches)
    np.testing.assert_allclose(forward, (0.5 + right, 2.0 + drawn - right), rtol=1e-12)


def test_file_round_trip_and_outcomes_by_name(tmp_path: Path) -> None:
    """Posteriors survive their file; outcomes of some prompts find their rows by name, unknown ones are refused."""
    posteriors = Posteriors(
        prompts=("a", "b"), arms=("arm 0",), alpha=Matrix([[0.5], [1.5]]), beta=Matrix([[2.0], [3.0]])
    )
    jsonfile.write(tmp_path / "p.json", posteriors)
    read = jsonfile.read(tmp_path / "p.json", Posteriors, format_name=Posteriors.file_format)
    assert read == posteriors
    after = updated(read, outcomes_of([[2]], [[5]], ("b",)))
    assert after.alpha.array.tolist() == [[0.5], [3.5]]
    assert after.beta.array.tolist() == [[2.0], [6.0]]
    with pytest.raises(InputError):
        updated(read, outcomes_of([[2]], [[5]], ("c",)))
    with pytest.raises(InputError):
        Posteriors(prompts=("a",), arms=("m",), alpha=Matrix([[0.0]]), beta=Matrix([[1.0]]))


def test_other_arms_tell_of_a_prompt() -> None:
    """A cell without samples takes its rate from what the other arms did on that prompt."""
    random = np.random.default_rng(0)
    logit = 2.0 * random.normal(size=(80, 1)) - 1.0 + 0.3 * random.normal(size=(80, 3))
    right = random.binomial(30, 1.0 / (1.0 + np.exp(-logit)))
    drawn = np.full((80, 3), 30)
    drawn[:10, 0], right[:10, 0] = 0, 0
    posteriors = empirical_posteriors(outcomes_of(right.tolist(), drawn.tolist()))
    mean = posteriors.alpha.array / (posteriors.alpha.array + posteriors.beta.array)
    truth = 1.0 / (1.0 + np.exp(-logit[:10, 0]))
    assert np.corrcoef(mean[:10, 0], truth)[0, 1] > 0.9
    assert np.abs(mean - right / np.maximum(drawn, 1))[10:].mean() < 0.05


@pytest.mark.parametrize("rates", [[[0, 0]], [[30, 30]]])
def test_all_wrong_and_all_right_do_not_diverge(rates: list[list[int]]) -> None:
    """Arms that are never or always right get finite posteriors near 0 or 1."""
    posteriors = empirical_posteriors(outcomes_of(rates * 20, [[30, 30]] * 20))
    mean = posteriors.alpha.array / (posteriors.alpha.array + posteriors.beta.array)
    assert np.isfinite(mean).all()
    assert (mean < 0.05).all() if rates == [[0, 0]] else (mean > 0.95).all()


@given(st.floats(0.5, 40.0), st.floats(0.5, 40.0))
def test_beta_posteriors_on_the_grid_are_matched(alpha: float, beta: float) -> None:
    """A Beta distribution put on the grid is found again, by its coverage."""
    log_weight = -alpha * np.logaddexp(0.0, -GRID) - beta * np.logaddexp(0.0, GRID)
    weight = np.exp(log_weight - log_weight.max())
    found = matched_beta((weight / weight.sum())[None])
    draws = np.array([1.0, 5.0, 40.0])
    got, wanted = (expected_coverage(a, b, draws) for a, b in ((found[0][0], found[1][0]), (alpha, beta)))
    np.testing.assert_allclose(got, wanted, atol=0.01)


def test_information_is_worth_nothing_where_it_changes_nothing() -> None:
    """Cells that are certain, or hopeless at the price, are not sampled; the doubtful one is."""
    alpha, beta = np.array([[1e6, 0.5, 1e-4]]), np.array([[1e6, 1.5, 1e6]])
    cost, draws = np.ones((1, 3)), np.array([1.0, 4.0])
    worth, look = knowledge_gradient(alpha, beta, cost, draws, price=0.05)
    assert worth[0, 1] > 1e-4
    assert worth[0, 0] < 1e-6
    assert worth[0, 2] < 1e-6
    chosen = design(alpha, beta, cost, draws, price=0.05, budget=float(look[0, 1]))
    assert chosen.samples.tolist() == [[0, int(look[0, 1]), 0]]
    assert chosen.cost <= float(look[0, 1])
    with pytest.raises(InputError):
        design(alpha, beta, 0.0 * cost, draws, price=0.05, budget=1.0)


def test_gain_is_that_of_going_through_all_outcomes() -> None:
    """One sample of one of two arms: the gain equals the mean of the best after it less the best before."""
    alpha, beta = np.array([[2.0, 1.0]]), np.array([[3.0, 1.4]])
    cost, draws, price = np.array([[1.0, 1.0]]), np.array([1.0]), 0.1

    def best(a: list[float], b: list[float]) -> float:
        return max(0.0, *(x / (x + y) - price for x, y in zip(a, b, strict=True)))

    now = best([2.0, 1.0], [3.0, 1.4])
    chance = 2.0 / 5.0
    gain = chance * best([3.0, 1.0], [3.0, 1.4]) + (1 - chance) * best([2.0, 1.0], [4.0, 1.4]) - now
    worth, look = knowledge_gradient(alpha, beta, cost, draws, price=price)
    assert gain > 0.0
    assert look[0, 0] > 1 or worth[0, 0] == pytest.approx(gain)
    assert worth[0, 0] >= gain - 1e-12


def test_chosen_cells_beat_uniform_sampling() -> None:
    """At equal cost, choosing what to sample gives a better plan than sampling all cells alike."""
    random = np.random.default_rng(5)
    logit = -1.5 + 2.0 * random.normal(size=(150, 4)) - np.array([0.0, 0.3, 0.6, 0.9])
    rate = 1.0 / (1.0 + np.exp(-logit))
    cost, draws, price = np.ones_like(rate), np.array([1.0, 2.0, 4.0, 8.0]), 0.04

    def net(alpha: np.ndarray, beta: np.ndarray) -> float:
        believed = (expected_coverage(alpha, beta, draws) - price * draws).reshape(150, -1)
        truth = (1.0 - (1.0 - rate[:, :, None]) ** draws - price * draws).reshape(150, -1)
        pick = believed.argmax(axis=1)
        return float(np.where(believed.max(axis=1) > 0.0, truth[np.arange(150), pick], 0.0).mean())

    ends = {"uniform": 0.0, "chosen": 0.0}
    for seed in range(4):
        draw = np.random.default_rng(seed)
        for how in ends:
            alpha, beta = np.full(rate.shape, 0.35), np.full(rate.shape, 1.0)
            for _ in range(6):
                samples = np.ones(rate.shape, dtype=np.int64)
                if how == "chosen":
                    samples = design(alpha, beta, cost, draws, price=price, budget=600.0).samples
                right = draw.binomial(samples, rate)
                alpha, beta = alpha + right, beta + samples - right
            ends[how] += net(alpha, beta)
    assert ends["chosen"] > ends["uniform"]
