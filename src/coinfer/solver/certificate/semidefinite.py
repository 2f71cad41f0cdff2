r"""A lower bound on the weight that any layered assignment separates, from multipliers of a semidefinite program.

Let :math:`y_{l,e}` be the row of shares with which item :math:`e` of layer :math:`l` lies in the parts (0 or 1
where it has one copy; shares at least 0 that add up to 1 where it has several), and :math:`X = Y Y^\top`. What is
kept together is :math:`\sum_l \langle W_l, X_{l,l+1} \rangle`. For consecutive layers let :math:`B_l` be the block
of :math:`X` over both of them. For any symmetric :math:`M_l` and any :math:`\tau \ge 0`

.. math:: \sum_l \langle W_l, X_{l,l+1}\rangle
   = \sum_l \langle -M_l, B_l \rangle + \Big[\sum_l \langle W_l, X_{l,l+1}\rangle + \langle M_l, B_l\rangle
   - \sum_c \tau_c\, a_c(X)\Big] + \sum_c \tau_c\, a_c(X).

**First sum.** The columns of :math:`Y_l` have at most :math:`s_g` positive entries, and its rows are at most 1
long, so :math:`t^\top Y_l^\top Y_l t = \sum_e (y_e \cdot t)^2 \le \sum_e \sum_{g: y_{eg} > 0} t_g^2 \le \sum_g s_g
t_g^2` (Cauchy and Schwarz). Hence :math:`B_l` has at most as many positive eigenvalues as parts, the :math:`i`-th
largest of them at most :math:`2 s_{(i)}`, and its trace is at most :math:`2E`; by von Neumann's trace inequality
:math:`\langle D, B_l \rangle \le \max \sum_i \beta_i \lambda_i(D)` over :math:`0 \le \beta_i \le 2 s_{(i)}`,
:math:`\sum_i \beta_i \le 2E`. Where all parts are equally large and full, the vector of ones of each layer is an
eigenvector of known value, which leaves :math:`\frac1G 1^\top D 1 + 2C \sum_{i<G} \lambda_i(D)`, with the
eigenvalues taken across both vectors of ones. Where each item is whole in one part the trace is :math:`2E`, else
eigenvalues below 0 count 0.

**Bracket.** It is linear in the entries of :math:`X`, which lie in [0, 1], with a diagonal of 1 where each item has
one copy: negative coefficients count 0.

**Rows.** :math:`\sum_f c_f x_{ef} = \sum_g y_{eg} \sum_f c_f y_{fg} \le \max_g \sum_f c_f y_{fg}` for items of two
layers, the same one or consecutive ones: at most the largest capacity where :math:`c = 1`, and at most the cap on
the load of a part where :math:`c` is the load. These enter like cuts.

**Last sum.** The 2-partition inequality :math:`x(S, T) - x(S) - x(T) \le \min(|S|, |T|)` for disjoint sets, where
:math:`x(S)` counts every two items of :math:`S` once (Grötschel and Wakabayashi, Mathematical Programming 45, 1989),
holds for 0-1 rows, and is linear in each :math:`y`, so for shares too. A part with :math:`a` items of :math:`S` and
:math:`b` of :math:`T` adds :math:`ab - \frac{a(a-1) + b(b-1)}{2} = \frac{a + b - (a - b)^2}{2} \le \min(a, b)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Matrix, Record
from coinfer.solver.program import FloatArray, IntArray

EPSILON = float(np.finfo(np.float64).eps)
SUMS = 4096.0
"""Rounding of sums, in units of the machine epsilon times the sum of absolute values: far above what numpy needs."""
LARGEST = 1e100
"""Largest multiplier: beyond it squares could overflow."""


class SemidefiniteProof(Record, frozen=True, kw_only=True):
    """Multipliers from which the bound is re-computed; any numbers show something true.

    Attributes
    ----------
    cross
        ((layers - 1) * items, items): block of each :math:`M_l` between its two layers.
    first, second
        ((layers - 1) * items, items): symmetric blocks of :math:`M_l` on its first and on its second layer.
    cuts
        Rows ``pair, multiplier, |S|, items of S, items of T`` of 2-partition inequalities; items of the second layer
        count from ``items``, and rows are filled up with -1. Absent: none.
    count_rows, load_rows
        (3 * layers, items): multipliers, at least 0, of the rows of each item; three for each layer: over the items of
        its own layer, of the next one (unused in the last layer) and of the one before (unused in the first).
    """

    cross: Matrix
    first: Matrix
    second: Matrix
    cuts: Matrix | None = None
    count_rows: Matrix | None = None
    load_rows: Matrix | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What is known of the parts: what a bound may use.

    Attributes
    ----------
    capacity
        (parts,): most items of one layer with a share in a part.
    single
        Whether every item is in exactly one part, whole.
    loads, load_caps
        (layers, items): load of each item; (layers,): most load of a part. ``None`` without a cap in every layer.
    """

    capacity: IntArray
    single: bool
    loads: FloatArray | None = None
    load_caps: FloatArray | None = None

    @property
    def equal(self) -> bool:
        """Whether all parts are equally large and full of whole items; then their rows need no multipliers."""
        return self.single and bool((self.capacity == self.capacity[0]).all())


