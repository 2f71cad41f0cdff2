"""How many copies each item gets."""

from __future__ import annotations

import numpy as np

from coinfer.solver.program import FloatArray, IntArray


def copy_counts(loads: FloatArray, extra: int, most: IntArray, least: IntArray | None = None) -> IntArray:
    """Return how many copies each item of each layer gets, (layers, items), all layers at once.

    Each further copy goes to the item with the largest load per copy. That makes the largest load per copy as small as
    ``extra`` copies can: an item's load per copy only falls, so any other choice leaves the largest where it is.

    Parameters
    ----------
    loads
        (layers, items).
    extra
        Second and further copies to give in each layer, at most.
    most
        (layers, items): most copies of an item, at least 1: the parts that may hold it.
    least
        (layers, items): fewest copies, where parts must hold some; ``None``: 1 each. They count among ``extra``.
    """
    counts = np.ones(loads.shape, dtype=np.int64) if least is None else np.maximum(least, 1)
    left = extra - (counts.sum(axis=1) - loads.shape[1])
    rows = np.arange(len(loads))
    share = np.where(counts < most, loads / counts, -1.0)
    for step in range(max(0, int(left.max(initial=0)))):
        item = np.argmax(share, axis=1)
        given = (share[rows, item] > 0.0) & (step < left)  # a copy of an item without load helps nobody
        counts[rows, item] += given
        count = counts[rows, item]
        share[rows, item] = np.where(count < most[rows, item], loads[rows, item] / count, -1.0)
    return counts
