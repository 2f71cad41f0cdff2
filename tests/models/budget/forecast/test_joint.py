"""Forecasts of several models on the same prompts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.coverage import unbiased_coverage
from coinfer.models.budget.forecast import Sharing, forecast, forecast_jointly, joint
from coinfer.models.budget.forecast.forecast import of_view
from coinfer.testing.forecast_series import shared_difficulty

GOAL = 10_000
FILES = ("pythia_math_outcomes.parquet", "codecontests_outcomes.parquet")
tables = st.integers(1, 5).flatmap(
    lambda models: st.lists(
        st.lists(
            st.integers(0, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
            min_size=models,
            max_size=models,
        ),
        min_size=1,
        max_size=15,
    )
)


def errors_of(seeds, **options):
    """Return the mean errors at the goal jointly and alone, and how often joint intervals hold."""
    joint, single, held = [], [], []
    for seed in seeds:
        made = shared_difficulty(prompts=120, models=6, samples=100, seed=seed)
        truth = made.coverage(GOAL)
        both = forecast_jointly(made.successes, 100, [GOAL], **options)
        alone = [forecast(column, np.full(120, 100), [GOAL]) for column in made.successes.T]
        joint += [abs(each.coverage[0] - true) for each, true in zip(both, truth, strict=True)]
        single += [abs(each.coverage[0] - true) for each, true in zip(alone, truth, strict=True)]
        held += [each.lower[0] <= true <= each.upper[0] for each, true in zip(both, truth, strict=True)]
    return np.mean(joint), np.mean(single), np.mean(held)


def test_models_of_one_difficulty_forecast_better_together():
    """Where one difficulty is behind all models, the joint error is below .9 of that alone, and wide intervals hold."""
    joint, single, held = errors_of(range(20), sharing=Sharing(spread=1.0))
    assert joint < 0.9 * single
    assert held >= 0.8


def test_without_sharing_nothing_is_won():
    """With nothing shared, what is left is each series' own law, and the error is that of the series alone."""
    joint, single, _ = errors_of(range(4), sharing=Sharing(weight=0.0, flattening=0.0))
    assert joint == pytest.approx(single, rel=0.15)


@settings(max_examples=30, deadline=None)
@given(tables, st.lists(st.integers(1, 10**9), min_size=1, max_size=4))
def test_a_joint_forecast_is_always_a_rising_share_inside_its_interval(table, budgets):
    """Whatever the counts, shares are in 0..1, rise with the budget, and lie between their bounds."""
    right, drawn = np.moveaxis(np.array(table), 2, 0)
    if not drawn.any(axis=0).all():
        return
    for made in forecast_jointly(right, drawn, sorted(budgets)):
        for each in (made.lower, made.coverage, made.upper, made.per_prompt):
            assert np.isfinite(each).all()
            assert (each >= 0).all()
            assert (each <= 1).all()
        assert (made.lower <= made.coverage).all()
        assert (made.coverage <= made.upper).all()
        assert (np.diff(made.per_prompt, axis=1) >= -1e-9).all()
        assert made.coverage == pytest.approx(made.per_prompt.mean(axis=0))


def test_it_goes_on_from_the_samples_drawn():
    """Up to n the forecast is pass@k, just past n it has hardly moved, and it never stops rising, lucky or not."""
    for seed in range(2):
        made = shared_difficulty(prompts=60, models=5, samples=100, seed=seed)
        budgets = [1, 10, 100, 101, *np.unique(np.geomspace(102, 10**6, 60).astype(int)).tolist()]
        for column, each in zip(made.successes.T, forecast_jointly(made.successes, 100, budgets), strict=True):
            counted = unbiased_coverage(column, np.full(60, 100), [1, 10, 100])
            assert each.per_prompt[:, :3] == pytest.approx(counted)
            assert 0.0 <= each.coverage[3] - each.coverage[2] < 0.01
            assert (np.diff(each.coverage[2:]) > 0).all()


