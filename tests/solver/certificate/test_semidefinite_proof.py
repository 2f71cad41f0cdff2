"""Terms of the semidefinite bound: each equals what it stands for where its inequality is tight."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from coinfer.records import Matrix
from coinfer.solver.certificate.semidefinite import Parts, SemidefiniteProof, kept_at_most

Floats = NDArray[np.float64]
LAYERS, ITEMS, PARTS = 4, 6, 3


def balanced(random: np.random.Generator) -> NDArray[np.int64]:
    """Return a random assignment with equal full parts, (layers, items)."""
    return np.stack([random.permutation(np.repeat(np.arange(PARTS), ITEMS // PARTS)) for _ in range(LAYERS)])


def together(part: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the co-membership of consecutive layers and inside each layer."""
    across = part[:-1, :, None] == part[1:, None, :]
    within = part[:, :, None] == part[:, None, :]
    return across.astype(np.float64), within.astype(np.float64)


def nothing() -> dict[str, Matrix]:
    empty = Matrix(np.zeros(((LAYERS - 1) * ITEMS, ITEMS)))
    return {"cross": empty, "first": empty, "second": empty}


def rank_one(values: Floats) -> Floats:
    return values[:, :, None] + values[:, None, :]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("row", range(3))
def test_rows_show_exactly_the_weight_that_lies_in_full_rows(seed: int, row: int) -> None:
    """Weights that are row prices are kept to price times capacity by any balanced assignment, and that is shown."""
    random = np.random.default_rng(seed)
    prices = np.zeros((LAYERS, 3, ITEMS))
    prices[:, row] = random.integers(0, 9, size=(LAYERS, ITEMS))
    across, within = together(balanced(random))
    weights = np.zeros((LAYERS - 1, ITEMS, ITEMS))
    cross, first, second = (np.zeros_like(weights) for _ in range(3))
    if row == 0:  # prices inside layers are met by the blocks: all of each layer in the block that begins with it
        first, second[-1] = rank_one(prices[:-1, 0]) / 2.0, rank_one(prices[-1:, 0])[0] / 2.0
        cross = weights
        free = -(first * within[:-1]).sum() - (second[-1] * within[-1]).sum()
    elif row == 1:
        weights += prices[:-1, 1][:, :, None]
        free = 0.0
    else:
        weights += prices[1:, 2][:, None, :]
        free = 0.0
    proof = SemidefiniteProof(
        cross=Matrix(cross.reshape(-1, ITEMS)),
        first=Matrix(first.reshape(-1, ITEMS)),
        second=Matrix(second.reshape(-1, ITEMS)),
        count_rows=Matrix(prices.reshape(-1, ITEMS)),
    )
    parts = Parts(capacity=np.full(PARTS, ITEMS // PARTS), single=True)
    kept = float((weights * across).sum())
    if row == 0:
        used = prices[:, 0].sum() * ITEMS / PARTS
        assert used + free == pytest.approx(0.0, abs=1e-9)
        bare = kept_at_most(
            weights, parts, SemidefiniteProof(cross=proof.cross, first=proof.first, second=proof.second)
        )
        paid = float(np.maximum(np.concatenate([first, second[-1:]]), 0.0).sum())
        assert kept_at_most(weights, parts, proof) == pytest.approx(bare - paid + used, abs=1e-6)
    else:
        prices[-1, 1], prices[0, 2] = 0.0, 0.0  # there is no such row
        assert kept_at_most(weights, parts, proof) == pytest.approx(kept)


@pytest.mark.parametrize("row", [1, 2])
def test_load_rows_show_what_a_cap_on_loads_forbids(row: int) -> None:
    """With weights proportional to loads, an item keeps no more than the cap of one part."""
    random = np.random.default_rng(row)
    loads = random.integers(1, 9, size=(LAYERS, ITEMS)).astype(np.float64)
    caps = random.integers(20, 30, size=LAYERS).astype(np.float64)
    prices = np.zeros((LAYERS, 3, ITEMS))
    prices[:, row] = 1.0
    ahead = np.broadcast_to(loads[1:, None, :], (LAYERS - 1, ITEMS, ITEMS))
    behind = np.broadcast_to(loads[:-1, :, None], (LAYERS - 1, ITEMS, ITEMS))
    weights = (ahead if row == 1 else behind).copy()
    parts = Parts(capacity=np.full(PARTS, ITEMS), single=False, loads=loads, load_caps=caps)
    proof = SemidefiniteProof(**nothing(), load_rows=Matrix(prices.reshape(-1, ITEMS)))
    wanted = ITEMS * float((caps[1:] if row == 1 else caps[:-1]).sum())
    assert kept_at_most(weights, parts, proof) == pytest.approx(wanted)


def test_without_multipliers_everything_may_be_kept() -> None:
    """Multipliers of 0 show that no more is kept than there is, up to the rounding that is allowed for."""
    weights = np.random.default_rng(0).random((LAYERS - 1, ITEMS, ITEMS))
    found = kept_at_most(weights, Parts(capacity=np.full(PARTS, 2), single=True), SemidefiniteProof(**nothing()))
    total = float(weights.sum())
    assert total <= found <= total * (1.0 + 1e-9)


@pytest.mark.parametrize("single", [True, False])
def test_one_part_keeps_everything(single: bool) -> None:
    """With all weights in the blocks and a single part, all is kept and the bound says so."""
    weights = np.ones((LAYERS - 1, ITEMS, ITEMS))
    own = np.zeros((LAYERS - 1) * ITEMS * ITEMS).reshape(-1, ITEMS)
    proof = SemidefiniteProof(cross=Matrix(-weights.reshape(-1, ITEMS) / 2.0), first=Matrix(own), second=Matrix(own))
    found = kept_at_most(weights, Parts(capacity=np.array([ITEMS]), single=single), proof)
    assert found == pytest.approx(float(weights.sum()))
    assert found >= float(weights.sum())


def test_an_inequality_takes_its_share_of_both_sets() -> None:
    """Two items of each set, all weight between the sets: the inequality replaces 4 by 2 and what lies inside."""
    weights = np.zeros((LAYERS - 1, ITEMS, ITEMS))
    weights[1, :2, :2] = 1.0
    cut = Matrix([[1.0, 1.0, 2.0, 0.0, 1.0, 6.0, 7.0]])
    parts = Parts(capacity=np.full(PARTS, 2), single=True)
    assert kept_at_most(weights, parts, SemidefiniteProof(**nothing(), cuts=cut)) == pytest.approx(2.0 + 1.0 + 1.0)
    halved = Matrix([[1.0, 0.5, 2.0, 0.0, 1.0, 6.0, 7.0]])
    assert kept_at_most(weights, parts, SemidefiniteProof(**nothing(), cuts=halved)) == pytest.approx(4.0)
    star = Matrix([[1.0, 1.0, 1.0, 0.0, 6.0, 7.0, -1.0]])
    assert kept_at_most(weights, parts, SemidefiniteProof(**nothing(), cuts=star)) == pytest.approx(2.0 + 1.0 + 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_shares_under_a_load_cap_never_keep_more_than_is_shown(seed: int) -> None:
    """With any multipliers items with several copies keep no more than the bound, even one too heavy to be whole."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(PARTS, 0.5), size=(LAYERS, ITEMS))
    shares[:, 0] = 1.0 / PARTS
    loads = random.integers(1, 5, size=(LAYERS, ITEMS)).astype(np.float64)
    loads[:, 0] = 100.0
    caps = np.einsum("le,leg->lg", loads, shares).max(axis=1)
    weights = random.random((LAYERS - 1, ITEMS, ITEMS))
    kept = float(np.einsum("lef,leg,lfg->", weights, shares[:-1], shares[1:]))
    parts = Parts(capacity=np.full(PARTS, ITEMS), single=False, loads=loads, load_caps=caps)
    prices = random.exponential(0.1, size=(LAYERS, 3, ITEMS)) * random.integers(0, 2, size=(LAYERS, 3, 1))
    prices[:, 0, 0] = 10.0 * seed
    proof = SemidefiniteProof(**nothing(), load_rows=Matrix(prices.reshape(-1, ITEMS)))
    assert kept_at_most(weights, parts, proof) >= kept
