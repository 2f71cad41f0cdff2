r"""More samples of a small model, or a larger model: who wins in which stratum (Snell et al., arXiv 2408.03314).

The formulas are those of :mod:`coinfer.models.budget.curves.flops`: a model M times larger, used once, takes as many
operations as :math:`M + 3 (M - 1) / R` samples of the small one, :math:`R = D_{inf} / D_{pre}`. Pretraining counts, so
little inference (small R) buys many samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.curves.flops import exchange, matched_inference
from coinfer.solver.program import FloatArray

SHARES = (0.16, 0.79, 22.0)
"""The three D_inf / D_pre of the paper, section 7."""
ALL = "all"
"""Name of the row of all strata together."""
Winner = Literal["smaller", "larger", "equal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRow:
    """One stratum at one share of inference.

    Attributes
    ----------
    stratum
        Its name, or :data:`ALL`.
    inference_share
        D_inf / D_pre.
    matched_samples
        Samples of the small model for the operations of the larger one.
    smaller_value, larger_value
        What both are worth; where the matched samples lie beyond the small model's curve, its end.
    winner
        ``None`` where the curve ends before that is known.
    break_even_share
        The share below which the small model is worth more; ``None`` where it wins at every share, or never reaches the
        larger model on its curve (``winner`` says which).
    """

    stratum: str
    inference_share: float
    matched_samples: float
    smaller_value: float
    larger_value: float
    winner: Winner | None
    break_even_share: float | None


def exchange_table(
    samples: ArrayLike,
    smaller: ArrayLike,
    larger: ArrayLike,
    *,
    size_ratio: float,
    names: Sequence[str],
    prompts: ArrayLike | None = None,
    shares: Sequence[float] = SHARES,
    larger_samples: float = 1.0,
) -> tuple[ExchangeRow, ...]:
    """Return who wins in every stratum, and over all prompts, at every share of inference.

    Parameters
    ----------
    samples
        Numbers of samples of the small model's curves, (draws,), rising.
    smaller
        (strata, draws): its values. Where more samples are worth less, fewer are used: the best up to each number.
    larger
        (strata,): what the larger model is worth with ``larger_samples`` samples.
    size_ratio
        Parameters of the larger model over those of the small one, at least 1.
    names, prompts
        Of the strata, and prompts in each; absent: 1.
    shares
        D_inf / D_pre.

    Raises
    ------
    InputError
        For shapes that do not fit, or a share or ratio out of range.
    """
    curves = np.maximum.accumulate(np.atleast_2d(np.asarray(smaller, dtype=np.float64)), axis=1)
    values = np.atleast_1d(np.asarray(larger, dtype=np.float64))
    weights = np.ones(len(names)) if prompts is None else np.asarray(prompts, dtype=np.float64)
    if len({len(curves), len(values), len(weights), len(names)}) > 1 or not weights.sum() > 0.0:
        found = Plain(f"{len(curves)} curves, {len(values)} values, {len(weights)} sizes, {len(names)} names")
        raise ProblemError("names", expected="one curve, one value and one size for each name", found=found)
    share_of = weights / weights.sum()
    curves, values = np.vstack([curves, share_of @ curves]), np.append(values, share_of @ values)
    rows = []
    for share in shares:
        rows += _rows(samples, curves, values, size_ratio, float(share), larger_samples, (*names, ALL))
    return tuple(rows)


def _rows(
    samples: ArrayLike,
    curves: FloatArray,
    values: FloatArray,
    size_ratio: float,
    share: float,
    larger_samples: float,
    names: tuple[str, ...],
) -> list[ExchangeRow]:
    found = exchange(
        samples, curves, values, size_ratio=size_ratio, inference_share=share, larger_samples=larger_samples
    )
    matched = float(matched_inference(size_ratio, share)) * larger_samples
    rows = []
    for i, name in enumerate(names):
        winner: Winner | None = None
        if found.decided[i]:
            winner = "smaller" if found.smaller_wins[i] else "larger" if found.larger_wins[i] else "equal"
        even = float(found.break_even_share[i])
        rows.append(
            ExchangeRow(
                stratum=name,
                inference_share=share,
                matched_samples=matched,
                smaller_value=float(found.smaller_value[i]),
                larger_value=float(values[i]),
                winner=winner,
                break_even_share=even if np.isfinite(even) else None,
            )
        )
    return rows
