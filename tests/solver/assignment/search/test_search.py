"""The search for layered assignments: feasible, never worse than its start, optimal on small programs."""

from __future__ import annotations

import itertools
import math
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.solver.assignment.program import LayeredAssignment, evaluate, imbalance
from coinfer.solver.assignment.search import anneal
from coinfer.solver.assignment.search.neighbourhood import reassigned, states, ways
from coinfer.solver.assignment.search.portfolio import LARGE, Kernel, Searched, search_assignment
from coinfer.solver.assignment.search.repair import least_imbalance, repaired_exactly
from coinfer.solver.assignment.search.state import completed, filled, part_loads, place_costs, total_cost
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray
from coinfer.solver.progress import Stop
from coinfer.testing.assignment import enumerate_assignments, layered_assignments


def searched(program: LayeredAssignment, moves: int = 6000, seed: int = 0, kernel: Kernel = "numpy") -> Searched:
    """Search with a limit on moves, which makes the result repeatable."""
    return search_assignment(program, limits=Limits(nodes=moves, seed=seed), stop=Stop(), kernel=kernel)


@settings(max_examples=60)
@given(program=layered_assignments())
def test_what_is_found_is_feasible_and_no_better_than_the_optimum(program: LayeredAssignment) -> None:
    """An assignment that is returned keeps every limit, costs what is said, and not less than the optimum."""
    found, optimum = searched(program, 2000), enumerate_assignments(program)
    if found.part is None:
        assert math.isinf(found.value)
        return
    looked = evaluate(program, found.part)
    assert looked.violations == ()
    assert looked.value == found.value
    assert found.value >= optimum.value


