r"""The exponentiated power law, :math:`\log \text{coverage}(k) = -e^{a} k^{-b}`, and a pure power-law tail.

Sources: Brown et al. 2024, "Large Language Monkeys" (arXiv 2407.21787), section 3.1, for the law; Schaeffer et al. 2025
(arXiv 2502.17578) for the tail: prompts fail at :math:`k^{-a}` where the density of p near 0 goes as :math:`p^{a-1}`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.models.budget.forecast.curves import Curve
from coinfer.solver.program import FloatArray, IntArray

LEAST_POINTS = 3
"""Points of a curve that a law of two numbers must be fitted to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """An exponentiated power law.

    Attributes
    ----------
    level
        log(-log coverage) of one sample.
    exponent
        How fast -log coverage falls: at least 0.
    """

    level: float
    exponent: float

    def failing(self, samples: IntArray) -> FloatArray:
        """Return the share of prompts that ``samples`` samples do not pass; 1 for none."""
        return failing(self.level, self.exponent, samples)


def failing(level: FloatArray | float, exponent: FloatArray | float, samples: IntArray) -> FloatArray:
    """Return the share that fails; arguments are broadcast, and the result is always finite."""
    steps = np.log(np.maximum(samples, 1.0))
    height = np.clip(level - exponent * steps, -700.0, 700.0)
    return np.where(samples < 1.0, 1.0, -np.expm1(-np.exp(height)))


def fit(curve: Curve) -> PowerLaw | None:
    """Fit a line to log(-log coverage) over log k by least squares; ``None`` where it has too few points.

    The points count equally. Weights by the inverse variance, or anchoring at the last point, gave no smaller errors
    on held-out series.
    """
    inside = (curve.failing > 0.0) & (curve.failing < 1.0)
    if np.count_nonzero(inside) < LEAST_POINTS:
        return None
    height = np.log(-np.log1p(-curve.failing[inside]))
    steps = np.log(curve.samples[inside])
    centred = steps - steps.mean()
    slope = float(centred @ height / (centred @ centred))
    return PowerLaw(level=float(height.mean() - slope * steps.mean()), exponent=max(-slope, 0.0))


def tail(curve: Curve) -> float | None:
    """Return the exponent of the share that fails over the last decade of samples; ``None`` where nothing fails."""
    late = (curve.samples * 10 >= curve.samples[-1]) & (curve.failing > 0.0)
    if np.count_nonzero(late) < LEAST_POINTS:
        return None
    steps, height = np.log(curve.samples[late]), np.log(curve.failing[late])
    centred = steps - steps.mean()
    return max(-float(centred @ height / (centred @ centred)), 0.0)
