"""Prices of rows, covers and cliques: bounds that are bounds, cuts that cut nothing off."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from coinfer.solver.monotonic import search as searching
from coinfer.solver.monotonic.cuts import Cuts
from coinfer.solver.monotonic.maximise import maximise_general
from coinfer.solver.monotonic.pricing import priced
from coinfer.solver.monotonic.program import LinearRows, MonotonicProgram, Submodular
from coinfer.testing.monotonic import enumerated, program_from_seed
from coinfer.testing.monotonic_oracles import Capped


def test_one_row_is_the_fractional_knapsack() -> None:
    """With one row the bound is that of items by density, the last one in part."""
    gains, takes = np.array([6.0, 10.0, 12.0]), np.array([1.0, 2.0, 3.0])
    shown = priced(1.0, gains, np.ones(3), takes[None, :], np.array([5.0]), -np.inf)
    assert shown.bound == pytest.approx(1.0 + 6.0 + 10.0 + 12.0 * 2 / 3)
    assert shown.prices == pytest.approx([4.0])


def test_the_bound_holds_at_every_point_of_the_rows() -> None:
    """For rows of any sign and steps of any width no feasible point gains more, and more rows never hurt."""
    rng = np.random.default_rng(5)
    tight = 0
    for _ in range(300):
        items, rows = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        gains, widths = rng.random(items) * 4.0, rng.integers(1, 4, items).astype(float)
        matrix = rng.integers(-2, 6, (rows, items)).astype(float)
        room = rng.integers(0, 12, rows).astype(float)
        points = np.array(list(itertools.product(*(range(int(width) + 1) for width in widths))))
        kept = points[(points @ matrix.T <= room).all(axis=1)]
        best = float((kept @ gains).max())
        shown = priced(0.0, gains, widths, matrix, room, -np.inf)
        assert shown.bound >= best - 1e-12
        assert (shown.prices >= 0.0).all()
        assert shown.bound <= gains @ widths * (1.0 + 1e-9) + 1e-9
        tight += shown.bound < gains @ widths * 0.9
    assert tight > 50


def test_cuts_keep_every_feasible_point() -> None:
    """No cover and no clique cuts off a point that keeps the rows."""
    found = 0
    for seed in range(300):
        program = program_from_seed(seed, "submodular", max_variables=6, linear_only=True)
        cuts, rng = Cuts(program), np.random.default_rng(seed)
        for row in range(len(program.rows.limits)):
            cuts.add_cover(row, rng.permutation(program.variables))
        truth = enumerated(program)
        assert (truth.points[truth.feasible] @ cuts.matrix.T <= cuts.limits).all()
        found += len(cuts.found)
    assert found > 50


def knapsack(row: list[float], limit: float, gains: list[float]) -> MonotonicProgram:
    """A linear objective under one row."""
    count = len(row)
    oracle = Capped(np.diag(gains), np.full(count, 99.0), np.ones(count))
    return MonotonicProgram(
        lower=np.zeros(count, np.int64),
        upper=np.ones(count, np.int64),
        objective=Submodular(oracle=oracle),
        constraints=(LinearRows(coefficients=np.array([row]), limits=np.array([limit]), names=("row",)),),
    )


def test_covers_and_cliques_lower_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three items of which any two break the row, or six of which any three do: the root bound is exact with cuts."""
    clique = knapsack([6.0, 6.0, 7.0], 10.0, [3.0, 3.0, 3.0])
    assert [cut.columns for cut in Cuts(clique).found] == [(0, 1, 2)]
    cover = knapsack([4.0] * 6, 11.0, [3.0, 3.1, 3.2, 3.3, 3.4, 3.5])
    for program in (clique, cover):
        result = maximise_general(program)
        assert result.nodes == 1
        assert result.proof is not None
    assert {cut.limit for cut in maximise_general(cover).proof.cuts} == {2}
    monkeypatch.setattr(searching, "SEPARATING", 0)
    assert maximise_general(dataclasses.replace(cover)).nodes > 1