def test_the_optimum_of_small_programs_is_nearly_always_found() -> None:
    """Without caps on loads, of 40 programs of all kinds the search misses the optimum of at most one."""
    missed = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        items, parts = (4, 4) if seed % 2 else (5, 2)
        distance = random.integers(1, 5, size=(parts, parts)).astype(np.float64)
        distance = np.triu(distance, 1) + np.triu(distance, 1).T
        program = LayeredAssignment(
            weights=random.integers(0, 9, size=(2, items, items)).astype(np.float64),
            distance=distance,
            capacity=np.full(parts, -(-items // parts)),
            cost=random.integers(0, 9, size=(3, items, parts)).astype(np.float64) if seed % 3 == 0 else None,
        )
        missed += searched(program).value > enumerate_assignments(program).value + 1e-9
    assert missed <= 1


def random_program(seed: int, layers: int = 6, items: int = 12, parts: int = 3, **more: object) -> LayeredAssignment:
    random = np.random.default_rng(seed)
    return LayeredAssignment(
        weights=random.integers(0, 50, size=(layers - 1, items, items)).astype(np.float64),
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, items // parts),
        **more,  # type: ignore[arg-type]
    )


@settings(max_examples=40)
@given(program=layered_assignments(), seed=st.integers(0, 1000))
def test_the_table_of_the_annealing_equals_a_new_one_after_any_moves(program: LayeredAssignment, seed: int) -> None:
    """Costs of places, loads and value that were kept up to date equal those computed anew."""
    full, random = filled(program), np.random.default_rng(seed)
    layers, items = full.loads.shape
    part = completed(full, random.integers(0, program.parts, size=(layers, program.items)))
    table, held = np.ascontiguousarray(place_costs(full, part).transpose(0, 2, 1)), part_loads(full, part)
    numbers = np.array([total_cost(full, part), 0.0, np.inf, float((held.max(axis=1) / full.mean_loads).sum())])
    draws = np.column_stack([random.integers(layers, size=200), random.integers(items, size=(200, 2))])
    best = part.copy()
    anneal.steps(
        full.weights,
        np.ascontiguousarray(full.weights.transpose(0, 2, 1)),
        full.distance,
        full.uniform,
        full.loads,
        full.load_caps,
        full.imbalance_sum,
        full.mean_loads,
        1.0 if full.capped else 0.0,
        part,
        table,
        held,
        best,
        numbers,
        draws,
        random.exponential(20.0, size=200),
    )
    scale = max(1.0, float(np.abs(table).max()))
    np.testing.assert_allclose(table.transpose(0, 2, 1), place_costs(full, part), atol=1e-9 * scale)
    if full.capped:
        np.testing.assert_allclose(held, part_loads(full, part), atol=1e-9)
    assert numbers[0] == pytest.approx(total_cost(full, part), rel=1e-9, abs=1e-9 * scale)


@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
@pytest.mark.parametrize("seed", range(3))
def test_compiled_and_plain_steps_find_the_same(seed: int) -> None:
    """With the same seed and the same limit on moves, compiled code returns the assignment that numpy returns."""
    loads = np.random.default_rng(seed).integers(1, 9, size=(6, 12)).astype(np.float64)
    program = random_program(seed, loads=loads, load_caps=1.2 * loads.sum(axis=1) / 3)
    plain, compiled = (searched(program, 4000, seed, kernel) for kernel in ("numpy", "compiled"))
    assert plain.value == compiled.value
    assert plain.part is not None
    assert compiled.part is not None
    assert np.array_equal(plain.part, compiled.part)


@pytest.mark.parametrize("seed", range(4))
def test_a_warm_start_never_loses(seed: int) -> None:
    """The result is no worse than a feasible start, even without any move."""
    program = random_program(seed)
    good = searched(program)
    for moves in (0, 100):
        again = search_assignment(program, limits=Limits(nodes=moves), stop=Stop(), start=good.part, kernel="numpy")
        assert again.value <= good.value


def test_a_planted_partition_is_recovered() -> None:
    """Where weight runs only inside the parts of a hidden balanced partition, the search ends at 0."""
    random = np.random.default_rng(0)
    part = np.stack([random.permutation(np.repeat(np.arange(4), 4)) for _ in range(8)])
    weights = (part[:-1, :, None] == part[1:, None, :]) * random.integers(1, 9, size=(7, 16, 16)).astype(np.float64)
    program = LayeredAssignment(weights=weights, distance=1.0 - np.eye(4), capacity=np.full(4, 4))
    assert searched(program, 60_000, kernel="auto").value == 0.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chosen", [(0, 1), (0, 2, 3)])
def test_a_neighbourhood_is_solved_exactly(seed: int, chosen: tuple[int, ...]) -> None:
    """Sharing the items of a few parts anew gives the best of all assignments that leave the others where they are."""
    random = np.random.default_rng(seed)
    distance = np.triu(random.integers(1, 5, size=(4, 4)).astype(np.float64), 1)
    program = LayeredAssignment(
        weights=random.integers(0, 9, size=(2, 4, 4)).astype(np.float64),
        distance=distance + distance.T,
        capacity=np.ones(4, dtype=np.int64),
        cost=random.integers(0, 5, size=(3, 4, 4)).astype(np.float64),
    )
    part = np.stack([random.permutation(4) for _ in range(3)])
    found, gain = reassigned(filled(program), part, chosen)
    assert gain == evaluate(program, part).value - evaluate(program, found).value
    fixed = ~np.isin(part, chosen)
    assert np.array_equal(found[fixed], part[fixed])
    allowed = np.zeros((3, 4, 4), dtype=bool)
    allowed[fixed, part[fixed]] = True
    for g in chosen:
        allowed[~fixed, g] = True
    limited = LayeredAssignment(
        weights=program.weights,
        distance=program.distance,
        capacity=program.capacity,
        cost=program.cost,
        allowed=allowed,
    )
    assert evaluate(program, found).value == enumerate_assignments(limited).value


def test_ways_to_share_are_counted_and_listed_alike() -> None:
    """The number of ways is that of the list, and each of them fills every part."""
    for sizes in ((1, 1), (2, 2), (2, 2, 2), (3, 1), (4, 4)):
        listed = states(sizes, None)
        assert len(listed) == ways(sizes) == len({tuple(row) for row in listed.tolist()})
        assert all(np.bincount(row, minlength=len(sizes)).tolist() == list(sizes) for row in listed)


def test_limits_end_the_search() -> None:
    """No more moves are tried than the limit allows, and a set flag ends it at once."""
    program = random_program(0)
    assert searched(program, 1000).moves == 1000
    stop = Stop()
    stop.set()
    assert search_assignment(program, limits=Limits(), stop=stop, kernel="numpy").moves == 0


@settings(max_examples=60, derandomize=True)
@given(program=layered_assignments())
def test_small_programs_of_every_kind_are_solved(program: LayeredAssignment) -> None:
    """With costs, forbidden places, caps, uneven room and any distance, a few thousand moves reach the optimum."""
    assert searched(program, 10_000).value == pytest.approx(enumerate_assignments(program).value, abs=1e-9)


@settings(max_examples=15)
@given(program=layered_assignments(priced=False, capped=False, mean_capped=False), seed=st.integers(0, 1000))
def test_the_optimum_does_not_depend_on_names_or_units(program: LayeredAssignment, seed: int) -> None:
    """Weights in another unit scale what is found, and so the same moves find it; items renamed leave the optimum."""
    doubled = with_weights(program, 2.0 * program.weights)
    assert searched(doubled, 2000).value == 2.0 * searched(program, 2000).value
    order = np.random.default_rng(seed).permutation(program.items)
    renamed = with_weights(program, program.weights[:, order][:, :, order])
    assert searched(renamed, 10_000).value == pytest.approx(searched(program, 10_000).value, abs=1e-9)


def with_weights(program: LayeredAssignment, weights: FloatArray) -> LayeredAssignment:
    return LayeredAssignment(weights=weights, distance=program.distance, capacity=program.capacity)


@pytest.mark.parametrize("exchanges", [1, 2])
@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (2, 2, 2), (3, 1)])
def test_states_near_the_present_one_differ_by_few_exchanges(sizes: tuple[int, ...], exchanges: int) -> None:
    """Those ways to share items are listed that differ in at most two items for each exchange."""
    near = {tuple(row) for row in states(sizes, exchanges).tolist()}
    first = np.repeat(np.arange(len(sizes)), sizes)
    assert tuple(first) == tuple(states(sizes, exchanges)[0])
    everything = states(sizes, None)
    apart = (everything != first).sum(axis=1)
    assert near <= {tuple(row) for row in everything[apart <= 2 * exchanges].tolist()}
    if len(sizes) == 2:  # with more parts a cycle of three items takes two exchanges
        assert len(near) == (apart <= 2 * exchanges).sum()


