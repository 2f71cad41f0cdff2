"""What was counted, as one curve: the share of prompts that are passed within k samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.models.budget.curves.gamma import log_survival
from coinfer.solver.program import FloatArray, IntArray

GRID_POINTS = 25
"""Numbers of samples, evenly spread in their logarithm, at which a curve is read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Coverage as it was counted.

    Attributes
    ----------
    samples
        (points,): rising numbers of samples k.
    failing
        (points,): share of prompts that no k samples pass, each in 0..1 and never rising.
    first_passed
        (points,): expected number of prompts first passed by sample k or after the point before, where the order of the
        samples is random.
    unpassed
        (points,): prompts whose samples end at a point (before the next one) without one that passed.
    """

    samples: IntArray
    failing: FloatArray
    first_passed: FloatArray
    unpassed: FloatArray

    def only(self, points: NDArray[np.bool_]) -> Curve:
        """Return some of the points."""
        return Curve(
            samples=self.samples[points],
            failing=self.failing[points],
            first_passed=self.first_passed[points],
            unpassed=self.unpassed[points],
        )


def failing(successes: IntArray, samples: IntArray, budgets: IntArray) -> FloatArray:
    """Return the chance that none of ``budgets`` of the drawn samples passes, (prompts, budgets), without bias.

    It is 1 - pass@k of ``curves.coverage``, with NaN where more samples are asked for than were drawn.
    """
    right, drawn, asked = successes[:, None], samples[:, None], budgets[None, :]
    left = drawn - right - asked
    chance = np.where(left < 0, 0.0, np.exp(log_survival(np.maximum(left, 0) + 1, right, asked)))
    return np.where(asked > drawn, np.nan, chance)


def curve(successes: IntArray, samples: IntArray) -> Curve:
    """Return the curve of prompts that were sampled at least once.

    Where prompts have different numbers of samples, the share that goes on failing from one point to the next is taken
    over the prompts that reach the next one, and the shares are multiplied (Kaplan and Meier 1958).
    """
    most = int(samples.max())
    points = np.unique(np.round(np.geomspace(1, most, GRID_POINTS)).astype(np.int64))
    chance = failing(successes, samples, points)
    before = np.concatenate([np.ones((len(samples), 1)), chance[:, :-1]], axis=1)
    reached = ~np.isnan(chance)
    still = np.where(reached, chance, 0.0).sum(axis=0)
    risk = np.where(reached, before, 0.0).sum(axis=0)
    share = np.divide(still, risk, out=np.ones_like(still), where=risk > 0)
    last = reached.sum(axis=1) - 1
    failed = chance[np.arange(len(last)), last]
    return Curve(
        samples=points,
        failing=np.cumprod(share),
        first_passed=np.maximum(risk - still, 0.0),
        unpassed=np.bincount(last, weights=failed, minlength=len(points)).astype(np.float64),
    )