def kept_at_most(weights: FloatArray, parts: Parts, proof: SemidefiniteProof) -> float:
    """Return an upper bound on the weight that any assignment keeps together.

    Parameters
    ----------
    weights
        (layers - 1, items, items).
    parts
        What is known of the parts.
    proof
        The multipliers.

    Raises
    ------
    CertificateError
        If the proof does not have the shape of the weights.
    """
    pairs, items, _ = weights.shape
    _moderate(proof)
    blocks = [_blocks(name, getattr(proof, name), pairs, items) for name in ("cross", "first", "second")]
    cross, first, second = blocks[0], _symmetric("first", blocks[1]), _symmetric("second", blocks[2])
    slope, most, size = _cuts(proof, pairs, items)
    ones = np.ones((pairs + 1, items))
    rows = _Rows(pairs, items)
    rows.add("count_rows", proof.count_rows, ones, np.full(pairs + 1, float(parts.capacity.max())))
    if proof.load_rows is not None:
        if parts.loads is None or parts.load_caps is None:
            raise CertificateError("proof.load_rows: there is no cap on loads in every layer")
        rows.add("load_rows", proof.load_rows, parts.loads, parts.load_caps)
    total = most + rows.total
    error = size + rows.size
    within = -rows.within
    diagonal = np.arange(items)
    for pair in range(pairs):
        block = np.block([[first[pair], cross[pair]], [cross[pair].T, second[pair]]])
        value, margin = _spectral(-block, parts)
        total += value
        error += margin
        cut = slope.get(pair)
        across = weights[pair] + 2.0 * cross[pair] - rows.across[pair]
        within[pair] += first[pair]
        within[pair + 1] += second[pair]
        if cut is not None:
            across = across - (cut[:items, items:] + cut[items:, :items].T)
            within[pair] -= (cut[:items, :items] + cut[:items, :items].T) / 2.0
            within[pair + 1] -= (cut[items:, items:] + cut[items:, items:].T) / 2.0
        total += float(np.maximum(across, 0.0).sum())
        error += float(np.abs(weights[pair]).sum() + 2.0 * np.abs(block).sum())
    own = within[:, diagonal, diagonal]
    total += float(own.sum() if parts.single else np.maximum(own, 0.0).sum())
    within[:, diagonal, diagonal] = 0.0
    total += float(np.maximum(within, 0.0).sum())
    return total + SUMS * EPSILON * error


def _moderate(proof: SemidefiniteProof) -> None:
    for name in ("cross", "first", "second", "cuts", "count_rows", "load_rows"):
        matrix = getattr(proof, name)
        if matrix is not None and (np.abs(matrix.array) > LARGEST).any():
            raise CertificateError(f"proof.{name}: expected numbers of at most {LARGEST:g}; found a larger one")


def _blocks(name: str, matrix: Matrix, pairs: int, items: int) -> FloatArray:
    if matrix.shape != (pairs * items, items):
        raise CertificateError(f"proof.{name}: expected shape {(pairs * items, items)}; found {matrix.shape}")
    return matrix.array.reshape(pairs, items, items)


def _symmetric(name: str, blocks: FloatArray) -> FloatArray:
    if not np.array_equal(blocks, blocks.transpose(0, 2, 1)):
        raise CertificateError(f"proof.{name}: expected symmetric blocks; found others")
    return blocks


