"""The facility-location search against enumeration, at every early stop, with and without its proof."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic import proof_tree
from coinfer.solver.monotonic.facility import search_facility
from coinfer.solver.monotonic.pool import Pool
from coinfer.solver.monotonic.program import FacilityLocation, LinearRows, MonotonicProgram, at_most_one, implies
from coinfer.solver.monotonic.result import SearchStatus


def random_program(seed: int, *, columns: int | None = None, rows: int | None = None) -> MonotonicProgram:
    """Return a random program with any of its options: ties, holes, several rows, groups, needs, fixed columns."""
    rng = np.random.default_rng(seed)
    n = columns or int(rng.integers(1, 9))
    count = rows or int(rng.integers(1, 12))
    values = rng.choice([0.0, 0.25, 0.5, 1.0, -1.5], (count, n)) if seed % 3 else rng.normal(size=(count, n))
    if seed % 4 == 0:
        values[rng.random((count, n)) < 0.3] = -math.inf
    constraints = []
    for name in ("energy", "memory")[: int(rng.integers(0, 3))]:
        cost = rng.choice([0.0, 1.0, 2.0, 3.5], n) if seed % 2 else rng.random(n)
        limit = float(rng.uniform(0.0, 0.8) * cost.sum())
        constraints.append(LinearRows(coefficients=cost[None], limits=np.array([limit]), names=(name,)))
    if n > 2 and seed % 5 == 0:
        constraints.append(at_most_one([[0, 1, 2]], variables=n))
    if n > 2 and seed % 7 == 0:
        constraints.append(implies([(0, n - 1)], variables=n))
    lower, upper = np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64)
    if seed % 6 == 0:
        lower[rng.integers(n)] = 1
    if seed % 8 == 0:
        upper[rng.integers(n)] = 0
        lower = np.minimum(lower, upper)
    objective = FacilityLocation(values=values, weights=rng.uniform(0.1, 2.0, count))
    return MonotonicProgram(lower=lower, upper=upper, objective=objective, constraints=tuple(constraints))


def all_points(program: MonotonicProgram) -> list[tuple[float, tuple[int, ...]]]:
    """Return value and point of everything feasible, best first."""
    objective, rows = program.objective, program.rows
    assert isinstance(objective, FacilityLocation)
    found = []
    for point in itertools.product(*(range(lo, up + 1) for lo, up in zip(program.lower, program.upper, strict=True))):
        chosen = np.array(point, dtype=bool)
        if (rows.coefficients @ chosen > rows.limits + 1e-12 * (1 + np.abs(rows.limits))).any() or not chosen.any():
            continue
        best = objective.values[:, chosen].max(axis=1)
        if np.isfinite(best).all():
            found.append((float(objective.weights @ best), point))
    return sorted(found, reverse=True)


def feasible_value(program: MonotonicProgram, point: np.ndarray) -> float:
    """Return the value of a point, and fail where it is not feasible."""
    found = {point: value for value, point in all_points(program)}
    return found[tuple(int(number) for number in point)]


@pytest.mark.parametrize("block", range(8))
def test_agrees_with_enumeration_and_every_proof_holds(block: int) -> None:
    """The optimum is that of enumeration on 1200 instances, infeasible and tied ones included, each proof checked."""
    for seed in range(block * 150, (block + 1) * 150):
        program = random_program(seed)
        truth = all_points(program)
        result = search_facility(program)
        assert result.proof is not None
        shown = check_boxes(program, result.proof)
        if not truth:
            assert result.status is SearchStatus.INFEASIBLE, seed
            assert shown.bound == -math.inf, seed
            continue
        best = truth[0][0]
        assert result.status is SearchStatus.OPTIMAL, seed
        assert result.value == pytest.approx(best, abs=1e-9), seed
        assert feasible_value(program, result.incumbent) == pytest.approx(best, abs=1e-9), seed
        assert best - 1e-12 <= shown.bound <= best + 1e-8, seed


def test_the_bound_is_sound_at_every_early_stop() -> None:
    """Whatever number of nodes is allowed, bound and proof are at least the optimum and the incumbent is feasible."""
    for seed in range(60):
        program = random_program(seed, columns=8, rows=12)
        truth = all_points(program)
        best = truth[0][0] if truth else -math.inf
        for nodes in range(6):
            result = search_facility(program, limits=Limits(nodes=nodes))
            assert result.proof is not None
            assert result.bound >= best - 1e-9, (seed, nodes)
            assert check_boxes(program, result.proof).bound >= best - 1e-9, (seed, nodes)
            if result.incumbent is not None:
                assert feasible_value(program, result.incumbent) == pytest.approx(result.value)
            if result.status is SearchStatus.INFEASIBLE:
                assert not truth


def test_a_pool_holds_the_best_points() -> None:
    """With a pool of k, values are those of the k best points of enumeration; a smaller distance keeps fewer."""
    for seed in range(120):
        program = random_program(seed)
        truth = all_points(program)
        pool = Pool(count=4)
        search_facility(program, pool=pool)
        assert [value for value, _ in pool.points] == pytest.approx([value for value, _ in truth[:4]], abs=1e-8), seed
        tied = Pool(count=10_000, within=0.3)
        search_facility(program, pool=tied)
        close = sorted(point for value, point in truth if value >= truth[0][0] - 0.3)
        assert sorted(tuple(point.tolist()) for _, point in tied.points) == close, seed


def test_a_full_proof_stays_true_and_shows_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no more prices fit into a proof, the search goes on, and what the proof shows is weaker and sound."""
    weaker = 0
    for seed in range(40):
        program = random_program(seed, columns=8, rows=12)
        truth = all_points(program)
        best = truth[0][0] if truth else -math.inf
        for most in (0, 30, 100):
            monkeypatch.setattr(proof_tree, "MOST_NUMBERS", most)
            result = search_facility(program)
            assert result.proof is not None
            shown = check_boxes(program, result.proof).bound
            assert shown >= best - 1e-9, (seed, most)
            assert sum(len(row) for row in result.proof.prices) <= most + 12
            if truth:
                assert result.value == pytest.approx(best)
                weaker += shown > result.bound + 1e-6
    assert weaker > 5
