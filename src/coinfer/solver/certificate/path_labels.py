"""The beginnings of paths that no price rules out, listed boundary by boundary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.certificate.path_places import SLACK, Places
from coinfer.solver.program import FloatArray, IntArray

AT_ONCE = 512
"""Beginnings compared with all others at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """Beginnings of paths that end at one boundary.

    ``use`` (labels, resources); ``carrier`` (labels,), where they are; ``passed`` (labels, carriers), the carriers that
    they used, this one included; ``held`` (labels,), memory taken here so far where modes may be mixed, else 0.
    """

    use: FloatArray
    carrier: IntArray
    passed: NDArray[np.bool_]
    held: FloatArray

    def __len__(self) -> int:
        return len(self.carrier)

    def only(self, kept: NDArray[np.bool_] | IntArray) -> Labels:
        """Return some of them."""
        return Labels(use=self.use[kept], carrier=self.carrier[kept], passed=self.passed[kept], held=self.held[kept])


def exhausted(places: Places, *, most_labels: int) -> bool:
    """Return whether no path within ``places.most`` is left, as far as ``most_labels`` beginnings show."""
    program = places.program
    waiting: list[list[Labels]] = [[] for _ in range(program.steps + 1)]
    listed = 0
    for boundary in range(program.steps):
        if boundary and not waiting[boundary]:
            continue
        ended = None if boundary == 0 else _undominated(places, _joined(waiting[boundary]))
        arrived = _undominated(places, _start(places) if ended is None else _jumped(places, ended, boundary))
        begun = _stepped(places, arrived, boundary) if program.mixed_modes else _begun(places, arrived, boundary)
        if program.mixed_modes and ended is not None:
            begun += _stepped(places, ended, boundary)
        for end, labels in begun:
            waiting[end].append(labels)
            listed += len(labels)
        if waiting[program.steps] or listed > most_labels:
            return False
        waiting[boundary] = []
    return True


def _possible(
    places: Places, use: FloatArray, held: FloatArray, carrier: IntArray, unused: NDArray[np.bool_], onward: FloatArray
) -> NDArray[np.bool_]:
    """Return which beginnings no row of prices rules out; ``onward`` (labels, rows) are their potentials."""
    spare = places.spare()
    spared = unused.astype(np.float64) @ np.where(np.isfinite(spare), spare, 0.0).T
    spared[unused.astype(np.float64) @ np.isinf(spare).T.astype(np.float64) > 0.0] = np.inf
    left = use @ places.prices.T + onward
    if places.program.mixed_modes:
        left += held[:, None] * places.carrier_prices.T[carrier]
        spared += spare.T[carrier]
    return np.asarray((np.isfinite(left) & (left * (1.0 - 1e-12) <= places.limit + spared)).all(axis=1))


def _unused(places: Places, labels: Labels) -> NDArray[np.bool_]:
    """Return which carriers may still come, (labels, carriers)."""
    if places.program.order == "fixed":
        return np.arange(places.program.carriers) > labels.carrier[:, None]
    return ~labels.passed


def _start(places: Places) -> Labels:
    """Return the arrivals before the first step."""
    into = places.outer(back=False)
    carriers = np.flatnonzero(np.isfinite(into).all(axis=0))
    none = Labels(
        use=into[:, carriers].T,
        carrier=carriers,
        passed=np.zeros((len(carriers), places.program.carriers), dtype=bool),
        held=np.zeros(len(carriers)),
    )
    return _arrived(places, none, 0)


def _arrived(places: Places, labels: Labels, boundary: int) -> Labels:
    """Mark the carriers as used, and leave out the beginnings that lead nowhere."""
    unused = _unused(places, labels)
    onward = places.arrived[:, boundary].T[labels.carrier]
    if places.program.mixed_modes:  # the price of its memory is counted for the carrier itself
        unused = unused & (np.arange(places.program.carriers) != labels.carrier[:, None])
    kept = _possible(places, labels.use, labels.held, labels.carrier, unused, onward)
    found = labels.only(kept)
    found.passed[np.arange(len(found)), found.carrier] = True
    return found


