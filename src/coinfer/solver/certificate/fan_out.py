r"""Lower bounds of fan-out, re-derived without a solver.

Each layer stands alone. Two things can be shown for one.

**Enumerated.** A tiny layer: the best of all assignments that keep its slots, permissions and load cap.

**Pairs.** A set of :math:`k` items that touches :math:`d` parts has some number :math:`p` of pairs of items in one
part. With at most :math:`S` items in a part, :math:`(p, d)` is one of finitely many points: one for each way to write
:math:`k` as a sum of numbers in :math:`1..S`, at most as many as there are parts. Their lower convex envelope
:math:`\phi`, made flat where it would rise, never rises; so by Jensen the mean of :math:`d` over all sets is at least
:math:`\phi` of the mean of :math:`p`, and at least :math:`\phi` of any upper bound on that mean. The sum of :math:`p`
over the sets is :math:`\frac12 \langle V, X \rangle`, where :math:`V_{ef}` says how often the items are used together
(0 on the diagonal) and :math:`X_{ef}` is 1 where they share a part. It is bounded in two ways, of which the lower
holds:

- An item shares its part with at most :math:`S - 1` others: half the sum of the :math:`S - 1` largest entries of each
  row of :math:`V`.
- :math:`X = YY^\top` with the parts as columns of :math:`Y`: it is positive semidefinite with the numbers of items of
  the parts as eigenvalues, has ones on its diagonal and no negative entry. For any numbers :math:`\delta` and any
  matrix :math:`N \ge 0`, with :math:`M = V + N + \mathrm{diag}(\delta)`,
  :math:`\langle V, X\rangle \le \langle M, X\rangle - \sum\delta \le \sum_i s_{(i)} \lambda_i^+(M) - \sum\delta`, with
  slots and eigenvalues falling (von Neumann). Where every part is full and all have :math:`S` slots, :math:`X 1 = S 1`,
  and the trace inner product splits into :math:`\frac{S}{E} 1^\top M 1` and the rest, which has :math:`G - 1`
  eigenvalues :math:`S`, on the complement of :math:`1`: :math:`S` times the sum of the :math:`G - 1` largest
  eigenvalues of :math:`PMP` there, :math:`P = I - \frac1E 11^\top`.

The same by item: :math:`d` is the sum over the items of the set of :math:`1 / (1 + x)`, where :math:`x` is the number
of others of the set in the item's part. Interpolated between whole numbers this is convex and falls, so by Jensen an
item used :math:`n` times with :math:`X` companions in all adds at least :math:`n` times its value at :math:`X / n`.
Companions are bounded for each item by the first bound above, and for all by the second; the least sum takes them where
they save most, and that is the same order for all items: first companions first. The higher of the two bounds holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Matrix, Record
from coinfer.solver.assignment.fan_out.program import FanOutProgram, distinct_parts
from coinfer.solver.program import FloatArray, IntArray

ENUMERATED = 20_000
"""Most assignments of a layer that are enumerated."""
MARGIN = 1e-10
"""Relative rounding allowed to eigenvalues and sums, always against the bound."""


class FanOutProof(Record, frozen=True, kw_only=True, tag_field="method", tag="fan_out"):
    r"""What shows the bound of each layer; whatever the numbers are, they show something true.

    Attributes
    ----------
    enumerated
        Layers that are enumerated; the others are bounded by pairs.
    diagonal
        (layers, items): :math:`\delta`; absent: all 0.
    entries
        (layers * items, items): :math:`N`, one block of rows for each layer; absent: all 0. Negative ones count as 0.
    """

    enumerated: tuple[int, ...] = ()
    diagonal: Matrix | None = None
    entries: Matrix | None = None


def check_fan_out(program: FanOutProgram, proof: FanOutProof) -> FloatArray:
    """Return a lower bound on the sum of the parts that the sets of each layer touch, (layers,).

    With costs of places, the bound of an enumerated layer has them in it; the others have no cost below 0.

    Raises
    ------
    CertificateError
        If the proof has another shape than the program, or a layer is too large to be enumerated.
    """
    layers, items = program.layers, program.items
    if proof.diagonal is not None and proof.diagonal.shape != (layers, items):
        raise CertificateError(f"proof.diagonal: expected {(layers, items)} numbers; found {proof.diagonal.shape}")
    if proof.entries is not None and proof.entries.shape != (layers * items, items):
        raise CertificateError(f"proof.entries: expected {(layers * items, items)} numbers; found another shape")
    if any(not 0 <= layer < layers for layer in proof.enumerated):
        raise CertificateError(f"proof.enumerated: expected numbers in 0..{layers - 1}; found others")
    bound = np.zeros(layers)
    for layer in range(layers):
        diagonal = np.zeros(items) if proof.diagonal is None else proof.diagonal.array[layer]
        entries = None if proof.entries is None else proof.entries.array[layer * items : (layer + 1) * items]
        sets, count = program.rows(layer)
        bound[layer] = pairs_bound(program, co_used(sets, count, items), count, diagonal, entries)
        if layer in proof.enumerated:
            if assignments(program.slots, items) > ENUMERATED:
                raise CertificateError(f"proof.enumerated: layer {layer} has too many assignments to enumerate")
            bound[layer] = best_of_all(program, layer)[0]
    return bound


def co_used(sets: IntArray, count: FloatArray, items: int) -> FloatArray:
    """Return how often each two items are used together, (items, items); 0 on the diagonal."""
    used = np.zeros((items, items))
    for i in range(sets.shape[1]):
        for j in range(sets.shape[1]):
            if i != j:
                np.add.at(used, (sets[:, i], sets[:, j]), count)
    return used


def pairs_bound(
    program: FanOutProgram, used: FloatArray, count: FloatArray, diagonal: FloatArray, entries: FloatArray | None
) -> float:
    """Return the bound by pairs of one layer, as the module shows it."""
    total = math.fsum(count.tolist())
    if total == 0.0 or program.size == 0:
        return 0.0
    widest = int(program.slots.max())
    falling = -np.sort(-used, axis=1)[:, : max(0, widest - 1)]
    beside = falling.sum(axis=1) * (1.0 + MARGIN)
    most = min(float(beside.sum()), spectral_most(used, program.slots, diagonal, entries)[0])
    whole = total * envelope(program.size, widest, program.parts, max(most, 0.0) / 2.0 / total)
    single = by_item(used.sum(axis=1) / max(1, program.size - 1), beside, min(program.size, widest), most)
    return max(whole, single) * (1.0 - MARGIN)


def by_item(uses: FloatArray, beside: FloatArray, widest: int, most: float) -> float:
    """Return a lower bound on the parts touched, from what each item can have beside it.

    Parameters
    ----------
    uses
        (items,): how often the item is used.
    beside
        (items,): most companions in its part over all its uses.
    widest
        Most items of a set in one part.
    most
        Most companions of all items together.
    """
    bound, left = float(uses.sum()), max(most, 0.0)
    for companions in range(widest - 1):
        room = float(np.clip(beside - companions * uses, 0.0, uses).sum())
        taken = min(room, left)
        bound -= taken * (1.0 / (companions + 1) - 1.0 / (companions + 2))
        left -= taken
    return bound


def spectral_most(
    used: FloatArray, slots: IntArray, diagonal: FloatArray, entries: FloatArray | None
) -> tuple[float, FloatArray]:
    """Return the bound on the sum of ``used`` over ordered pairs in one part, and the matrix that attains it.

    The second is where the bound's linear relaxation has its maximum, (items, items): what a search for better
    ``diagonal`` and ``entries`` follows.
    """
    items = len(used)
    matrix = used + np.diag(diagonal)
    if entries is not None:
        matrix = matrix + np.maximum((entries + entries.T) / 2.0, 0.0)
    falling = np.sort(slots)[::-1].astype(np.float64)
    level = 0.0
    if int(slots.sum()) == items and int(slots.min()) == int(slots.max()):
        level = float(falling[0]) / items
        mean = matrix.mean(axis=0)
        rest = matrix - mean - mean[:, None] + mean.mean()
        values, vectors = np.linalg.eigh(rest)
        # The vector of ones is one of its eigenvectors, with eigenvalue 0; the others may be below.
        along = np.abs(vectors.sum(axis=0)) / math.sqrt(items)
        keep = np.ones(items, dtype=bool)
        keep[int(np.argmax(along))] = False
        top = np.argsort(-np.where(keep, values, -np.inf), kind="stable")[: len(slots) - 1]
        largest = np.sort(values)[::-1][: len(slots) - 1]  # never below those of the complement
        value = level * float(matrix.sum()) + float(falling[0]) * float(largest.sum())
        attained = level + falling[0] * (vectors[:, top] @ vectors[:, top].T)
    else:
        values, vectors = np.linalg.eigh(matrix)
        top = np.argsort(-values, kind="stable")[: len(slots)]
        weight = np.where(values[top] > 0.0, falling[: len(top)], 0.0)
        value = float(weight @ values[top])
        attained = (vectors[:, top] * weight) @ vectors[:, top].T
    slack = MARGIN * items * (float(np.abs(matrix).sum()) / items + float(np.abs(values).max(initial=0.0)))
    return value - float(diagonal.sum()) + slack, attained


def envelope(size: int, widest: int, parts: int, pairs: float) -> float:
    """Return the least mean of parts touched at a mean number of ``pairs`` in one part: the lower convex envelope.

    Points are all ways to write ``size`` as a sum of at most ``parts`` numbers in 1..``widest``. Fewer parts need more
    pairs, so only the fewest pairs for each number of parts matter, and the envelope falls.
    """
    fewest: dict[int, int] = {}
    for shape in _shapes(size, widest, parts):
        together = sum(n * (n - 1) // 2 for n in shape)
        fewest[len(shape)] = min(fewest.get(len(shape), together), together)
    points = [(p, d) for d, p in fewest.items()]
    if not points:
        return 0.0
    least = [float(d) for p, d in points if p <= pairs]
    for p, d in points:
        least += [d + (e - d) * (pairs - p) / (q - p) for q, e in points if p <= pairs < q]
    return min(least, default=float(max(fewest)))  # fewer pairs than any shape has: only by rounding


def _shapes(size: int, widest: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to write ``size`` as a falling sum of at most ``parts`` numbers in 1..``widest``."""
    if size == 0:
        yield ()
        return
    if parts == 0:
        return
    for first in range(min(size, widest), 0, -1):
        for rest in _shapes(size - first, first, parts - 1):
            yield (first, *rest)


