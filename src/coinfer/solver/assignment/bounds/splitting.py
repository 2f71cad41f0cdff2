r"""Multipliers for the semidefinite bound, by alternating directions.

The relaxation of :mod:`coinfer.solver.certificate.semidefinite` is split in two: blocks :math:`B_l` over two
consecutive layers with eigenvalues in [0, 2C] and a fixed trace, and one consensus matrix with entries in [0, 1]
and a diagonal of 1. Each sweep projects all blocks (one eigen-decomposition per pair of layers), averages them
where they overlap, and moves the multipliers :math:`M_l` along the difference. Blocks of two layers are enough: the
pattern is chordal, so this is as strong as one matrix over all layers. Inequalities and rows enter the
consensus through multipliers of their own, moved along their violation.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from coinfer.records import Matrix
from coinfer.solver.assignment.bounds.priced import PricedCuts
from coinfer.solver.assignment.bounds.rows import Rows
from coinfer.solver.certificate.semidefinite import Parts, SemidefiniteProof
from coinfer.solver.program import FloatArray

RELAXED = 1.6
"""Over-relaxation of the projection."""
FIRST_PENALTY = 0.1
"""Penalty for a difference at the start, where a row of weights adds up to about 1."""
CHANGE = 1.3
"""By how much the penalty changes when one of the two residuals is far larger than the other."""
LARGE = 200
"""Size of a block from which only its largest eigenvalues are computed, in single precision: they only guide."""


class Splitting:
    """The state of the method; all weights are scaled so that a row adds up to about 1.

    Attributes
    ----------
    entries
        Consensus between consecutive layers, (pairs, items, items): approximate co-membership.
    within
        Consensus inside each layer, (layers, items, items).
    cuts
        Inequalities in force.
    """

    def __init__(self, weights: FloatArray, known: Parts, *, threads: int = 1) -> None:
        self.pairs, self.items, _ = weights.shape
        capacity = known.capacity
        self.parts, self.single, self.equal, self.threads = len(capacity), known.single, known.equal, threads
        self.room = 2.0 * np.sort(capacity)[::-1].astype(np.float64)
        self.scale = self.pairs * self.items / max(float(weights.sum()), 1e-300)
        self.weights = weights * self.scale
        self.penalty = FIRST_PENALTY
        self.count = self.parts + self.parts // 2 + 8
        near = float(capacity.max()) / self.items
        self.entries = np.full(weights.shape, near)
        self.within = np.full((self.pairs + 1, self.items, self.items), near)
        self._own = np.arange(self.items)
        self.within[:, self._own, self._own] = 1.0
        size = 2 * self.items
        self.multipliers = np.zeros((self.pairs, size, size))
        half = self.items
        self.multipliers[:, :half, half:] = -self.weights / 2.0
        self.multipliers[:, half:, :half] = -self.weights.transpose(0, 2, 1) / 2.0
        self.cuts = PricedCuts(self.pairs, self.items)
        self._copies = np.full((self.pairs + 1, 1, 1), 2.0)
        self._copies[[0, -1]] = 1.0
        self.primal = self.dual = np.inf
        self.rows: dict[str, Rows] = {}
        if not self.equal:
            ones = np.ones((self.pairs + 1, self.items))
            self.rows["count_rows"] = Rows(ones, np.full(self.pairs + 1, float(capacity.max())))
        if known.loads is not None and known.load_caps is not None:
            self.rows["load_rows"] = Rows(known.loads, known.load_caps)

    def sweep(self) -> None:
        """Take one step of the method."""
        half = self.items
        before = self.blocks()
        target = before - self.multipliers / self.penalty
        projected = self._projected(target)
        relaxed = RELAXED * projected + (1.0 - RELAXED) * before
        pull = relaxed + self.multipliers / self.penalty
        across = pull[:, :half, half:] + self.weights / (2.0 * self.penalty)
        within = np.zeros_like(self.within)
        within[:-1] += pull[:, :half, :half]
        within[1:] += pull[:, half:, half:]
        for rows in self.rows.values():
            taken = rows.slope()
            across -= taken[0] / (2.0 * self.penalty)
            within -= taken[1] / self.penalty
        old = (self.entries, self.within)
        if self.cuts.cuts:
            slope = self.cuts.slope(before, self.penalty)
            hold = self.cuts.damping
            across = (2.0 * across - slope[0] / self.penalty + hold[0] * old[0]) / (2.0 + hold[0])
            within = within - slope[1] / self.penalty + hold[1] * old[1]
            within /= self._copies + hold[1]
        else:
            within /= self._copies
        self.entries = np.clip(across, 0.0, 1.0)
        self.within = np.clip(within, 0.0, 1.0)
        if self.single:
            self.within[:, self._own, self._own] = 1.0
        after = self.blocks()
        self.multipliers -= self.penalty * (after - relaxed)
        self.primal = float(np.linalg.norm(after - projected))
        self.dual = self.penalty * float(np.linalg.norm(after - before))
        for rows in self.rows.values():
            rows.move(2.0 * self.entries - old[0], 2.0 * self.within - old[1], self.penalty)
        if self.cuts.cuts:
            self.cuts.move(after, self.penalty)

    def balance(self) -> None:
        """Change the penalty where one residual is far larger than the other."""
        if self.primal > 5.0 * self.dual:
            self.penalty *= CHANGE
        elif self.dual > 5.0 * self.primal:
            self.penalty /= CHANGE

    def blocks(self) -> FloatArray:
        """Return the consensus as one block for each pair, (pairs, 2 items, 2 items)."""
        half = self.items
        made = np.empty((self.pairs, 2 * half, 2 * half))
        made[:, :half, :half], made[:, half:, half:] = self.within[:-1], self.within[1:]
        made[:, :half, half:] = self.entries
        made[:, half:, :half] = self.entries.transpose(0, 2, 1)
        return made

    def proof(self) -> SemidefiniteProof:
        """Return the multipliers in the unit of the weights, rounded to single precision."""
        half, shape = self.items, (self.pairs * self.items, self.items)
        rounded = (self.multipliers / self.scale).astype(np.float32).astype(np.float64)
        first, second = rounded[:, :half, :half], rounded[:, half:, half:]
        return SemidefiniteProof(
            cross=Matrix(rounded[:, :half, half:].reshape(shape)),
            first=Matrix(_mirrored(first).reshape(shape)),
            second=Matrix(_mirrored(second).reshape(shape)),
            cuts=self.cuts.matrix(self.scale),
            **{name: rows.matrix(self.scale) for name, rows in self.rows.items()},
        )

    def _projected(self, blocks: FloatArray) -> FloatArray:
        """Project every block on the matrices with the right eigenvalues; the pairs are split over the threads."""
        if self.threads == 1 or self.pairs == 1:
            return self._projected_part(blocks)
        with ThreadPoolExecutor(self.threads) as pool:
            return np.concatenate(list(pool.map(self._projected_part, np.array_split(blocks, 2 * self.threads))))

    def _projected_part(self, blocks: FloatArray) -> FloatArray:
        if not len(blocks):
            return blocks
        half = self.items
        if self.equal:
            centred = blocks.reshape(-1, 2, half, 2, half).copy()
            centred -= centred.mean(axis=2, keepdims=True)
            centred -= centred.mean(axis=4, keepdims=True)
            blocks = centred.reshape(blocks.shape)
        values, vectors = self._largest(blocks)
        # Largest eigenvalues of unequal parts have caps of their own; one cap for all only guides less well.
        total = self.room[0] * (self.parts - 1) if self.equal else 2.0 * half
        values = _capped(values, self.room[0], total, exact=self.single)
        kept = int((values > 0.0).any(axis=0).sum())
        # Too few were computed where all are in use: the next sweep looks at more; else at a few more than were used.
        self.count = min(2 * half, 2 * kept if kept == values.shape[1] else kept + kept // 3 + 16)
        used = vectors[:, :, -kept:] if kept else vectors[:, :, :0]
        made = (used * values[:, None, -kept:]) @ used.transpose(0, 2, 1) if kept else np.zeros_like(blocks)
        if self.equal:
            made += 1.0 / self.parts
        return made

    def _largest(self, blocks: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return eigenvalues, ascending, and vectors; of large blocks only those that can stay above 0."""
        size = 2 * self.items
        if size < LARGE or self.count >= size:
            values, vectors = np.linalg.eigh(blocks)
            return values, vectors
        from scipy.linalg import eigh

        wanted = (size - self.count, size - 1)
        found = [eigh(block.astype(np.float32), subset_by_index=wanted, check_finite=False) for block in blocks]
        return np.array([pair[0] for pair in found], dtype=np.float64), np.array([pair[1] for pair in found])


def _mirrored(blocks: FloatArray) -> FloatArray:
    """Return blocks that are symmetric to the last bit."""
    lower = np.tril(blocks)
    mirrored: FloatArray = lower + np.tril(blocks, -1).transpose(0, 2, 1)
    return mirrored


def _capped(values: FloatArray, cap: float, total: float, *, exact: bool) -> FloatArray:
    """Project rows of eigenvalues on numbers between 0 and ``cap`` that add up to ``total``, or to less."""
    low, high = values.min(axis=1) - cap, values.max(axis=1)
    if not exact:
        inside = np.clip(values, 0.0, cap).sum(axis=1) <= total
        low, high = np.where(inside, 0.0, np.maximum(low, 0.0)), np.where(inside, 0.0, np.maximum(high, 0.0))
    for _ in range(60):
        middle = (low + high) / 2.0
        large = np.clip(values - middle[:, None], 0.0, cap).sum(axis=1) > total
        low, high = np.where(large, middle, low), np.where(large, high, middle)
    found: FloatArray = np.clip(values - ((low + high) / 2.0)[:, None], 0.0, cap)
    return found
