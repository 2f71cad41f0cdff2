r"""One difficulty of each prompt behind the results of all arms, fitted by expectation-maximisation on a grid.

Given the difficulty :math:`\theta_i`, a standard normal, the rate of an arm is drawn about :math:`c_{ia} = \mu_a +
\lambda_a \theta_i`: an item-response model whose residual lets an arm be good or bad at single prompts. Priors that
leave the other arms out let a plan pick, on a hard prompt, the one arm that was lucky, and believe it.

Two residuals are fitted, with as many parameters each, and the likelier one is kept: the outcomes at hand choose,
nothing else does. ``normal``: :math:`\operatorname{logit} p_{ia} \sim N(c_{ia}, \sigma_a^2)`, for rates that spread over
many powers of ten. ``beta``: :math:`p_{ia} \sim \mathrm{Beta}(s_a m_{ia}, s_a (1 - m_{ia}))` with
:math:`\operatorname{logit} m_{ia} = c_{ia}`, for arms that always or never solve a prompt, and seldom stand between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray

GRID = np.linspace(-16.0, 12.0, 281)
"""Logits of the rate: from 1e-7 to 1 - 6e-6."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
LOG_WEIGHTS = np.log(WEIGHTS / WEIGHTS.sum())
"""Quadrature of the standard normal difficulty."""
LIKE_OTHERS = 10.0
"""The spread of all arms counts for each like so many prompts."""
ROUNDS = 200
DONE = 1e-4
"""Rise of the log-likelihood per prompt at which the fit ends."""
STEP = 1e-5
"""Of a difference quotient in the logarithms of the parameters."""
DRAWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""Numbers of samples at which a Beta distribution is matched to a posterior on the grid."""
USUAL_SLOPE = 1.5
Residual = Literal["normal", "beta"]
STATISTICS = {
    "normal": np.stack([GRID, GRID**2]),
    "beta": np.stack([-np.logaddexp(0.0, -GRID), -np.logaddexp(0.0, GRID)]),
}
"""Sufficient statistics of the logit of a rate; a density is the exponential of their weighted sum."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    r"""A fitted model.

    Attributes
    ----------
    location, slope
        (arms,): :math:`\mu, \lambda`.
    spread
        (arms,): of ``normal`` the logarithm of the standard deviation :math:`\sigma`, of ``beta`` that of :math:`1/s`.
    residual
        Which of the two.
    log_likelihood
        Of the outcomes, up to a constant that is the same for both residuals.
    """

    location: FloatArray
    slope: FloatArray
    spread: FloatArray
    residual: Residual
    log_likelihood: float = -np.inf


def fit_factors(outcomes: Outcomes, *, start: Factors | None = None) -> Factors:
    """Fit the model by expectation-maximisation: from ``start``, with its residual, or with the likelier one."""
    likelihood = _likelihood(outcomes)
    if start is not None:
        return _fitted(likelihood, start)
    drawn = np.maximum(outcomes.samples.sum(axis=0), 1)
    mean = (outcomes.successes.sum(axis=0) + 0.5) / (drawn + 1.0)
    center, slope = np.log(mean / (1.0 - mean)), np.full(len(mean), USUAL_SLOPE)
    normal = Factors(location=center - 1.0, slope=slope, spread=0.0 * slope, residual="normal")
    beta = Factors(location=center, slope=slope, spread=0.0 * slope, residual="beta")
    return max((_fitted(likelihood, each) for each in (normal, beta)), key=lambda each: each.log_likelihood)


def _fitted(likelihood: FloatArray, start: Factors) -> Factors:
    now, best = start, start
    step, size = (np.zeros((3, len(start.location)))), 1.0
    for _ in range(ROUNDS):
        prior = prior_weights(now)
        total, share = _shares(likelihood, prior)
        total += _penalty(now)
        rise = total - best.log_likelihood
        if rise > 0.0:
            best = replace(now, log_likelihood=total)
            if rise < DONE * likelihood.shape[1]:
                break
            step, size = _scoring_step(now, prior * (share.transpose(0, 2, 1) @ likelihood)), 1.0
        else:
            size *= 0.3
            if size < 0.01:
                break
        now = replace(
            best,
            location=best.location + size * step[0],
            slope=best.slope + size * step[1],
            spread=np.clip(best.spread + size * step[2], -6.0, 6.0),
        )
    return best


def _penalty(now: Factors) -> float:
    """Return the logarithm of the weak priors: slopes near the usual, spreads near each other."""
    apart = now.spread - now.spread.mean()
    pull = ((now.slope - USUAL_SLOPE) ** 2).sum() + LIKE_OTHERS * (apart**2).sum() + 0.5 * now.spread.mean() ** 2
    return -0.5 * float(pull)


def _scoring_step(now: Factors, moment: FloatArray) -> FloatArray:
    """Return a step of Fisher's scoring towards the likeliest parameters: (3, arms).

    ``moment`` is the expected number of prompts at each node and logit, (arms, nodes, grid).
    """
    statistics, by = STATISTICS[now.residual], _slopes(now)
    prior = prior_weights(now)
    at_node = moment.sum(axis=2)
    mean = prior @ statistics.T  # (arms, nodes, 2)
    products = np.stack([statistics[0] ** 2, statistics[0] * statistics[1], statistics[1] ** 2])
    second = prior @ products.T
    spread = second[:, :, [0, 1, 1, 2]].reshape(*mean.shape, 2) - mean[..., :, None] * mean[..., None, :]
    miss = moment @ statistics.T - at_node[..., None] * mean
    full = np.zeros((*by.shape[:2], 3, 2))  # by location, slope and spread
    full[:, :, 0], full[:, :, 1], full[:, :, 2] = by[:, :, 0], by[:, :, 0] * NODES[:, None], by[:, :, 1]
    gradient = np.einsum("atps,ats->ap", full, miss)
    fisher = np.einsum("atps,atsr,atqr,at->apq", full, spread, full, at_node)
    pull = np.array([1e-3, 1.0, LIKE_OTHERS])
    gradient[:, 1] -= now.slope - USUAL_SLOPE
    gradient[:, 2] -= LIKE_OTHERS * (now.spread - now.spread.mean()) + 0.5 * now.spread.mean() / len(now.spread)
    step: FloatArray = np.linalg.solve(fisher + np.diag(pull), gradient[:, :, None])[:, :, 0]
    return np.clip(step, -1.0, 1.0).T


def _natural(now: Factors) -> FloatArray:
    """Return the weights of the statistics at each node: (arms, nodes, 2)."""
    center, scale = now.location[:, None] + now.slope[:, None] * NODES, now.spread[:, None]
    if now.residual == "normal":
        precision = np.exp(-2.0 * scale)
        return np.stack([center * precision, np.broadcast_to(-0.5 * precision, center.shape)], axis=2)
    total = np.exp(-scale)
    return np.stack([total / (1.0 + np.exp(-center)), total / (1.0 + np.exp(center))], axis=2)


def _slopes(now: Factors) -> FloatArray:
    """Return how those weights move with the center and the spread: (arms, nodes, 2 parameters, 2 weights)."""
    natural = _natural(now)
    if now.residual == "normal":
        precision = -2.0 * natural[..., 1]
        center = np.stack([precision, 0.0 * precision], axis=2)
        return np.stack([center, -2.0 * natural], axis=2)
    both = natural.prod(axis=2) / natural.sum(axis=2)
    return np.stack([np.stack([both, -both], axis=2), -natural], axis=2)


def prior_weights(now: Factors) -> FloatArray:
    """Return the distribution of the logit at each node of the difficulty, (arms, nodes, grid)."""
    logarithm = _natural(now) @ STATISTICS[now.residual]
    prior: FloatArray = np.exp(logarithm - logarithm.max(axis=2, keepdims=True))
    prior /= prior.sum(axis=2, keepdims=True)
    return prior


def posterior_weights(outcomes: Outcomes, factors: Factors) -> FloatArray:
    """Return the posterior of the logit of each cell's rate given the results of all arms, (prompts, arms, grid)."""
    likelihood, prior = _likelihood(outcomes), prior_weights(factors)
    _, share = _shares(likelihood, prior)
    weight: FloatArray = (likelihood * (share @ prior)).transpose(1, 0, 2)
    weight /= weight.sum(axis=2, keepdims=True)
    return weight


