"""How much the prompts still to come may take each, where reservations of prompts in flight hold money back."""

from __future__ import annotations

import numpy as np

from coinfer.solver.program import FloatArray

MOST_RATIO = 1e6
"""Worst cases so many times what is expected tell nothing of how spending should fall."""


def allowance(left: FloatArray, prompts_left: int, in_flight: int, ratio: FloatArray, last_share: float) -> FloatArray:
    """Return what a prompt may take in the mean so that budgets are used up and worst cases still fit.

    Let a prompt in flight be able to take ``ratio`` times what it is expected to, and let F prompts be in flight
    always. While W is expected of them, (ratio - 1) W lies idle, so W may be at most left / (ratio - 1), with what is
    left after what is expected of prompts in flight. When all prompts have been chosen for, what lies idle then stays
    unspent. So spending has to fall toward the end, and what is saved by it is spent before. The fastest fall that
    keeps all worst cases fitting is exponential, left falling by the factor (ratio - 1) / ratio in every F prompts; it
    begins so late that the last prompts still take ``last_share`` of the usual.

    Parameters
    ----------
    left
        (resources,): amounts that are neither spent nor expected of prompts in flight; ``inf`` without a cap.
    prompts_left
        Prompts to come.
    in_flight
        Prompts in flight now.
    ratio
        (resources,): the most that prompts in flight can take over what is expected of them; at least 1.
    last_share
        Above 0, at most 1.
    """
    prompts = max(prompts_left, 1)
    plain = left / prompts
    uncertain = (ratio > 1.0 + 1e-6) & (ratio < MOST_RATIO) & np.isfinite(left)
    if not in_flight or not uncertain.any():
        return plain
    fall = in_flight / np.log(np.where(uncertain, ratio / np.where(uncertain, ratio - 1.0, 1.0), np.e))
    lasts = -np.log(last_share) * fall
    earlier = left / np.maximum(prompts - lasts + fall, 1.0)
    return np.where(uncertain, np.where(prompts > lasts, earlier, left / fall), plain)
