"""Forecasts of coverage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.coverage import unbiased_coverage
from coinfer.models.budget.forecast import forecast
from coinfer.testing.forecast_series import beta_series

FILES = ("pythia_math_outcomes.parquet", "codecontests_outcomes.parquet")
counts = st.lists(
    st.integers(0, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=30
).filter(lambda pairs: any(n for _, n in pairs))


@settings(max_examples=60)
@given(counts, st.lists(st.integers(1, 10**9), min_size=1, max_size=4), st.booleans())
def test_a_forecast_is_always_a_rising_share_inside_its_interval(pairs, budgets, cautious):
    """Whatever the counts, shares are in 0..1, rise with the budget, and lie between their bounds."""
    right, drawn = np.array(pairs).T
    made = forecast(right, drawn, sorted(budgets), cautious=cautious)
    for each in (made.lower, made.coverage, made.upper, made.per_prompt):
        assert np.isfinite(each).all()
        assert (each >= 0).all()
        assert (each <= 1).all()
    assert (made.lower <= made.coverage).all()
    assert (made.coverage <= made.upper).all()
    assert (np.diff(made.per_prompt, axis=1) >= -1e-9).all()
    assert made.coverage == pytest.approx(made.per_prompt.mean(axis=0))


def test_within_the_samples_drawn_it_is_unbiased():
    """Up to n the forecast is pass@k, and just past n it goes on from there, known no better than at n."""
    series = beta_series(alpha=0.2, beta=4.0, prompts=60, samples=50, seed=1)
    made = forecast(series.successes, series.samples, [1, 10, 50, 51])
    assert made.per_prompt[:, :3] == pytest.approx(unbiased_coverage(series.successes, series.samples, [1, 10, 50]))
    assert 0.0 <= made.coverage[3] - made.coverage[2] < 0.01
    width = made.upper - made.lower
    assert (width > 0.01).all()
    assert width[3] > 0.9 * width[2]


@pytest.mark.parametrize("prompts", [1, 20, 200])
def test_all_zero_is_near_zero_with_a_wide_upper_end(prompts):
    """Counts that are all 0 forecast little, never nothing at all, and do not rule much out."""
    made = forecast([0] * prompts, [100] * prompts, [100, 10_000])
    assert made.method == "posterior median"
    assert made.coverage[0] == 0.0
    assert 0.0 < made.coverage[1] < (0.1 if prompts > 1 else 0.2)
    assert made.upper[0] > 0.001
    assert made.upper[1] > 0.2
    assert made.lower[1] < 0.01


def test_more_failures_forecast_less():
    """A thousand failures of each prompt promise less at 10,000 samples than ten."""
    few, many = (forecast([0] * 50, [count] * 50, [10_000]) for count in (10, 1_000))
    assert many.coverage[0] < few.coverage[0]
    assert many.upper[0] < few.upper[0]


def test_all_right_is_certain():
    """Counts that are all right leave nothing to win."""
    made = forecast([100] * 30, [100] * 30, [1, 10_000])
    assert made.coverage.tolist() == [1.0, 1.0]
    assert made.lower[0] > 0.999


def test_one_prompt_that_never_passed_may_do_anything():
    """One prompt says little of itself: at 90 % the interval goes from 0 to 1."""
    made = forecast([0], [20], [10_000])
    assert made.lower[0] == 0.0
    assert made.upper[0] == 1.0


def test_a_prompt_not_measured_is_worth_at_least_one_that_failed():
    """No samples are no failures, and fewer failures leave more hope."""
    made = forecast([0, 0, 0, 3, 9], [0, 10, 40, 40, 40], [1_000])
    assert made.per_prompt[0, 0] > made.per_prompt[1, 0] > made.per_prompt[2, 0] > 0.0
    assert made.per_prompt[3:, 0].tolist() == [1.0, 1.0]


def test_a_higher_level_is_a_wider_interval():
    """The 99 % interval holds the 90 % one, which holds the 50 % one."""
    series = beta_series(alpha=0.15, beta=3.0, prompts=80, samples=60, seed=2)
    ends = [forecast(series.successes, series.samples, [20, 5_000], level=level) for level in (0.99, 0.9, 0.5)]
    for outer, inner in itertools.pairwise(ends):
        assert (outer.lower < inner.lower).all()
        assert (outer.upper > inner.upper).all()


def test_the_order_of_prompts_is_nothing():
    """Prompts in another order give the same forecast."""
    series = beta_series(alpha=0.15, beta=3.0, prompts=40, samples=60, seed=3)
    there = forecast(series.successes, series.samples, [5_000])
    back = forecast(series.successes[::-1], series.samples[::-1], [5_000])
    assert there.lower == pytest.approx(back.lower)
    assert there.coverage == pytest.approx(back.coverage)


def _results(series, budget, **options):
    """Return how often the interval holds the truth, the mean error and the mean width."""
    inside, errors, widths = [], [], []
    for each in series:
        made = forecast(each.successes, each.samples, [budget], **options)
        truth = each.coverage(budget)
        inside.append(made.lower[0] <= truth <= made.upper[0])
        errors.append(abs(made.coverage[0] - truth))
        widths.append(made.upper[0] - made.lower[0])
    return np.mean(inside), np.mean(errors), np.mean(widths)


def test_intervals_hold_where_the_law_does():
    """On rates whose coverage is close to the law, 90 % intervals hold the truth in at least 80 %."""
    made = [beta_series(alpha=0.3, beta=30.0, prompts=120, samples=100, seed=seed) for seed in range(25)]
    inside, error, _ = _results(made, 10_000)
    assert inside >= 0.8
    assert error <= 0.05


@pytest.mark.parametrize(("alpha", "beta", "impossible"), [(0.15, 3.0, 0.0), (0.3, 3.0, 0.5), (0.1, 1.0, 0.3)])
def test_cautious_intervals_hold_where_coverage_ends_below_one(alpha, beta, impossible):
    """On Beta rates, with many prompts that nothing passes, cautious intervals hold; they are the wider ones."""
    made = [
        beta_series(alpha=alpha, beta=beta, prompts=120, samples=100, seed=seed, impossible=impossible)
        for seed in range(15)
    ]
    inside, error, width = _results(made, 10_000, cautious=True)
    assert inside >= 0.8
    assert error <= 0.08
    assert width > 1.2 * _results(made, 10_000)[2]


@pytest.mark.parametrize("budget", [1, 10, 100])
def test_intervals_hold_within_the_samples_drawn(budget):
    """Up to the samples drawn the interval is that of the rates, not of the curve, and holds in 80 to 100 %."""
    made = [beta_series(alpha=0.2, beta=6.0, prompts=120, samples=100, seed=seed) for seed in range(40)]
    assert _results(made, budget)[0] >= 0.8


@pytest.mark.parametrize(
    ("successes", "samples", "budgets", "level", "where"),
    [
        ([1], [1, 2], [5], 0.9, "samples"),
        ([3], [2], [5], 0.9, "successes[0]"),
        ([0, -1], [2, 2], [5], 0.9, "successes[1]"),
        ([0.5], [2], [5], 0.9, "successes"),
        ([float("nan")], [2], [5], 0.9, "successes"),
        ([[1]], [2], [5], 0.9, "successes"),
        ([0], [0], [5], 0.9, "samples"),
        ([], [], [5], 0.9, "samples"),
        ([0], [2], [0], 0.9, "budgets"),
        ([0], [2], [], 0.9, "budgets"),
        ([0], [2], [5], 1.0, "level"),
        ([0], [2], [5], float("nan"), "level"),
        (["a"], [2], [5], 0.9, "successes"),
    ],
)
def test_bad_input_is_one_sentence(successes, samples, budgets, level, where):
    """What is no count, no budget or no level is named with its place."""
    with pytest.raises(InputError) as caught:
        forecast(successes, samples, budgets, level=level)
    assert caught.value.where == where


def test_recorded_outcomes_are_forecast_within_four_points(shared_data):
    """From 100 samples of recorded outcomes, mean error at 10,000 is at most .04 and intervals hold in 80 to 100 %."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, which reads the recorded outcomes, is absent")
    random, inside, errors = np.random.default_rng(0), [], []
    for name in FILES:
        if not (shared_data / name).is_file():
            pytest.skip(f"the recorded outcomes {name} are absent")
        table = parquet.read_table(shared_data / name, columns=["Problem Idx", "Score", "Model"])
        problem = table["Problem Idx"].to_numpy()
        asked, size = np.flatnonzero(np.bincount(problem)), problem.max() + 1
        coded = table["Model"].dictionary_encode().combine_chunks()
        cells = coded.indices.to_numpy() * size + problem
        right = np.bincount(
            cells, weights=table["Score"].to_numpy().astype(float), minlength=len(coded.dictionary) * size
        )
        for counts_of_model in right.astype(np.int64).reshape(-1, size)[:, asked]:
            truth = np.mean(counts_of_model > 0)
            for _ in range(3):
                seen = random.hypergeometric(counts_of_model, 10_000 - counts_of_model, 100)
                made = forecast(seen, np.full(len(seen), 100), [10_000])
                errors.append(abs(made.coverage[0] - truth))
                inside.append(made.lower[0] <= truth <= made.upper[0])
    assert np.mean(errors) <= 0.04
    assert np.mean(inside) >= 0.8
