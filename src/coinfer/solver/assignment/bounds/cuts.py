"""Which 2-partition inequalities a point breaks: triangles, and larger ones grown greedily."""

from __future__ import annotations

import numpy as np

from coinfer.solver.assignment.bounds.priced import Cut
from coinfer.solver.assignment.bounds.wide import wide
from coinfer.solver.program import FloatArray

BREAKS = 1e-3
"""Least violation that counts."""
NEAR = 0.05
"""Entries below this are no help to a triangle."""
STARTS = 6
"""Members that a larger inequality may grow from, for each centre."""
MOST_WIDE = 60
"""Inequalities with more than one item on either side that are added for each pair at a time."""


def broken(blocks: FloatArray, *, room: int, most: int, seed: int) -> list[Cut]:
    """Return inequalities that the blocks (pairs, n, n) of a co-membership matrix break.

    Parameters
    ----------
    blocks
        Symmetric, entries in [0, 1].
    room
        Most items of a layer in a part; larger inequalities look at some times as many.
    most
        Triangles of each pair at most, the most broken ones.
    seed
        Of the random starts.
    """
    found: list[Cut] = []
    for pair, block in enumerate(blocks):
        found += [Cut(pair, (centre,), tuple(others)) for centre, *others in _triangles(block, most)]
        if len(block) <= 256:  # beyond, parts are large and these inequalities hardly ever broken
            found += [Cut(pair, (centre,), tuple(others)) for centre, *others in _grown(block, 6 * room)]
            sets = wide(block, room=room, most=MOST_WIDE, random=np.random.default_rng((seed, pair)))
            found += [Cut(pair, tuple(some.tolist()), tuple(others.tolist())) for some, others in sets]
    return found


def _triangles(block: FloatArray, most: int) -> list[tuple[int, int, int]]:
    """Return the triangles ``x_ij + x_ik - x_jk <= 1`` that are broken most."""
    parts: list[tuple[FloatArray, FloatArray]] = []
    for centre, row in enumerate(block):
        near = np.flatnonzero(row > NEAR)
        near = near[near != centre]
        excess = row[near][:, None] + row[near][None, :] - block[np.ix_(near, near)] - 1.0
        one, other = np.nonzero(np.triu(excess, 1) > BREAKS)
        if len(one):
            names = np.column_stack([np.full(len(one), centre), near[one], near[other]])
            parts.append((excess[one, other], names.astype(np.float64)))
    if not parts:
        return []
    excess, names = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    chosen = np.argsort(-excess, kind="stable")[:most]
    return [(int(i), int(j), int(k)) for i, j, k in names[chosen]]


def _grown(block: FloatArray, width: int) -> list[tuple[int, ...]]:
    """Grow inequalities with at least three members from each centre: a member joins while it adds to the violation."""
    found: list[tuple[int, ...]] = []
    for centre, row in enumerate(block):
        order = np.argsort(-row, kind="stable")
        order = order[order != centre][:width]
        inner = block[np.ix_(order, order)]
        pull = row[order]
        for start in range(min(STARTS, len(order))):
            members, worth = [start], pull - inner[start]
            excess = float(pull[start])
            for other in range(len(order)):
                if other != start and worth[other] > 0.0:
                    members.append(other)
                    excess += float(worth[other])
                    worth = worth - inner[other]
            if len(members) > 2 and excess > 1.0 + 5.0 * BREAKS:
                found.append((centre, *sorted(int(order[member]) for member in members)))
    return list(dict.fromkeys(found))