def assignments(slots: IntArray, items: int) -> int:
    """Return how many assignments of the items to the parts keep the slots; above the limit, some number above it."""
    ways = {items: 1}
    for room in slots.tolist():
        after: dict[int, int] = {}
        for left, number in ways.items():
            for taken in range(min(left, room) + 1):
                after[left - taken] = after.get(left - taken, 0) + number * math.comb(left, taken)
        ways = after
    return ways.get(0, 0)


def every_assignment(slots: IntArray, items: int) -> IntArray:
    """Return all assignments that keep the slots, (assignments, items)."""
    made = np.zeros((1, 0), dtype=np.int64)
    filled = np.zeros((1, len(slots)), dtype=np.int64)
    for item in range(items):
        row, part = np.nonzero(filled < slots)
        made = np.concatenate([made[row], part[:, None]], axis=1)
        filled = filled[row].copy()
        filled[np.arange(len(row)), part] += 1
        left = slots - filled
        fits = left.sum(axis=1) >= items - item - 1
        made, filled = made[fits], filled[fits]
    return made


def best_of_all(program: FanOutProgram, layer: int) -> tuple[float, IntArray | None]:
    """Return the least cost of a layer over all feasible assignments, and one that has it; ``inf`` without any."""
    every = every_assignment(program.slots, program.items)
    item = np.arange(program.items)
    if program.allowed is not None:
        every = every[program.allowed[layer][item, every].all(axis=1)]
    if program.loads is not None and program.load_caps is not None:
        load = np.stack([(every == g) @ program.loads[layer] for g in range(program.parts)], axis=1)
        every = every[load.max(axis=1, initial=0.0) <= program.load_caps[layer] * (1.0 + 1e-9)]
    if not len(every):
        return math.inf, None
    sets, count = program.rows(layer)
    value = np.zeros(len(every))
    for rows in np.array_split(np.arange(len(sets)), max(1, len(sets) * len(every) // 2_000_000)):
        value += distinct_parts(sets[rows], every) @ count[rows]
    if program.cost is not None:
        value += program.cost[layer][item, every].sum(axis=1)
    best = int(np.argmin(value))
    return float(value[best]), every[best]
