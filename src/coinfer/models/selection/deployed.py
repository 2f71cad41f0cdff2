"""The gates that follow scores: once the experts are selected, nobody decides any more who answers what."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.data import SelectionProblem
from coinfer.solver.program import FloatArray


def deployed_gate(problem: SelectionProblem) -> Literal["softmax", "top_1"]:
    """Return the gate that follows ``gate_scores``: ``softmax`` where the problem says so, else ``top_1``."""
    return "softmax" if problem.gate == "softmax" else "top_1"


def gate_shares(scores: FloatArray, allowed: NDArray[np.bool_], gate: Literal["softmax", "top_1"]) -> FloatArray:
    r"""Return the share of each prompt that each expert answers under a gate that follows scores.

    .. math:: g_{dn}(S) = \frac{\exp h_{dn}}{\sum_{m \in S_d} \exp h_{dm}}

    for ``softmax``, with :math:`S_d` the selected experts that may answer prompt :math:`d`; for ``top_1`` all of it
    goes to the largest score in :math:`S_d`, the first among equals.

    Parameters
    ----------
    scores
        (prompts, experts): :math:`h`.
    allowed
        (prompts, experts): True for experts that are selected and may answer.
    gate
        Which gate.

    Returns
    -------
    (prompts, experts): rows that add up to 1, or are 0 where nobody is allowed.

    References
    ----------
    MoE², arXiv 2501.09410, has a gate inside the selected subset; the formula is our reconstruction.
    """
    masked = np.where(allowed, scores, -np.inf)
    answered = allowed.any(axis=1)
    if gate == "top_1":
        share = np.zeros(scores.shape)
        share[np.flatnonzero(answered), masked[answered].argmax(axis=1)] = 1.0
        return share
    top = np.where(answered, masked.max(axis=1, initial=-np.inf), 0.0)
    power = np.exp(masked - top[:, None])
    total = np.where(answered, power.sum(axis=1), 1.0)
    weights: FloatArray = power / total[:, None]
    return weights
