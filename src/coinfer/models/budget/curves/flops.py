"""Operations of inference, and the exchange of more samples of a small model with a larger model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray


def inference_operations(parameters: ArrayLike, tokens: ArrayLike) -> FloatArray:
    """Return the floating-point operations of reading or writing tokens, 2 N D, broadcast; attention left out.

    Parameters
    ----------
    parameters
        Active parameters N of the model.
    tokens
        Tokens D.

    Notes
    -----
    Hoffmann et al. 2203.15556, appendix F; used so by Snell et al. 2408.03314, section 7.
    """
    operations: FloatArray = 2.0 * np.asarray(parameters, dtype=np.float64) * np.asarray(tokens, dtype=np.float64)
    return operations


def training_operations(parameters: ArrayLike, tokens: ArrayLike) -> FloatArray:
    """Return the floating-point operations of pretraining on tokens, 6 N D, broadcast (2203.15556)."""
    return 3.0 * inference_operations(parameters, tokens)


def matched_inference(size_ratio: ArrayLike, inference_share: ArrayLike) -> FloatArray:
    r"""Return by how much a small model's inference is multiplied to match a model M times larger, broadcast.

    The larger one takes :math:`6 M N D_{pre} + 2 M N D_{inf}`; the small one with x times the inference
    :math:`6 N D_{pre} + 2 N x D_{inf}`; they are equal at :math:`x = M + 3 (D_{pre} / D_{inf}) (M - 1)`.

    Parameters
    ----------
    size_ratio
        M, at least 1.
    inference_share
        :math:`R = D_{inf} / D_{pre}`, above 0: tokens of all inference per token of pretraining. Infinite where
        pretraining is not counted (it has been paid already).

    Notes
    -----
    Snell et al. 2408.03314, section 7, with R of 0.16, 0.79 and 22.

    >>> matched_inference(14.0, [0.16, float("inf")]).round(2).tolist()
    [257.75, 14.0]
    """
    ratio, share = np.asarray(size_ratio, dtype=np.float64), np.asarray(inference_share, dtype=np.float64)
    if not (np.isfinite(ratio) & (ratio >= 1)).all() or not (share > 0).all():
        raise InputError("inference_share", expected="a share above 0 and a size ratio of at least 1", found="another")
    return ratio + 3 / share * (ratio - 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange:
    """Which side of an exchange is worth more per prompt at equal operations, (prompts,) each.

    Attributes
    ----------
    smaller_value
        Value of the small model at the matched number of samples; where that lies beyond the curve, the value at its
        end.
    smaller_wins, larger_wins
        One of the two, or neither: equal values, or not decided.
    decided
        Whether the matched number lies on the curve. Beyond it the small model still wins where it is ahead at the end
        of a curve that never falls; else the answer is not known.
    break_even_share
        The D_inf / D_pre at which both are worth the same: the small model is worth as much below it, the larger one
        more above. Infinite where the small model wins even if pretraining is not counted, NaN where it does not reach
        the larger one on its curve.
    """

    smaller_value: FloatArray
    smaller_wins: NDArray[np.bool_]
    larger_wins: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    break_even_share: FloatArray


def exchange(
    samples: ArrayLike,
    smaller: ArrayLike,
    larger: ArrayLike,
    *,
    size_ratio: float,
    inference_share: float,
    larger_samples: float = 1.0,
) -> Exchange:
    """Return which side wins: the small model with more samples, or the larger one with few, at equal operations.

    Parameters
    ----------
    samples
        Numbers of samples of the small model's curve, (draws,), rising.
    smaller
        Its values, (prompts, draws), never falling in the samples (take the best up to each); read linearly between
        two of them, which is never too high for a concave curve.
    larger
        Value of the larger model at ``larger_samples`` samples, (prompts,).
    size_ratio, inference_share
        See :func:`matched_inference`.

    Raises
    ------
    InputError
        If a curve falls, or the samples do not rise.
    """
    k, small = np.asarray(samples, dtype=np.float64), np.atleast_2d(np.asarray(smaller, dtype=np.float64))
    large = np.atleast_1d(np.asarray(larger, dtype=np.float64))
    if k.ndim != 1 or not k.size or (np.diff(k) <= 0).any() or not k[0] > 0 or small.shape[1:] != k.shape:
        raise InputError("samples", expected="rising numbers above 0, one per value of the curve", found=k.tolist())
    if (np.diff(small, axis=1) < 0).any() or large.shape != small.shape[:1]:
        raise InputError("smaller", expected="a curve per prompt that never falls", found=small.tolist())
    matched = float(matched_inference(size_ratio, inference_share)) * larger_samples
    value = np.array([np.interp(matched, k, row) for row in small])
    on_curve = bool(k[0] <= matched <= k[-1])
    beyond = matched > k[-1]
    return Exchange(
        smaller_value=value,
        smaller_wins=(value > large) & (on_curve or beyond),
        larger_wins=(value < large) & on_curve,
        decided=np.full(len(large), on_curve) | ((value > large) & beyond),
        break_even_share=_break_even(k, small, large, size_ratio, larger_samples),
    )


def _break_even(
    k: FloatArray, small: FloatArray, large: FloatArray, size_ratio: float, larger_samples: float
) -> FloatArray:
    """Return the share at which the small model's curve meets the larger model's value, (prompts,)."""
    share = np.full(len(large), np.nan)
    for i, (row, target) in enumerate(zip(small, large, strict=True)):
        reached = int(np.searchsorted(row, target))
        if reached == len(row):
            continue
        needed = k[reached]
        if reached:
            below = row[reached - 1]
            needed = k[reached - 1] + (target - below) / (row[reached] - below) * (needed - k[reached - 1])
        spare = needed / larger_samples - size_ratio
        share[i] = 3 * (size_ratio - 1) / spare if spare > 0 else np.inf
    return share