@pytest.mark.parametrize("by", [-0.15, 0.0, 0.05])
def test_a_moved_exponent_keeps_the_level_and_forgets_luck(by):
    """Where the level is known the moved law is what it was, and far beyond the samples coverage is the law's."""
    made = shared_difficulty(prompts=80, models=3, samples=100, seed=9)
    lucks = []
    for column in made.successes.T:
        own = joint._own(column, np.full(80, 100))
        view = joint._view(own, own.law.exponent + by, 1.0)
        middle = np.array([np.exp(own.middle)])
        assert view.law.failing(middle) == pytest.approx(own.law.failing(middle))
        around = view.law.failing(np.array([100.0, 100.001]))
        steepness = -np.diff(np.log(around))[0] / np.log(1.00001)
        lucks.append(view.luck)
        assert view.luck <= steepness * 1.001
        said, counted = float(around[0]), float(np.mean(column == 0))
        assert view.luck == pytest.approx(min(said / counted - 1.0, steepness), rel=1e-3)
        if view.luck < 0.99 * steepness:
            far = of_view(view, column, np.full(80, 100), np.array([10**8]), 0.9)
            assert 1.0 - far.coverage[0] == pytest.approx(float(view.law.failing(np.array([10**8]))[0]), rel=1e-4)
    assert max(np.abs(lucks)) > 0.005


def test_the_interval_lies_around_the_forecast():
    """An interval that is to hold next to nothing is next to nothing, at the forecast."""
    made = shared_difficulty(prompts=80, models=5, samples=100, seed=11)
    for each in forecast_jointly(made.successes, 100, [GOAL], level=0.02):
        assert each.upper[0] - each.lower[0] < 0.006


@pytest.mark.parametrize("models", [1, 2])
def test_too_few_models_are_forecast_alone(models):
    """One model, or two, has the very forecast that it has alone."""
    made = shared_difficulty(prompts=50, models=models, samples=60, seed=3)
    for column, each in zip(made.successes.T, forecast_jointly(made.successes, 60, [10, 1_000]), strict=True):
        alone = forecast(column, np.full(50, 60), [10, 1_000])
        assert each.method == alone.method
        assert each.per_prompt.tolist() == alone.per_prompt.tolist()
        assert (each.lower.tolist(), each.upper.tolist()) == (alone.lower.tolist(), alone.upper.tolist())


def test_an_all_zero_series_beside_strong_ones_is_forecast_alone_and_changes_nothing():
    """A model that never passed has its own wide forecast, and the others have what they have without it."""
    made = shared_difficulty(prompts=80, models=4, samples=100, seed=5)
    with_zero = np.column_stack([made.successes[:, :2], np.zeros(80, dtype=int), made.successes[:, 2:]])
    found = forecast_jointly(with_zero, 100, [GOAL])
    assert found[2].method == "posterior median"
    assert 0.0 < found[2].coverage[0] < 0.1
    assert found[2].upper[0] > 0.2
    others = [found[at].coverage[0] for at in (0, 1, 3, 4)]
    assert others == pytest.approx([each.coverage[0] for each in forecast_jointly(made.successes, 100, [GOAL])])


def test_all_zero_or_all_right_tables_do_not_diverge():
    """Tables of nothing but failures or passes, and of one prompt, have forecasts."""
    assert all(0.0 < each.coverage[0] < 0.1 for each in forecast_jointly(np.zeros((40, 5)), 100, [GOAL]))
    assert all(each.coverage[0] == 1.0 for each in forecast_jointly(np.full((40, 5), 100), 100, [GOAL]))
    assert len(forecast_jointly([[0, 1, 50, 100]], 100, [GOAL])) == 4


def test_a_weak_series_moves_to_the_line_of_the_others():
    """A model with two passed prompts has an exponent nearer to the common one than its own."""
    made = shared_difficulty(prompts=120, models=5, samples=100, seed=8)
    weak = np.zeros(120, dtype=int)
    weak[:2] = 60, 30
    found = forecast_jointly(np.column_stack([made.successes, weak]), 100, [GOAL])[-1]
    alone = forecast(weak, np.full(120, 100), [GOAL])
    assert found.coverage[0] > 2.0 * alone.coverage[0]