def _jumped(places: Places, ended: Labels, boundary: int) -> Labels:
    """Return the arrivals by one jump."""
    jumps = places.jumps(boundary)  # (resources, from, to, codecs)
    open_ways = np.isfinite(jumps[0])[ended.carrier] & ~ended.passed[:, :, None]
    label, carrier, codec = np.nonzero(open_ways)
    use = ended.use[label] + jumps[:, ended.carrier[label], carrier, codec].T
    found = Labels(use=use, carrier=carrier, passed=ended.passed[label], held=np.zeros(len(label)))
    return _arrived(places, found, boundary)


def _begun(places: Places, arrived: Labels, first: int) -> list[tuple[int, Labels]]:
    """Return the beginnings with one whole piece more, by the boundary at which it ends."""
    if not len(arrived):
        return []
    pieces = places.pieces(places.sums, first)  # (resources, carriers, modes, ends)
    label, mode, end = np.nonzero(np.isfinite(pieces[0])[arrived.carrier])
    source = arrived.only(label)
    use = source.use + pieces[:, source.carrier, mode, end].T
    onward = places.ended[:, first + 1 + end, source.carrier].T
    kept = _possible(places, use, source.held, source.carrier, _unused(places, source), onward)
    found = Labels(use=use[kept], carrier=source.carrier[kept], passed=source.passed[kept], held=source.held[kept])
    end = end[kept]
    return [(first + 1 + int(at), found.only(end == at)) for at in np.unique(end)]


def _stepped(places: Places, labels: Labels, step: int) -> list[tuple[int, Labels]]:
    """Return the beginnings with one step more, in each mode."""
    program = places.program
    result = []
    for mode in range(program.modes):
        held = labels.held + program.size[labels.carrier, mode, step]
        room = program.capacity[labels.carrier] * (1.0 + SLACK) * (1.0 + 1e-12)
        source = labels.only(places.possible[labels.carrier, mode, step] & (held <= room))
        held = source.held + program.size[source.carrier, mode, step]
        use = source.use + places.step[:, source.carrier, mode, step].T
        onward = places.ended[:, step + 1].T[source.carrier]
        kept = _possible(places, use, held, source.carrier, _unused(places, source), onward)
        if kept.any():
            found = Labels(use=use[kept], carrier=source.carrier[kept], passed=source.passed[kept], held=held[kept])
            result.append((step + 1, found))
    return result


def _joined(parts: list[Labels]) -> Labels | None:
    if not parts:
        return None
    names = ("use", "carrier", "passed", "held")
    return Labels(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _undominated(places: Places, labels: Labels | None) -> Labels:
    """Leave out each beginning that ends where another does that uses no more of anything."""
    if labels is None:
        carriers = places.program.carriers
        none = np.zeros(0)
        return Labels(
            use=np.zeros((0, places.program.resources)),
            carrier=none.astype(np.int64),
            passed=np.zeros((0, carriers), dtype=bool),
            held=none,
        )
    columns = [labels.use[:, places.limited], labels.held[:, None]]
    if places.program.order == "free":
        columns.append(labels.passed.astype(np.float64))
    numbers = np.concatenate(columns, axis=1)
    kept = np.ones(len(labels), dtype=bool)
    for carrier in np.unique(labels.carrier):
        own = np.flatnonzero(labels.carrier == carrier)
        own = own[np.lexsort(numbers[own].T[::-1])]  # whatever dominates a row comes before it
        kept[own] = _front(numbers[own])
    return labels.only(kept)


def _front(numbers: FloatArray) -> NDArray[np.bool_]:
    """Return which rows, in lexicographic order, have no row before them that is nowhere larger."""
    kept = np.ones(len(numbers), dtype=bool)
    for begin in range(0, len(numbers), AT_ONCE):
        block = numbers[begin : begin + AT_ONCE]
        before = numbers[: begin + len(block)]
        before_places = np.flatnonzero(kept[: begin + len(block)])
        below = (before[before_places][:, None, :] <= block[None, :, :]).all(axis=2)
        below &= before_places[:, None] < begin + np.arange(len(block))[None, :]
        kept[begin : begin + len(block)] = ~below.any(axis=0)
    return kept