@pytest.mark.parametrize("seed", range(4))
def test_a_polished_assignment_keeps_its_caps(seed: int) -> None:
    """Sharing items anew gains what it says, and raises no load of a part above the cap."""
    random = np.random.default_rng(seed)
    loads = random.integers(1, 9, size=(6, 12)).astype(np.float64)
    program = random_program(seed, loads=loads, load_caps=1.3 * loads.sum(axis=1) / 3)
    start = searched(program, 0).part
    assert start is not None
    for exchanges in (None, 1, 2):
        found, gain = reassigned(filled(program), start, (0, 2), exchanges)
        looked = evaluate(program, found)
        assert looked.violations == ()
        assert gain == pytest.approx(evaluate(program, start).value - looked.value)


@pytest.mark.parametrize("seed", range(3))
def test_the_exact_repair_reaches_tight_caps(seed: int) -> None:
    """Where a hidden assignment loads all parts alike, an arbitrary one is brought within caps of just that load."""
    random = np.random.default_rng(seed)
    loads = np.empty((4, 12))
    for row in loads:  # four parts of three items, each with a load of 60
        cuts = np.sort(random.integers(1, 60, size=(4, 2)), axis=1)
        row[:] = np.diff(np.column_stack([np.zeros(4), cuts, np.full(4, 60)]), axis=1).ravel()[random.permutation(12)]
    program = random_program(seed, layers=4, parts=4, loads=loads, load_caps=np.full(4, 60.0))
    full = filled(program)
    start = np.tile(np.repeat(np.arange(4), 3), (4, 1))
    fixed = repaired_exactly(full, start, time_s=None, stop=Stop())
    assert evaluate(program, fixed).violations == ()
    assert np.array_equal(least_imbalance(loads, program.capacity), np.ones(4))


@settings(max_examples=25)
@given(program=layered_assignments(max_items=5, capped=True, mean_capped=False, priced=False))
def test_the_least_imbalance_is_that_of_all_assignments(program: LayeredAssignment) -> None:
    """No assignment of a layer has a smaller largest load, and one has this; but for a thousandth."""
    assert program.loads is not None
    reached = least_imbalance(program.loads, program.capacity)
    for layer, loads in enumerate(program.loads):
        rows = np.array(list(itertools.product(range(program.parts), repeat=program.items)))
        rows = rows[((rows[:, :, None] == np.arange(program.parts)).sum(axis=1) <= program.capacity).all(axis=1)]
        best = min(float(imbalance(np.bincount(row, loads, program.parts).astype(np.float64)[None])[0]) for row in rows)
        assert best * (1.0 - 1e-9) <= reached[layer] <= best * (1.0 + 2e-3)


def test_guides_of_the_hidden_partition_lead_to_it() -> None:
    """Matrices that say which items belong together are rounded to that partition, without any move."""
    random = np.random.default_rng(1)
    part = np.stack([random.permutation(np.repeat(np.arange(8), 4)) for _ in range(6)])
    together = (part[:-1, :, None] == part[1:, None, :]).astype(np.float64)
    program = LayeredAssignment(
        weights=together + 0.9 * random.random(together.shape), distance=1.0 - np.eye(8), capacity=np.full(8, 4)
    )
    found = search_assignment(
        program, limits=Limits(nodes=1), start=part[:, ::-1].copy(), stop=Stop(), guides=list(together), kernel="numpy"
    )
    assert found.value <= evaluate(program, part).value + 1e-9


def test_layer_steps_serve_large_layers() -> None:
    """With more items than annealing is good for, shaken windows keep finding better assignments."""
    program = random_program(0, layers=5, items=LARGE + 2, parts=2)
    found = searched(program, 60 * (LARGE + 2))
    assert found.part is not None
    assert evaluate(program, found.part).violations == ()
    assert len(found.history) > 4
    values = [value for _, value in found.history]
    assert values == sorted(values, reverse=True)