def test_curves_that_flatten_together_are_forecast_lower():
    """Where coverage stops rising within the last decade in all models, less is forecast than without that."""
    random = np.random.default_rng(4)
    rates = np.where(random.random((100, 4)) < 0.4, 10 ** random.uniform(-1.5, -0.1, (100, 4)), 1e-9)
    right = random.binomial(100, rates)
    lasting, other = (
        [each.coverage[0] for each in forecast_jointly(right, 100, [GOAL], sharing=Sharing(flattening=part))]
        for part in (1.0, 0.0)
    )
    truth = np.mean(1 - (1 - rates) ** GOAL, axis=0)
    assert (np.array(lasting) < other).all()
    assert np.abs(lasting - truth).mean() < np.abs(other - truth).mean()


def test_curves_that_steepen_are_left_alone():
    """Where coverage rises faster and faster, flattening has nothing to say."""
    rates = np.tile(np.geomspace(1e-3, 4e-3, 90)[:, None], (1, 4)) * [1.0, 1.5, 2.0, 3.0]
    right = np.random.default_rng(1).binomial(100, rates)
    found = [
        [each.coverage[0] for each in forecast_jointly(right, 100, [GOAL], sharing=Sharing(flattening=part))]
        for part in (1.0, 0.0)
    ]
    assert found[0] == found[1]


def test_the_order_of_models_and_prompts_is_nothing():
    """Columns in another order give the same forecasts in that order."""
    made = shared_difficulty(prompts=60, models=5, samples=80, seed=6)
    there = forecast_jointly(made.successes, 80, [GOAL])
    back = forecast_jointly(made.successes[::-1, ::-1], np.full((60, 5), 80), [GOAL])
    for one, other in zip(there, back[::-1], strict=True):
        assert one.coverage == pytest.approx(other.coverage)
        assert one.lower == pytest.approx(other.lower)


@pytest.mark.parametrize(
    ("successes", "samples", "budgets", "where"),
    [
        ([1, 2], 5, [5], "successes"),
        ([[]], 5, [5], "successes"),
        ([[1, 2], [3, 4]], [5, 5], [5], "samples"),
        ([[1, 2], [3, 9]], 5, [5], "successes[1, 1]"),
        ([[1, 2]], [[3, 0]], [5], "successes[0, 1]"),
        ([[1, 0]], [[3, 0]], [5], "samples"),
        ([[1, 0.5]], 5, [5], "successes"),
        ([[1, 2]], 5, [0], "budgets"),
        ([["a", "b"]], 5, [5], "successes"),
    ],
)
def test_bad_input_is_one_sentence(successes, samples, budgets, where):
    """What is no table of counts is named with its row and column."""
    with pytest.raises(InputError) as caught:
        forecast_jointly(successes, samples, budgets)
    assert caught.value.where == where


def test_recorded_outcomes_are_forecast_better_together(shared_data):
    """From 100 samples of all models of a data set, errors are below .9 of those alone, and 85 % of intervals hold."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, which reads the recorded outcomes, is absent")
    random, held, joint, single = np.random.default_rng(2), [], [], []
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
        counts = right.astype(np.int64).reshape(-1, size)[:, asked].T
        truth = (counts > 0).mean(axis=0)
        for _ in range(3):
            seen = random.hypergeometric(counts, GOAL - counts, 100)
            for column, made, true in zip(seen.T, forecast_jointly(seen, 100, [GOAL]), truth, strict=True):
                joint.append(abs(made.coverage[0] - true))
                single.append(abs(forecast(column, np.full(len(seen), 100), [GOAL]).coverage[0] - true))
                held.append(made.lower[0] <= true <= made.upper[0])
    assert np.mean(joint) < 0.9 * np.mean(single)
    assert np.mean(held) >= 0.85
