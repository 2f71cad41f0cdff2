"""The states of a layer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given

from coinfer.solver.assignment.partitions import count_states, imbalances, kept_states, placing_costs, states
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.testing.assignment import layered_assignments


def canonical(row: tuple[int, ...]) -> tuple[int, ...]:
    """Number the parts by their first items."""
    names: dict[int, int] = {}
    return tuple(names.setdefault(part, len(names)) for part in row)


@given(layered_assignments(max_items=5))
def test_states_are_all_ways_to_fill_the_parts(program: LayeredAssignment):
    """The states are exactly the rows within the capacities, once each, in order; one of each class of exchanges."""
    rows = [
        row
        for row in itertools.product(range(program.parts), repeat=program.items)
        if all(row.count(part) <= room for part, room in enumerate(program.capacity.tolist()))
    ]
    if program.interchangeable:
        rows = sorted({canonical(row) for row in rows})
    found = states(program)
    assert found.tolist() == [list(row) for row in rows]
    assert count_states(program) == len(rows)


@given(layered_assignments(max_items=4, priced=True, capped=True))
def test_a_state_is_kept_where_it_breaks_no_limit_of_its_layer(program: LayeredAssignment):
    """A state is kept exactly where the evaluation of an assignment made of it finds no violation in that layer."""
    rows = states(program)
    for layer in range(program.layers):
        kept = kept_states(program, layer, rows)
        for row, free in zip(rows[:20], kept[:20], strict=True):
            found = evaluate(program, np.tile(row, (program.layers, 1)))
            broken = [text for text in found.violations if text.startswith(f"layer {layer}:")]
            assert bool(free) == (not broken)


@given(layered_assignments(max_items=4, priced=True, mean_capped=True))
def test_node_costs_add_up_to_the_evaluation(program: LayeredAssignment):
    """Placement costs and imbalances of the states of all layers give those of the assignment."""
    rows = states(program)[-1:]
    found = evaluate(program, np.repeat(rows, program.layers, axis=0))
    assert sum(placing_costs(program, layer, rows)[0] for layer in range(program.layers)) == found.placing
    loads = found.part_loads
    assert loads is not None
    for layer, own in enumerate(loads):
        expected = own.max() / own.mean() if own.any() else 1.0
        assert imbalances(program, layer, rows)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("items", "parts", "count"), [(8, 2, 35), (8, 4, 105), (10, 5, 945), (16, 2, 6435), (12, 3, 5775), (64, 8, 10**9)]
)
def test_known_counts(items: int, parts: int, count: int):
    """Equal full groups are counted as the multinomial says; a hopeless count stops at its limit."""
    program = LayeredAssignment(
        weights=np.zeros((1, items, items)),
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, items // parts),
    )
    assert count_states(program) == count
