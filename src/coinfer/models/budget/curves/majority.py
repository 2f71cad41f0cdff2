"""Majority of k votes: the chance that the right answer is the most frequent one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray, IntArray

Drawing = Literal["without_replacement", "with_replacement", "dirichlet"]
EXACT_VOTES = 400
EXACT_STEPS = 1e5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MajorityCurve:
    """The chance that the right answer wins, (prompts, draws).

    Attributes
    ----------
    value
        The chance.
    standard_error
        Of resampling; 0 where the value is exact.
    exact
        Whether each prompt was computed exactly, (prompts,).
    """

    value: FloatArray
    standard_error: FloatArray
    exact: NDArray[np.bool_]


def majority(
    counts: ArrayLike,
    right: ArrayLike,
    draws: ArrayLike,
    *,
    drawing: Drawing = "without_replacement",
    exact: bool | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> MajorityCurve:
    r"""Return the chance that the right answer is the most frequent of k votes; ties are split evenly.

    It need *not* rise with k. With chances (.3, .5, .2) and the right answer first, k = 1 is worth .3 and k -> oo
    nothing: votes only help where the right answer is the likeliest. Nor is it concave: with an even share, k = 2 is
    worth what k = 1 is.

    Parameters
    ----------
    counts
        Votes per answer, (prompts, answers), padded with 0; with ``drawing="dirichlet"`` the parameters of a Dirichlet
        posterior (the prior's plus the votes; an answer that none has given yet needs a column of its own).
    right
        Column of the right answer, (prompts,); -1 where no vote has it (worth 0).
    draws
        Numbers of votes k, (draws,); 0 votes are worth nothing.
    drawing
        Whether the k votes are drawn from the counted ones without replacement (no bias, k at most their number), with
        replacement (the counts as chances, biased towards extremes), or are new votes with unknown chances.
    exact
        Whether to enumerate (in polynomial time) or to resample; by default as the size allows.
    resamples, seed
        How often, and from which seed.

    Raises
    ------
    InputError
        If a k is above the votes of a prompt, drawn without replacement, or a count is not one.

    Notes
    -----
    Self-consistency, Wang et al. 2203.11171. Exact: with r votes for the right answer the others have at most r each,
    and t ties leave it 1 / (t + 1) of the win, so the chance is the sum over r of the coefficient of
    :math:`z^{k-r}` in :math:`\int_0^1 \prod_i (\sum_{x<r} w_{ix} z^x + u\, w_{ir} z^r)\, du`; the integral is taken by
    a Gauss rule that is exact for its degree.

    >>> majority([[3, 5, 2]], [0], [1, 3, 10]).value.round(4).tolist()
    [[0.3, 0.2667, 0.0]]
    """
    table, column, k = _checked(counts, right, draws, drawing)
    value, error = np.zeros((len(table), len(k))), np.zeros((len(table), len(k)))
    exactly = np.ones(len(table), dtype=np.bool_)
    generator = np.random.default_rng(seed)
    known: dict[tuple[float, ...], FloatArray] = {}
    for i, (row, mine) in enumerate(zip(table, column, strict=True)):
        if mine < 0 or row[mine] == 0:
            continue
        others = np.sort(np.delete(row, mine))
        others = others[others > 0]
        key = (float(row[mine]), *others.tolist())
        exactly[i] = _affordable(row[mine], others, int(k.max(initial=0)), drawing) if exact is None else exact
        if not exactly[i]:
            value[i], error[i] = _resampled(np.array(key), k, drawing, resamples, generator)
            continue
        if key not in known:
            known[key] = _enumerated(float(row[mine]), others, int(k.max(initial=0)), drawing)
        value[i] = known[key][k]
    return MajorityCurve(value=value, standard_error=error, exact=exactly)


def _enumerated(mine: float, others: FloatArray, most: int, drawing: Drawing) -> FloatArray:
    """Return the chance of a win for every k from 0 to ``most``."""
    total = mine + float(others.sum())
    size = most + 1
    won = np.zeros(size)
    right = _weights(mine, total, size, drawing)
    limit = min(most, int(mine)) if drawing == "without_replacement" else most
    weights = [_weights(each, total, size, drawing) for each in others]
    for r in range(1, limit + 1):
        rest = size - r  # votes of the others: 0 to most - r
        bounded = others >= r if drawing == "without_replacement" else np.ones(len(others), dtype=np.bool_)
        high = np.flatnonzero(bounded)
        low = float(others[~bounded].sum())
        ties = min(len(high), (rest - 1) // r)
        nodes, shares = np.polynomial.legendre.leggauss(ties // 2 + 1)
        ways = np.tile(
            _weights(low, total, size, drawing)[:rest], (len(nodes), 1)
        )  # the rest cannot reach r: no bound on it
        for i in high:
            ways = _multiplied(ways, weights[i][: r + 1], (nodes + 1) / 2)
        won[r:] += right[r] * (shares / 2 @ ways)
    everything: FloatArray = _weights(total, total, size, drawing)
    return np.divide(won, everything, out=np.zeros(size), where=np.arange(size) > 0)


def _multiplied(ways: FloatArray, factor: FloatArray, ties: FloatArray) -> FloatArray:
    """Return each row of ``ways`` times the polynomial ``factor`` whose last term counts as a tie."""
    made = np.zeros(ways.shape)
    size = ways.shape[1]
    last = len(factor) - 1
    for x in range(min(last, size - 1) + 1):
        term = factor[x] * (ties[:, None] if x == last else 1.0)
        made[:, x:] += term * ways[:, : size - x]
    return made


def _weights(count: float, total: float, size: int, drawing: Drawing) -> FloatArray:
    """Return the generating weights of 0 to size - 1 votes for an answer, scaled to chances that do not overflow.

    Each family is closed under addition of answers, so the same function gives the normaliser: binomial for draws
    without replacement, Poisson with it, negative binomial for a Dirichlet posterior; all with a mean of about size / 2
    for the whole, where the scale keeps its digits.
    """
    from scipy.special import gammaln, xlog1py, xlogy

    x: FloatArray = np.arange(size, dtype=np.float64)
    if count == 0:
        return np.where(x == 0, 1.0, 0.0)
    middle = max(size - 1, 1) / 2
    logarithm: FloatArray
    if drawing == "with_replacement":
        mean = count / total * middle
        logarithm = xlogy(x, mean) - mean - gammaln(x + 1)
    elif drawing == "dirichlet":
        stop = total / (total + middle)
        rise = gammaln(count + x) - gammaln(count) - gammaln(x + 1)
        logarithm = rise + xlogy(count, stop) + xlog1py(x, -stop)
    else:
        share = min(middle / total, 0.5)
        inside = np.minimum(x, count)
        ways = gammaln(count + 1) - gammaln(inside + 1) - gammaln(count - inside + 1)
        logarithm = np.where(x <= count, ways + xlogy(inside, share) + xlog1py(count - inside, -share), -np.inf)
    return np.exp(logarithm)


def _affordable(mine: float, others: FloatArray, most: int, drawing: Drawing) -> bool:
    """Return whether enumeration takes few enough array operations, and its scale does not underflow."""
    if drawing == "without_replacement":
        steps = float((np.minimum(others, min(most, mine)) ** 2).sum()) / 2
    else:
        steps = len(others) * most**2 / 4
    return most <= EXACT_VOTES and steps <= EXACT_STEPS


def _resampled(
    key: FloatArray, draws: IntArray, drawing: Drawing, resamples: int, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return the mean share of the first answer over random votes, and its standard error, (draws,) each."""
    if resamples < 2:
        raise InputError("resamples", expected="at least 2, else there is no error to state", found=resamples)
    value, error = np.zeros(len(draws)), np.zeros(len(draws))
    for place, k in enumerate(draws):
        if not k:
            continue
        if drawing == "without_replacement":
            votes = generator.multivariate_hypergeometric(key.astype(np.int64), int(k), size=resamples)
        elif drawing == "with_replacement":
            votes = generator.multinomial(int(k), key / key.sum(), size=resamples)
        else:
            votes = generator.multinomial(int(k), generator.dirichlet(key, size=resamples))
        first = votes == votes.max(axis=1, keepdims=True)
        share = first[:, 0] / first.sum(axis=1)
        value[place], error[place] = share.mean(), share.std(ddof=1) / np.sqrt(resamples)
    return value, error


def _checked(
    counts: ArrayLike, right: ArrayLike, draws: ArrayLike, drawing: Drawing
) -> tuple[FloatArray, IntArray, IntArray]:
    table = np.asarray(counts, dtype=np.float64)
    column, k = np.asarray(right, dtype=np.int64), np.atleast_1d(np.asarray(draws, dtype=np.int64))
    if table.ndim != 2 or column.shape != table.shape[:1]:
        raise InputError("counts", expected="one row per prompt and one right answer each", found=table.shape)
    whole = drawing == "dirichlet" or (table == np.floor(table)).all()
    if not (np.isfinite(table) & (table >= 0)).all() or not whole:
        raise InputError("counts", expected="numbers of votes, from 0", found=table.tolist())
    if ((column < -1) | (column >= table.shape[1])).any():
        raise InputError("right", expected=f"a column below {table.shape[1]}, or -1", found=column.tolist())
    if k.ndim != 1 or (k < 0).any():
        raise InputError("draws", expected="a list of whole numbers from 0", found=k.tolist())
    least = table.sum(axis=1).min(initial=np.inf)
    if drawing == "without_replacement" and k.max(initial=0) > least:
        raise InputError("draws", expected=f"at most {int(least)}, the votes there are", found=int(k.max()))
    return table, column, k
