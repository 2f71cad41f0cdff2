r"""What a gate is trained and judged by: its loss on a subset of the experts.

Among the experts of a subset :math:`S` a gate with scores :math:`h` sends prompt :math:`d` to expert :math:`n` with
probability :math:`g_{dn}(S) = \exp h_{dn} / \sum_{m \in S} \exp h_{dm}`. Its loss is, in nats and in quality,

.. math:: -\operatorname{mean}_d \log \sum_{n \in S} g_{dn}(S)\, p_{dn}
   \qquad \text{and} \qquad -\operatorname{mean}_d \sum_{n \in S} g_{dn}(S)\, q_{dn}

with :math:`p` the quality :math:`q`, clipped to [0.001, 1].

References
----------
MoE², arXiv 2501.09410, has the loss of the mixture; the formulas are our reconstruction.
"""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.deployed import gate_shares

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Objective = Literal["mixture", "expected"]
Unit = Literal["nats", "quality"]

UNITS: dict[Objective, Unit] = {"mixture": "nats", "expected": "quality"}
FLOOR = 1e-3
"""Least probability of a right answer in the loss of the mixture: a wrong one costs 6.9 nats, not infinitely many."""


def subset_losses(
    scores: FloatArray, quality: FloatArray, weights: FloatArray, subsets: BoolArray, objective: Objective
) -> FloatArray:
    """Return the loss on each subset, (subsets,).

    Parameters
    ----------
    scores
        (prompts, experts), or (subsets, prompts, experts) for a gate of its own for each subset.
    quality
        (prompts, experts), in [0, 1].
    weights
        (prompts,): traffic, in any unit.
    subsets
        (subsets, experts): True for the experts in it; none is empty.
    objective
        ``mixture`` (nats) or ``expected`` (minus the expected quality).
    """
    share = weights / weights.sum()
    losses = np.empty(len(subsets))
    for i, subset in enumerate(subsets):
        own = scores if scores.ndim == 2 else scores[i]
        chosen = gate_shares(own, np.broadcast_to(subset, own.shape), "softmax")
        if objective == "mixture":
            each = -np.log((chosen * np.clip(quality, FLOOR, 1.0)).sum(axis=1))
        else:
            each = -(chosen * quality).sum(axis=1)
        losses[i] = float(share @ each)
    return losses


def sample_subsets(experts: int, most: int, seed: int) -> BoolArray:
    """Return subsets of two experts or more, (subsets, experts), the full set first.

    All of them where there are at most ``most``, else that many different ones, of sizes drawn evenly.
    """
    total = 2**experts - experts - 1
    if total <= most:
        sizes = range(experts, 1, -1)
        chosen = [members for size in sizes for members in itertools.combinations(range(experts), size)]
    else:
        random = np.random.default_rng(seed)
        found = {tuple(range(experts)): None}
        while len(found) < most:
            size = int(random.integers(2, experts + 1))
            found[tuple(sorted(random.choice(experts, size, replace=False).tolist()))] = None
        chosen = list(found)
    table = np.zeros((len(chosen), experts), dtype=np.bool_)
    for row, members in zip(table, chosen, strict=True):
        row[list(members)] = True
    return table
