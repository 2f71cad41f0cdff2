"""What tells prompts apart, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import ProblemError
from coinfer.models.budget.difficulty.strata import by_history, by_label, by_oracle, by_score, crossed, pooled
from coinfer.models.budget.parts import Amount
from coinfer.testing.difficulty import graded_outcomes


def test_an_oracle_is_marked_and_not_charged() -> None:
    """Bins by the outcomes themselves say so, have no cost, and hold prompts of rising rate."""
    outcomes = graded_outcomes(200, seed=0)
    made = by_oracle(outcomes, bins=5)
    assert made.information.source == "oracle"
    assert not made.information.charged
    assert not made.information.cost
    assert "not charged" in (made.information.description or "")
    rate = (outcomes.successes / outcomes.samples).mean(axis=1)
    rising = [rate[made.of_prompt == row].mean() for row in range(len(made.names))]
    assert rising == sorted(rising)
    assert made.prompts.sum() == 200


def test_a_pilot_is_charged_and_past_runs_are_not() -> None:
    """The cost of a history is stated either way, and charged unless it was paid before."""
    counts, drawn = np.array([[0], [1], [2]]), np.full((3, 1), 2)
    price = (Amount(resource="usd", amount=0.5),)
    pilot = by_history(counts, drawn, models=["small"], cost=price)
    past = by_history(counts, drawn, models=["small"], cost=price, past=True)
    assert pilot.information.charged
    assert not past.information.charged
    assert past.information.cost == price
    assert "paid before" in (past.information.description or "")
    assert pilot.names == ("0 of 2", "1 of 2", "2 of 2")
    assert pilot.of_prompt.tolist() == [0, 1, 2]


def test_crossing_pays_for_both() -> None:
    """Every pair of strata is one; costs add up, and the stronger source names the result."""
    outcomes = graded_outcomes(40, seed=1)
    label = by_label(outcomes)
    score = by_score(np.arange(40.0), bins=4, cost=(Amount(resource="usd", amount=1.0),))
    both = crossed(crossed(label, score), score)
    assert both.information.cost == (Amount(resource="usd", amount=2.0),)
    assert both.information.source == "one_sample"
    assert len(both.names) == 2 * 4 * 4
    pairs = label.of_prompt * 4 + score.of_prompt
    assert (both.of_prompt == pairs * 4 + score.of_prompt).all()
    assert (both.group[both.of_prompt] == label.of_prompt).all()


def test_crossing_refuses_to_charge_half() -> None:
    """Costs of which one is charged and one is not cannot be one information."""
    runs = np.ones((4, 1), dtype=np.int64)
    price = (Amount(resource="usd", amount=1.0),)
    pilot = by_history(runs, runs, models=["a"], cost=price)
    past = by_history(runs, runs, models=["b"], cost=price, past=True)
    with pytest.raises(ProblemError, match="both charged or both not"):
        crossed(pilot, past)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 6))
def test_bins_keep_order_and_equals_together(numbers: list[int], bins: int) -> None:
    """A higher score never lies in a lower bin, equal scores share one, and no bin is empty."""
    score = np.array(numbers, dtype=np.float64)
    made = by_score(score, bins=min(bins, len(score)), cost=())
    order = np.argsort(score, kind="stable")
    assert (np.diff(made.of_prompt[order]) >= 0).all()
    for number in set(numbers):
        assert len(set(made.of_prompt[score == number])) == 1
    assert made.prompts.min() >= 1


def test_only_keeps_the_strata() -> None:
    """Some of the prompts keep names, levels and information, though strata may become empty."""
    made = by_label(graded_outcomes(30, seed=3))
    some = made.only(np.flatnonzero(made.of_prompt == 0))
    assert some.names == made.names
    assert some.prompts.tolist() == [int((made.of_prompt == 0).sum()), 0]


def test_wrong_input_is_a_sentence() -> None:
    """Labels that are not there, unknown arms, uneven histories and odd shapes are refused."""
    outcomes = graded_outcomes(6, seed=4)
    with pytest.raises(ProblemError, match="expected names of arms"):
        by_oracle(outcomes, ["nobody"])
    uneven = np.array([[1], [2]])
    with pytest.raises(ProblemError, match="as many for each prompt, or bins"):
        by_history(uneven, uneven, models=["a"])
    with pytest.raises(ProblemError, match=r"with 2 column\(s\)"):
        by_history(uneven, uneven, models=["a", "b"])
    with pytest.raises(ProblemError, match="one finite number"):
        by_score(np.array([np.nan]), bins=1, cost=())
    with pytest.raises(ProblemError, match="prompts, as in the first"):
        crossed(pooled(3), pooled(4))
