"""2-partition inequalities: those that are found are broken, no assignment breaks any, and the pull of their prices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from coinfer.solver.assignment.bounds.cuts import broken
from coinfer.solver.assignment.bounds.priced import Cut, PricedCuts
from coinfer.solver.assignment.bounds.wide import wide

Floats = NDArray[np.float64]


def excess(block: Floats, cut: Cut) -> float:
    """Return by how much a block breaks an inequality, from its definition."""
    within = sum(block[i, j] for side in (cut.some, cut.others) for i, j in itertools.combinations(side, 2))
    across = sum(block[i, j] for i in cut.some for j in cut.others)
    return float(across - within) - min(len(cut.some), len(cut.others))


def smeared(seed: int, pairs: int = 2, items: int = 8) -> Floats:
    """Return blocks with entries in [0, 1] that are no co-membership."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(4, 0.5), size=(pairs, 2 * items))
    blocks: Floats = np.clip(1.4 * shares @ shares.transpose(0, 2, 1), 0.0, 1.0)
    blocks[:, np.arange(2 * items), np.arange(2 * items)] = 1.0
    return blocks


@pytest.mark.parametrize("seed", range(5))
def test_inequalities_that_are_found_are_broken_and_each_is_named_once(seed: int) -> None:
    """Every inequality that is found has disjoint sets and is broken by the blocks."""
    blocks = smeared(seed)
    found = broken(blocks, room=2, most=50, seed=seed)
    assert all(excess(blocks[cut.pair], cut) > 0.0 for cut in found)
    assert all(len({*cut.some, *cut.others}) == len(cut.some) + len(cut.others) for cut in found)
    assert len(set(found)) == len(found)


def test_larger_sets_are_found_on_both_sides() -> None:
    """Among the broken inequalities are some with one item on a side, and some with at least two on both."""
    found = [cut for seed in range(5) for cut in broken(smeared(seed), room=2, most=50, seed=seed)]
    assert {1, 2} <= {min(len(cut.some), len(cut.others)) for cut in found}


@pytest.mark.parametrize("seed", range(5))
def test_no_assignment_breaks_an_inequality(seed: int) -> None:
    """Nothing is found broken in the co-membership of an assignment, and what smeared blocks break it keeps."""
    random = np.random.default_rng(seed)
    part = random.integers(4, size=(2, 16))
    own = (part[:, :, None] == part[:, None, :]).astype(np.float64)
    assert broken(own, room=4, most=50, seed=seed) == []
    assert all(excess(own[cut.pair], cut) <= 0.0 for cut in broken(smeared(seed), room=2, most=50, seed=seed))


@pytest.mark.parametrize("items", [2, 3, 5])
def test_blocks_of_few_items_have_inequalities_too(items: int) -> None:
    """Blocks smaller than the neighbourhood that a start looks at are no error."""
    block = np.full((items, items), 0.9) + 0.1 * np.eye(items)
    for some, others in wide(block, room=8, most=9, random=np.random.default_rng(0)):
        assert not set(some.tolist()) & set(others.tolist())


def test_prices_pull_at_entries_as_they_cost_in_the_inequalities() -> None:
    """What prices take from the entries, times any entries, is the sum of prices times left-hand sides."""
    random = np.random.default_rng(0)
    cuts = [Cut(0, (0,), (3, 9)), Cut(1, (1, 10), (2, 5, 11)), Cut(1, (15,), (0, 8, 3, 1))]
    prices = random.random(3)
    state = PricedCuts(2, 8, cuts, prices)
    within = random.random((3, 8, 8))
    within = within + within.transpose(0, 2, 1)
    blocks = np.zeros((2, 16, 16))
    blocks[:, :8, 8:] = random.random((2, 8, 8))
    blocks[:, 8:, :8] = blocks[:, :8, 8:].transpose(0, 2, 1)
    blocks[:, :8, :8], blocks[:, 8:, 8:] = within[:-1], within[1:]
    across, inside = state.slope(blocks, 0.0)  # without a penalty the prices do not move
    found = float((across * blocks[:, :8, 8:]).sum() + (inside * within).sum())
    wanted = [excess(blocks[cut.pair], cut) + min(len(cut.some), len(cut.others)) for cut in cuts]
    assert found == pytest.approx(float(prices @ wanted))


def test_prices_rise_where_broken_and_never_fall_below_zero() -> None:
    """A price moves with the excess of its inequality, and a kept one stays at 0."""
    blocks = smeared(0)
    cuts = [max(broken(blocks, room=2, most=50, seed=0), key=lambda cut: excess(blocks[cut.pair], cut))]
    cuts.append(Cut(0, (0,), (1, 2)))
    blocks[0, :3, :3] = np.eye(3)
    state = PricedCuts(2, 8, cuts)
    state.move(blocks, 1.0)
    assert (state.prices[0] > 0.0) == (excess(blocks[cuts[0].pair], cuts[0]) > 0.0)
    assert state.prices[1] == 0.0
    assert state.matrix(1.0) is not None
