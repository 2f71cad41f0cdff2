"""Plans at all budgets at once, and the ratio of budgets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.models.budget.difficulty.frontier import budget_ratio, frontier


def _relaxed(value: np.ndarray, cost: np.ndarray, prompts: np.ndarray, budget: float) -> float:  # type: ignore[type-arg]
    """Return the optimum of the linear relaxation by a linear program."""
    from scipy.optimize import linprog

    rows, options = value.shape
    weight = np.repeat(prompts / prompts.sum(), options)
    found = linprog(
        -weight * value.ravel(),
        A_ub=[weight * cost.ravel()],
        b_ub=[budget],
        A_eq=np.kron(np.eye(rows), np.ones(options)),
        b_eq=np.ones(rows),
    )
    return -float(found.fun)


@given(st.integers(0, 10_000), st.floats(0.0, 1.2))
def test_it_is_the_linear_program(seed: int, share: float) -> None:
    """At any budget the value is the optimum of the linear relaxation."""
    random = np.random.default_rng(seed)
    value, cost = random.integers(0, 6, (3, 4)) / 5.0, random.integers(0, 6, (3, 4)).astype(np.float64)
    value[:, 0] = cost[:, 0] = 0.0
    prompts = random.integers(1, 4, 3).astype(np.float64)
    budget = share * 5.0
    found = frontier(value, cost, prompts).at(np.array([budget]))[0]
    assert found == pytest.approx(_relaxed(value, cost, prompts, budget), abs=1e-9)


def test_strata_that_look_alike_are_served_alike() -> None:
    """Where the plan sees no difference, the true difference does not help it at any budget."""
    value, cost = np.array([[0.0, 0.5], [0.0, 0.5]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    truth = np.array([[0.0, 1.0], [0.0, 0.0]])
    made = frontier(value, cost, np.ones(2), true_value=truth)
    assert made.at(np.array([0.0, 0.5, 1.0])).tolist() == [0.0, 0.25, 0.5]


def test_true_costs_are_what_is_spent() -> None:
    """The plan is made by the costs it believes, and the spend is by those that are true."""
    made = frontier(np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]]), np.ones(1), true_cost=np.array([[0.0, 3.0]]))
    assert made.spend.tolist() == [0.0, 3.0]


def test_ratio_of_budgets() -> None:
    """A curve against itself gives 1 even where it is flat; half the cost gives 2; out of reach is infinite."""
    grid = np.linspace(0.0, 10.0, 101)
    base = np.minimum(grid, 5.0)
    for budget in (2.0, 7.0):
        assert budget_ratio(grid, base, base, budget) == pytest.approx(1.0)
    assert budget_ratio(grid, np.minimum(2.0 * grid, 5.0), base, 2.0) == pytest.approx(2.0)
    assert budget_ratio(grid, base / 2.0, base, 4.0) == pytest.approx(0.5)
    assert budget_ratio(grid, base + 1.0, base, 8.0) == math.inf
