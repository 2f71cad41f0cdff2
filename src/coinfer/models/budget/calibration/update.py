"""Posteriors of rates of success that follow outcomes as they arrive."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.models.budget.calibration.factor import Factors, fit_factors, matched_beta, posterior_weights, told
from coinfer.models.budget.outcomes import Outcomes
from coinfer.records import Document, Matrix
from coinfer.solver.program import FloatArray, IntArray

MOST_FITTED = 2_000
REFITS = 8
RUN = 500
"""Prompts whose posteriors are computed together."""


class Posteriors(Document, frozen=True, kw_only=True):
    """What is believed of the rate of success of each arm on each prompt (or stratum), to be kept in a file.

    Attributes
    ----------
    prompts, arms
        Names.
    alpha, beta
        (prompts, arms): parameters of the Beta distribution, above 0.
    """

    file_format: ClassVar[str] = "coinfer/posteriors/1"

    prompts: tuple[str, ...]
    arms: tuple[str, ...]
    alpha: Matrix
    beta: Matrix

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.arms))
        for name in ("alpha", "beta"):
            matrix: Matrix = getattr(self, name)
            if matrix.shape != shape:
                raise InputError(name, expected=f"shape {shape}", found=Plain(f"shape {matrix.shape}"))
            if not (matrix.array > 0.0).all():
                row, column = np.argwhere(~(matrix.array > 0.0))[0]
                found = float(matrix.array[row, column])
                raise InputError(f"{name}[{row}][{column}]", expected="a number above 0", found=found)


def update(alpha: FloatArray, beta: FloatArray, outcomes: Outcomes) -> tuple[FloatArray, FloatArray]:
    """Return the posteriors after more outcomes; in which order or in which parts they come makes no difference.

    Parameters
    ----------
    alpha, beta
        (prompts, arms), in the order of the outcomes.
    """
    if alpha.shape != outcomes.successes.shape or beta.shape != alpha.shape:
        expected = f"alpha and beta of shape {outcomes.successes.shape}, as the outcomes"
        raise InputError("alpha", expected=expected, found=Plain(f"{alpha.shape} and {beta.shape}"))
    return alpha + outcomes.successes, beta + (outcomes.samples - outcomes.successes)


def updated(posteriors: Posteriors, outcomes: Outcomes) -> Posteriors:
    """Return the posteriors after more outcomes, which may be of some of the prompts and arms, in any order.

    Raises
    ------
    InputError
        If the outcomes name a prompt or an arm that has no posterior.
    """
    rows = _positions("prompts", posteriors.prompts, outcomes.prompts)
    columns = _positions("arms", posteriors.arms, outcomes.arms)
    alpha, beta = posteriors.alpha.array.copy(), posteriors.beta.array.copy()
    cells = np.ix_(rows, columns)
    alpha[cells], beta[cells] = update(alpha[cells], beta[cells], outcomes)
    return Posteriors(prompts=posteriors.prompts, arms=posteriors.arms, alpha=Matrix(alpha), beta=Matrix(beta))


def empirical_posteriors(outcomes: Outcomes) -> Posteriors:
    """Return posteriors that know of prompts alike: each cell given the results of all arms on all prompts.

    See :mod:`coinfer.models.budget.calibration.factor`; the Beta distribution with the closest coverage is returned.
    With more than :data:`MOST_FITTED` prompts the model is fitted to so many of them, evenly spaced.
    """
    return _posteriors(outcomes, fit_factors(_some(outcomes)))


def empirical_refits(outcomes: Outcomes, *, repeats: int = REFITS, seed: int = 0) -> tuple[Posteriors, ...]:
    """Return the same from models fitted to prompts drawn again with replacement: how uncertain the fit is.

    Parameters
    ----------
    outcomes
        As of :func:`empirical_posteriors`.
    repeats
        Refits, at least 2.
    seed
        Of the drawing.
    """
    if repeats < 2:
        raise InputError("repeats", expected="at least 2", found=repeats)
    some, random = _some(outcomes), np.random.default_rng(seed)
    fitted, count = fit_factors(some), len(some.prompts)
    drawn = [random.integers(count, size=count) for _ in range(repeats)]
    return tuple(_posteriors(outcomes, fit_factors(some.only(rows), start=fitted)) for rows in drawn)


def _some(outcomes: Outcomes) -> Outcomes:
    count = len(outcomes.prompts)
    if count <= MOST_FITTED:
        return outcomes
    return outcomes.only(np.unique(np.linspace(0, count - 1, MOST_FITTED).astype(np.int64)))


def _posteriors(outcomes: Outcomes, fitted: Factors) -> Posteriors:
    counts = np.hstack([outcomes.successes, outcomes.samples])
    first, place = np.unique(counts, axis=0, return_index=True, return_inverse=True)[1:]  # equal counts, equal beliefs
    parts = [first[start : start + RUN] for start in range(0, len(first), RUN)]
    found = [matched_beta(posterior_weights(outcomes.only(rows), fitted)) for rows in parts]
    alpha, beta = (np.concatenate([pair[i] for pair in found])[place.ravel()] for i in range(2))
    rest = 1.0 - told(outcomes)
    alpha, beta = alpha + rest * outcomes.successes, beta + rest * (outcomes.samples - outcomes.successes)
    return Posteriors(prompts=outcomes.prompts, arms=outcomes.arms, alpha=Matrix(alpha), beta=Matrix(beta))


def _positions(where: str, known: tuple[str, ...], wanted: tuple[str, ...]) -> IntArray:
    place = {name: i for i, name in enumerate(known)}
    for i, name in enumerate(wanted):
        if name not in place:
            raise InputError(f"outcomes.{where}[{i}]", expected="a name that has a posterior", found=name)
    return np.array([place[name] for name in wanted], dtype=np.int64)