def _spectral(block: FloatArray, known: Parts) -> tuple[float, float]:
    """Return an upper bound on the inner product with any :math:`B_l`, and the size of its rounding."""
    capacity = known.capacity
    items, parts = len(block) // 2, len(capacity)
    norm = float(np.sqrt(np.sum(block * block)))
    rounding = 2.0 * items * 2.0 * items * norm / 16.0
    if known.equal:
        shift = 2.0 * norm  # lifts all eigenvalues above the two zeros that the projection leaves
        centred = (block + shift * np.eye(2 * items)).reshape(2, items, 2, items)
        centred -= centred.mean(axis=1, keepdims=True)
        centred -= centred.mean(axis=3, keepdims=True)
        values = np.linalg.eigvalsh(centred.reshape(2 * items, 2 * items))[::-1] - shift
        found = float(block.sum()) / parts + 2.0 * float(capacity[0]) * float(values[: parts - 1].sum())
        return found, float(np.abs(block).sum()) + rounding
    values = np.linalg.eigvalsh(block)[::-1][:parts]
    room = 2.0 * np.sort(capacity)[::-1].astype(np.float64)[: len(values)]
    left = 2.0 * items - np.concatenate([[0.0], np.cumsum(room)[:-1]])
    used = np.clip(left, 0.0, room)
    return float((values if known.single else np.maximum(values, 0.0)) @ used), rounding


class _Rows:
    """What the multipliers of rows take from the entries, and the sum of their right-hand sides."""

    def __init__(self, pairs: int, items: int) -> None:
        self.pairs, self.items = pairs, items
        self.across = np.zeros((pairs, items, items))
        self.within = np.zeros((pairs + 1, items, items))
        self.total = self.size = 0.0

    def add(self, name: str, matrix: Matrix | None, factors: FloatArray, limits: FloatArray) -> None:
        """Add rows with coefficients ``factors`` (layers, items), at most ``limits`` (layers,)."""
        if matrix is None:
            return
        layers = self.pairs + 1
        if matrix.shape != (3 * layers, self.items) or (matrix.array < 0.0).any():
            raise CertificateError(f"proof.{name}: expected {(3 * layers, self.items)} numbers, at least 0")
        prices = matrix.array.reshape(layers, 3, self.items)
        own, after, before = prices[:, 0], prices[:-1, 1], prices[1:, 2]
        self.within += (own[:, :, None] * factors[:, None, :] + factors[:, :, None] * own[:, None, :]) / 2.0
        self.across += after[:, :, None] * factors[1:, None, :] + factors[:-1, :, None] * before[:, None, :]
        found = own.sum(axis=1) @ limits + after.sum(axis=1) @ limits[1:] + before.sum(axis=1) @ limits[:-1]
        self.total += float(found)
        self.size += 4.0 * float(found) + 4.0 * float(np.abs(self.across).sum() + np.abs(self.within).sum())


def _cuts(proof: SemidefiniteProof, pairs: int, items: int) -> tuple[dict[int, FloatArray], float, float]:
    """Return by pair the multipliers on its entries, the sum of all multipliers, and the size of the sums."""
    if proof.cuts is None:
        return {}, 0.0, 0.0
    rows = proof.cuts.array
    if rows.shape[1] < 5:
        raise CertificateError(f"proof.cuts: expected rows of at least 5 numbers; found {rows.shape[1]}")
    indices = np.delete(rows, 1, axis=1)
    if (indices % 1.0).any() or (rows[:, 1] < 0.0).any():
        raise CertificateError("proof.cuts: expected whole numbers, and multipliers of at least 0; found others")
    pair, side, members = (part.astype(np.int64) for part in (indices[:, 0], indices[:, 1], indices[:, 2:]))
    known = members >= 0
    held = known.sum(axis=1)
    if (
        (pair < 0).any()
        or (pair >= pairs).any()
        or (side < 1).any()
        or (side >= held).any()
        or members.max(initial=0) >= 2 * items
        or members.min(initial=0) < -1
        or (known[:, 1:] & ~known[:, :-1]).any()
    ):
        raise CertificateError("proof.cuts: expected pairs, and two sets of items that are there; found others")
    ordered = np.sort(members, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise CertificateError("proof.cuts: expected items that differ; found one twice in a row")
    slope = {int(index): np.zeros((2 * items, 2 * items)) for index in np.unique(pair)}
    for index, table in slope.items():
        chosen = pair == index
        tau, sets, own, real = rows[chosen, 1], side[chosen], members[chosen], known[chosen]
        for column in range(1, own.shape[1]):
            for other in range(column):
                both = real[:, column]
                across = (other < sets) & (sets <= column)
                np.add.at(table, (own[both, other], own[both, column]), np.where(across, tau, -tau)[both])
    total = float(rows[:, 1] @ np.minimum(side, held - side))
    most = float(rows[:, 1].sum()) * rows.shape[1] ** 2
    return slope, total, most * max(1.0, len(rows) / SUMS)  # an entry may be in every inequality
