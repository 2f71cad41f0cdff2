"""What to sample next in a pilot: the cells whose outcomes would change the plan the most, for what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.solver.program import FloatArray, IntArray

LOOKS = (1, 2, 4, 8, 16)
"""Numbers of samples whose outcome is looked ahead to: one failure seldom changes a choice, eight may."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """What to sample next.

    Attributes
    ----------
    samples
        (prompts, arms): samples to draw.
    worth
        (prompts, arms): expected gain of the plan, at the price, per unit of cost, of the best look ahead of each cell.
    cost
        What they take in all.
    """

    samples: IntArray
    worth: FloatArray
    cost: float


def knowledge_gradient(
    alpha: FloatArray, beta: FloatArray, sample_cost: FloatArray, draws: FloatArray, *, price: float
) -> tuple[FloatArray, IntArray]:
    r"""Return how much looking at each cell is expected to raise :math:`\max_j (v_j - \lambda c_j)` per unit of cost.

    Each prompt takes the best of its options at the price; after m samples with s right ones (Beta-binomial) the
    cell's values change and so may the best. The mean over s of the new best, less the old best, is the gain.

    Parameters
    ----------
    alpha, beta
        (prompts, arms): posterior.
    sample_cost
        (prompts, arms), above 0.
    draws
        (options,): numbers of samples that options draw of each arm.
    price
        Value per unit of cost.

    Returns
    -------
    worth, look
        (prompts, arms): gain per cost of the best look ahead, and its number of samples.
    """
    net = expected_coverage(alpha, beta, draws) - price * sample_cost[:, :, None] * draws
    best = np.maximum(net.max(axis=2), 0.0)  # of each arm, or nothing at all
    ranked = np.sort(best, axis=1)
    others = np.where(best == ranked[:, -1:], ranked[:, -2:-1] if best.shape[1] > 1 else 0.0, ranked[:, -1:])
    worth, look = np.zeros(alpha.shape), np.ones(alpha.shape, dtype=np.int64)
    for count in LOOKS:
        after = np.zeros(alpha.shape)
        for right in range(count + 1):
            chance = _beta_binomial(right, count, alpha, beta)
            value = expected_coverage(alpha + right, beta + (count - right), draws)
            own = (value - price * sample_cost[:, :, None] * draws).max(axis=2)
            after += chance * np.maximum(np.maximum(own, others), 0.0)
        gain = np.maximum(after - np.maximum(best, others), 0.0) / (count * sample_cost)
        look = np.where(gain > worth, count, look)
        worth = np.maximum(worth, gain)
    return worth, look


def design(
    alpha: FloatArray,
    beta: FloatArray,
    sample_cost: FloatArray,
    draws: FloatArray,
    *,
    price: float,
    budget: float,
    copies: FloatArray | None = None,
) -> Design:
    """Choose what to sample next within a pilot's budget: the cells with the most expected gain per cost first.

    Call it again with the posterior after the outcomes: small budgets, often renewed, learn more.

    Parameters
    ----------
    alpha, beta, sample_cost, draws, price
        As of :func:`knowledge_gradient`.
    budget
        Most that the samples may take.
    copies
        (prompts,): how many prompts each row stands for; absent: 1.

    Raises
    ------
    InputError
        If the arrays do not fit, or a cost is not above 0.
    """
    if not alpha.shape == beta.shape == sample_cost.shape or not (sample_cost > 0.0).all():
        expected = "alpha, beta and a cost above 0 of each cell"
        raise InputError("design", expected=expected, found=Plain(f"{alpha.shape} and {sample_cost.shape}"))
    worth, look = knowledge_gradient(alpha, beta, sample_cost, draws, price=price)
    if copies is not None:
        worth = worth * copies[:, None]
    order = np.lexsort((sample_cost.ravel(), -worth.ravel()))  # where nothing is gained, the cheapest
    each = (look * sample_cost).ravel()[order]
    fits = np.cumsum(each) <= budget
    fits &= worth.ravel()[order] > 0.0
    samples = np.zeros(alpha.size, dtype=np.int64)
    samples[order[fits]] = look.ravel()[order[fits]]
    grid = samples.reshape(alpha.shape)
    return Design(samples=grid, worth=worth, cost=float((grid * sample_cost).sum()))


def _beta_binomial(right: int, count: int, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    """Return the probability of so many right samples, by a product: (...,)."""
    chance = np.ones(np.broadcast(alpha, beta).shape)
    for i in range(count):
        chance *= (alpha + i) / (i + 1.0) if i < right else (beta + (i - right)) / (i - right + 1.0)
        chance *= (i + 1.0) / (alpha + beta + i)
    return chance
