r"""One difficulty of each prompt behind the results of all arms, fitted by expectation-maximisation on a grid.

:math:`\operatorname{logit} p_{ia} = \mu_a + \lambda_a \theta_i + \sigma_a \epsilon_{ia}` with standard normal
:math:`\theta, \epsilon`: an item-response model whose residual lets an arm be good or bad at single prompts. Priors
that leave the other arms out let a plan pick, on a hard prompt, the one arm that was lucky, and believe it.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    r"""A fitted model.

    Attributes
    ----------
    location, slope, spread
        (arms,): :math:`\mu, \lambda, \sigma`.
    """

    location: FloatArray
    slope: FloatArray
    spread: FloatArray


def fit_factors(outcomes: Outcomes, *, start: Factors | None = None) -> Factors:
    """Fit the model by expectation-maximisation."""
    likelihood, before = _likelihood(outcomes), -np.inf
    drawn = np.maximum(outcomes.samples.sum(axis=0), 1)
    mean = (outcomes.successes.sum(axis=0) + 0.5) / (drawn + 1.0)
    arms = np.ones(len(mean))
    now = start or Factors(location=np.log(mean / (1.0 - mean)) - 1.0, slope=1.5 * arms, spread=arms)
    for _ in range(ROUNDS):
        prior = _prior(now)
        total, share = _shares(likelihood, prior)
        if total - before < DONE * likelihood.shape[1]:
            break
        before = total
        now = _regress(prior * (share.transpose(0, 2, 1) @ likelihood))
    return now


def posterior_weights(outcomes: Outcomes, factors: Factors) -> FloatArray:
    """Return the posterior of the logit of each cell's rate given the results of all arms, (prompts, arms, grid)."""
    likelihood, prior = _likelihood(outcomes), _prior(factors)
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


def _prior(factors: Factors) -> FloatArray:
    """Return the distribution of the logit at each node of the difficulty, (arms, nodes, grid)."""
    center = factors.location[:, None] + factors.slope[:, None] * NODES
    logarithm = -0.5 * ((GRID - center[:, :, None]) / factors.spread[:, None, None]) ** 2
    prior: FloatArray = np.exp(logarithm - logarithm.max(axis=2, keepdims=True))
    prior /= prior.sum(axis=2, keepdims=True)
    return prior


def _regress(moment: FloatArray) -> Factors:
    """Regress the logit on the difficulty for each arm, with a weak pull to slope 1.5 and the usual spread.

    ``moment`` is the expected number of prompts at each node and logit, (arms, nodes, grid).
    """
    at_node, at_logit = moment.sum(axis=2), moment.sum(axis=1)
    mass = at_node.sum(axis=1)
    mean_node, mean_logit = at_node @ NODES / mass, at_logit @ GRID / mass
    node = NODES - mean_node[:, None]
    logit = GRID - mean_logit[:, None]
    crossed = ((moment @ GRID) * node).sum(axis=1) - mean_logit * (at_node * node).sum(axis=1)
    square = (at_node * node**2).sum(axis=1)
    slope = (crossed + 1.5) / (square + 1.0)
    rest = (at_logit * logit**2).sum(axis=1) - 2.0 * slope * crossed + slope**2 * square
    usual = (rest.sum() + 1.0) / (mass.sum() + 1.0)
    spread = np.sqrt(np.maximum((rest + LIKE_OTHERS * usual) / (mass + LIKE_OTHERS), 0.04))
    return Factors(location=mean_logit - slope * mean_node, slope=slope, spread=spread)
