"""Budget problems from measured outcomes."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from coinfer.errors import ProblemError
from coinfer.models.budget.calibration.update import empirical_posteriors
from coinfer.models.budget.difficulty.measured import option_costs, option_values
from coinfer.models.budget.difficulty.menus import FEW, ArmKind, arm_grid, options_of, prompt_problem, stratum_problem
from coinfer.models.budget.difficulty.repair import repair_problem, repair_table
from coinfer.models.budget.difficulty.strata import by_label, by_oracle, pooled
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Budget, PosteriorMenus, TableMenus
from coinfer.testing.difficulty import graded_outcomes


def _tries(rates: list[float], labels: tuple[str, ...], seed: int) -> Outcomes:
    random = np.random.default_rng(seed)
    count = len(labels)
    successes = random.binomial(10, rates, count)[:, None].astype(np.int64)
    return Outcomes(
        prompts=tuple(f"p{i}" for i in range(count)),
        arms=("m",),
        successes=successes,
        samples=np.full((count, 1), 10),
        resources=("requests",),
        sample_cost=np.ones((1, count, 1)),
        labels=labels,
    )


def test_values_are_unbiased_pass_at_k() -> None:
    """The table holds 1 - C(n-c, k) / C(n, k), and NaN where fewer than k were drawn."""
    outcomes = graded_outcomes(12, seed=0)
    table = option_values(outcomes, [(0, 1), (2, 4), (1, 10), (1, 11)])
    c = outcomes.successes
    assert table[:, 0] == pytest.approx(c[:, 0] / 10)
    assert table[:, 1] == pytest.approx([1.0 - comb(10 - int(x), 4) / comb(10, 4) for x in c[:, 2]])
    assert table[:, 2] == pytest.approx((c[:, 1] > 0).astype(float))
    assert np.isnan(table[:, 3]).all()


def test_stopping_pays_for_what_is_drawn() -> None:
    """With a verifier that stops, sample j + 1 is paid with the chance that j samples failed."""
    outcomes = graded_outcomes(8, seed=1)
    price = outcomes.sample_cost[0, :, 1]
    found = option_costs(outcomes, [(1, 3)], stop=True)[0, :, 0]
    failed = [1.0 - option_values(outcomes, [(1, count)])[:, 0] for count in (1, 2)]
    assert found == pytest.approx(price * (1.0 + failed[0] + failed[1]))
    assert option_costs(outcomes, [(1, 3)])[0, :, 0] == pytest.approx(3.0 * price)


def test_a_grid_of_arms_becomes_options_with_settings() -> None:
    """Strategy x model x settings give one arm each, and its options carry what it is."""
    kinds = arm_grid(["beam", "revise"], ["small"], beam_width=[2, 4], temperature=[0.5])
    assert len(kinds) == 4
    base = graded_outcomes(5, seed=2, arms=4)
    outcomes = Outcomes(
        prompts=base.prompts,
        arms=tuple(kind.arm for kind in kinds),
        successes=base.successes,
        samples=base.samples,
        resources=base.resources,
        sample_cost=base.sample_cost,
    )
    options, pairs = options_of(outcomes, (1, 2), kinds)
    assert options[3].settings == {"beam_width": 4.0, "temperature": 0.5}
    assert (options[3].strategy, options[3].model, options[3].samples) == ("beam", "small", 2)
    assert pairs[3] == (1, 2)
    with pytest.raises(ProblemError, match="expected arms of the outcomes"):
        options_of(outcomes, (1,), [ArmKind(arm="other")])
    with pytest.raises(ProblemError, match="at least 1"):
        options_of(outcomes, (0,))


def test_a_problem_of_strata() -> None:
    """Rows are the strata that hold prompts, the first option does nothing, and the information is passed on."""
    outcomes = graded_outcomes(60, seed=3)
    oracle = by_oracle(outcomes, bins=3)
    made = stratum_problem(outcomes, oracle, (1, 4, 99), name="x", prompts=np.array([5, 0, 2]))
    assert isinstance(made.menus, TableMenus)
    assert made.strata.names == (oracle.names[0], oracle.names[2])
    assert made.prompts == 7
    assert len(made.options) == 1 + 3 * 2
    assert not made.menus.value.array[:, 0].any()
    assert made.menus.value_error is not None
    assert made.information == oracle.information
    assert (made.menus.value.array[1] >= made.menus.value.array[0]).all()


@pytest.mark.parametrize("count", [50, 120])
def test_a_problem_of_prompts(count: int) -> None:
    """Posteriors are those given all arms, by the prompts of the stratum, or by all where strata have few."""
    outcomes = graded_outcomes(count, seed=4)
    made = prompt_problem(outcomes, by_label(outcomes), (1, 3), name="x", stop=True)
    menus = made.menus
    assert isinstance(menus, PosteriorMenus)
    label = by_label(outcomes).of_prompt
    groups = [np.flatnonzero(label == row) for row in range(label.max() + 1)]
    if min(map(len, groups)) < FEW:
        groups = [np.arange(count)]
    assert len(groups) == (1 if count == 50 else label.max() + 1)
    for rows in groups:
        own = empirical_posteriors(outcomes.only(rows))
        assert menus.alpha.array[rows] == pytest.approx(own.alpha.array)
        assert menus.beta.array[rows] == pytest.approx(own.beta.array)
    assert menus.arms[0].stop_on_success
    assert menus.scale is not None
    assert menus.scale.array == pytest.approx(1.0)


def test_costs_must_be_measured() -> None:
    """Where no prompt has a cost for an arm, that is said instead of a cost of 0."""
    base = graded_outcomes(6, seed=5)
    cost = base.sample_cost.copy()
    cost[0, :, 1] = np.nan
    outcomes = Outcomes(
        prompts=base.prompts,
        arms=base.arms,
        successes=base.successes,
        samples=base.samples,
        resources=base.resources,
        sample_cost=cost,
    )
    with pytest.raises(ProblemError, match="measured on some prompt"):
        stratum_problem(outcomes, pooled(6), (1,), name="x")
    with pytest.raises(ProblemError, match="measured on some prompt"):
        prompt_problem(outcomes, pooled(6), (1,), name="x")


def test_repair_where_it_helps_and_resampling_where_not() -> None:
    """Both second tries take the same calls; the better one in each stratum is worth more in the menu."""
    labels = ("easy",) * 40 + ("hard",) * 40
    first = _tries([0.6] * 40 + [0.2] * 40, labels, 0)
    after = _tries([0.95] * 40 + [0.22] * 40, labels, 1)
    table, calls = repair_table(first, after, "m")
    assert calls[:, 1] == pytest.approx(2.0 - table[:, 0])
    assert (calls[:, 1] == calls[:, 2]).all()
    budget = Budget(resource="requests", limit=160.0)
    made = repair_problem(first, after, "m", by_label(first), name="x", budgets=(budget,))
    assert isinstance(made.menus, TableMenus)
    assert [option.name for option in made.options] == ["nothing", "single", "resample", "repair"]
    easy, hard = made.menus.value.array
    assert easy.argmax() == 3
    assert hard.argmax() == 2
    with pytest.raises(ProblemError, match="a model among m"):
        repair_problem(first, after, "n", by_label(first), name="x")
