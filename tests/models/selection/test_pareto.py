"""Fronts and the budgets that are swept for them."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.models.selection.data import Budgets, SelectionProblem
from coinfer.models.selection.formulate import formulate
from coinfer.models.selection.pareto import non_dominated, sweep_problems
from coinfer.solver import mip
from coinfer.testing.selection import selection_problems

replace = msgspec.structs.replace
grid = st.sampled_from([0.0, 1.0, 2.0])


def beats(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    no_worse = one[0] >= other[0] and one[1] <= other[1] and one[2] <= other[2]
    return no_worse and one != other


@given(points=st.lists(st.tuples(grid, grid, grid), max_size=12))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_front_is_what_nothing_beats(points: list[tuple[float, float, float]]) -> None:
    """A point is kept exactly when no other beats it; equal points are kept together."""
    assert non_dominated(points) == [
        i for i, point in enumerate(points) if not any(beats(other, point) for other in points)
    ]


@given(problem=selection_problems(max_experts=4), points=st.integers(1, 12))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_promises_only_tighten_and_all_else_is_kept(problem: SelectionProblem, points: int) -> None:
    """Variants differ in energy budget and promises alone, and no promise is later than the problem's own."""
    variants = sweep_problems(problem, points=points)
    assert 1 <= len(variants) <= 2 * points + 2
    for variant in variants:
        energy = replace(variant.budgets, energy_j=problem.budgets.energy_j)
        assert replace(variant, categories=problem.categories, budgets=energy) == problem
        for new, old in zip(variant.categories, problem.categories, strict=True):
            assert old.latency_budget_s is None or (
                new.latency_budget_s is not None and new.latency_budget_s <= old.latency_budget_s
            )


def test_the_sweep_reaches_from_cheapest_to_unconstrained(small: SelectionProblem) -> None:
    """Its last variant has the optimum without energy budget; its smallest budget still has a solution."""
    free = replace(small, budgets=Budgets(), arrival_rate_per_s=None)
    variants = sweep_problems(free, points=16)
    values = [mip.solve(formulate(variant)).value for variant in variants]
    assert min(values) == mip.solve(formulate(free)).value
    cheapest = min(variants, key=lambda variant: variant.budgets.energy_j or 0.0)
    latest = replace(cheapest, categories=free.categories)
    assert mip.solve(formulate(latest)).incumbent is not None
    assert len({variant.budgets.energy_j for variant in variants}) > 2
    assert len({variant.categories for variant in variants}) > 1