def _shares(likelihood: FloatArray, prior: FloatArray) -> tuple[float, FloatArray]:
    """Return the log-likelihood, and the posterior of the difficulty over each cell's likelihood at its nodes."""
    at_node = likelihood @ prior.transpose(0, 2, 1) + 1e-300  # (arms, prompts, nodes)
    joint = LOG_WEIGHTS + np.log(at_node).sum(axis=0)
    top = joint.max(axis=1, keepdims=True)
    each = top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))
    share: FloatArray = np.exp(joint - each[:, None]) / at_node
    return float(each.sum()), share


def matched_beta(weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the parameters of Beta distributions whose coverage is closest to that of posteriors on the grid.

    Parameters
    ----------
    weight
        (..., grid).

    Returns
    -------
    alpha, beta
        (...,).
    """
    flat = weight.reshape(-1, len(GRID))
    log_fail = -np.logaddexp(0.0, GRID)
    draws = np.array(DRAWS, dtype=np.float64)
    wanted = flat @ -np.expm1(draws * log_fail[:, None])
    rate = np.exp(GRID + log_fail)
    mean = flat @ rate
    concentration = np.clip(mean * (1 - mean) / np.maximum(flat @ rate**2 - mean**2, 1e-300) - 1.0, 0.1, 1e7)
    point = np.log(np.stack([mean * concentration, (1.0 - mean) * concentration], axis=1))
    damping = np.full(len(flat), 1e-3)
    error = _errors(point, wanted, draws)
    for _ in range(40):
        moved = [_errors(point + step, wanted, draws) for step in STEP * np.eye(2)]
        jacobian = np.stack([(each - error) / STEP for each in moved], axis=2)
        normal = np.einsum("cki,ckj->cij", jacobian, jacobian)
        normal += (damping[:, None] * (np.einsum("cii->ci", normal) + 1e-9))[:, :, None] * np.eye(2)
        step = -np.linalg.solve(normal, np.einsum("cki,ck->ci", jacobian, error)[:, :, None])[:, :, 0]
        trial = np.clip(point + np.clip(step, -1.0, 1.0), -12.0, 18.0)
        changed = _errors(trial, wanted, draws)
        better = (changed**2).sum(axis=1) < (error**2).sum(axis=1)
        point, error = np.where(better[:, None], trial, point), np.where(better[:, None], changed, error)
        damping = np.where(better, damping * 0.3, damping * 8.0)
    return np.exp(point[:, 0]).reshape(weight.shape[:-1]), np.exp(point[:, 1]).reshape(weight.shape[:-1])


def _errors(point: FloatArray, wanted: FloatArray, draws: FloatArray) -> FloatArray:
    return expected_coverage(np.exp(point[:, 0]), np.exp(point[:, 1]), draws) - wanted


def _likelihood(outcomes: Outcomes) -> FloatArray:
    """Return the likelihood of each cell at each point of the grid, its largest made 1: (arms, prompts, grid)."""
    right = outcomes.successes.T[:, :, None].astype(np.float64)
    wrong = outcomes.samples.T[:, :, None] - right
    logarithm = -right * np.logaddexp(0.0, -GRID) - wrong * np.logaddexp(0.0, GRID)
    scaled: FloatArray = np.exp(logarithm - logarithm.max(axis=2, keepdims=True))
    return scaled
