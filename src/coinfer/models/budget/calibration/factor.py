r"""One difficulty of each prompt behind the results of all arms, fitted by marginal likelihood on a grid.

Given the difficulty :math:`\theta_i`, a standard normal, the logit :math:`x` of the rate of arm :math:`a` has a density
in proportion to :math:`\exp((\mu_a + \lambda_a \theta_i) x + \beta_a x^2 / 10)` between the ends of the grid: an
item-response model whose residual lets an arm be good or bad at single prompts. With :math:`\beta_a` well below 0 the
residual is normal, for rates that spread over some powers of ten; near 0 and above, it has two humps, for arms that
always or never solve a prompt and seldom stand between. The outcomes say which. (Exponential families as priors that
data choose: Efron, Biometrika 103, 2016.)

Priors that leave the other arms out let a plan pick, on a hard prompt, the one arm that was lucky, and believe it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray

GRID = np.linspace(-16.0, 12.0, 281)
"""Logits of the rate: from 1e-7 to 1 - 6e-6."""
STATISTICS = np.stack([GRID, GRID**2 / 10.0])
"""What a density on the grid is the exponential of, in weighted sum; scaled to be of a size."""
NODES = np.linspace(-3.75, 3.75, 31)
LOG_WEIGHTS = -0.5 * NODES**2 - np.log(np.exp(-0.5 * NODES**2).sum())
"""Quadrature of the standard normal difficulty: as fine as many samples of many arms can tell it."""
USUAL_SLOPE, USUAL_BEND = 0.6, -0.7
PULL_LOCATION, PULL_SLOPE, PULL_BEND = 5e-3, 1e-2, 1e-3
"""Inverse variances of the locations about 0, and of the mean slope and bend about the usual: all but none, or claims
after picking the luckiest arm are too high (a residual fitted too wide believes that arms are apart)."""
ALIKE = 20.0
"""Inverse variance of slopes, and of bends, between arms; one that has few samples goes by the others."""
ROUNDS = 400
DONE = 1e-7
"""Relative rise of the log-likelihood at which the fit ends."""
SHARPEST = 150.0
"""Largest n p (1 - p) of a cell whose likelihood the grid can tell: its deviation is then 0.8 of a step."""
STEP = 1e-5
"""Of a difference quotient in the logarithms of the parameters."""
DRAWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""Numbers of samples at which a Beta distribution is matched to a posterior on the grid."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    r"""A fitted model.

    Attributes
    ----------
    location, slope, bend
        (arms,): :math:`\mu, \lambda, \beta`.
    """

    location: FloatArray
    slope: FloatArray
    bend: FloatArray


def fit_factors(outcomes: Outcomes, *, start: Factors | None = None) -> Factors:
    """Fit the model: the largest marginal likelihood, with weak pulls to usual values and of the arms to each other."""
    from scipy.optimize import minimize

    likelihood = _likelihood(outcomes)
    if start is None:
        drawn = np.maximum(outcomes.samples.sum(axis=0), 1)
        mean = (outcomes.successes.sum(axis=0) + 0.5) / (drawn + 1.0)
        arms = np.ones(len(mean))
        location = 0.3 * (np.log(mean / (1.0 - mean)) - 1.0)
        start = Factors(location=location, slope=USUAL_SLOPE * arms, bend=USUAL_BEND * arms)
    found = minimize(
        lambda point: _loss(_factors(point), likelihood),
        np.concatenate([start.location, start.slope, start.bend]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ROUNDS, "ftol": DONE, "maxcor": 30},
    )
    return _factors(found.x)


def _factors(point: FloatArray) -> Factors:
    location, slope, bend = point.reshape(3, -1)
    return Factors(location=location, slope=slope, bend=bend)


def _loss(factors: Factors, likelihood: FloatArray) -> tuple[float, FloatArray]:
    """Return the negative logarithm of the penalised likelihood, and its derivatives, (3 * arms,).

    Those of an exponential family: statistics as expected given the outcomes, less as expected given the difficulty.
    """
    prior = _prior(factors)
    total, share = _shares(likelihood, prior)
    moment = prior * (share.transpose(0, 2, 1) @ likelihood)  # the expected number of prompts at each node and logit
    at_node = (moment - moment.sum(axis=2, keepdims=True) * prior) @ STATISTICS.T
    pull, pulled = 0.5 * PULL_LOCATION * float((factors.location**2).sum()), [PULL_LOCATION * factors.location]
    for each, usual, weight in ((factors.slope, USUAL_SLOPE, PULL_SLOPE), (factors.bend, USUAL_BEND, PULL_BEND)):
        apart, off = each - each.mean(), float(each.mean()) - usual
        pull += 0.5 * ALIKE * float((apart**2).sum()) + 0.5 * weight * off**2
        pulled.append(ALIKE * apart + weight * off / len(each))
    rise = [at_node[:, :, 0].sum(axis=1), at_node[:, :, 0] @ NODES, at_node[:, :, 1].sum(axis=1)]
    return pull - total, np.concatenate(pulled) - np.concatenate(rise)


def posterior_weights(outcomes: Outcomes, factors: Factors) -> FloatArray:
    """Return the posterior of the logit of each cell's rate given the results of all arms, (prompts, arms, grid).

    Cells of very many samples count for those that :func:`told` says: right on average, and wider than they need be.
    """
    likelihood, prior = _likelihood(outcomes), _prior(factors)
    _, share = _shares(likelihood, prior)
    weight: FloatArray = (likelihood * (share @ prior)).transpose(1, 0, 2)
    weight /= weight.sum(axis=2, keepdims=True)
    return weight


def told(outcomes: Outcomes) -> FloatArray:
    """Return the share of each cell's samples that the grid can tell, (prompts, arms); weights rest on those alone."""
    wrong = outcomes.samples - outcomes.successes
    sharp = outcomes.successes * (wrong / np.maximum(outcomes.samples, 1))
    share: FloatArray = SHARPEST / np.maximum(sharp, SHARPEST)
    return share


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
    used = told(outcomes)
    right, wrong = ((each * used).T[:, :, None] for each in (outcomes.successes, outcomes.samples - outcomes.successes))
    logarithm = -right * np.logaddexp(0.0, -GRID) - wrong * np.logaddexp(0.0, GRID)
    scaled: FloatArray = np.exp(logarithm - logarithm.max(axis=2, keepdims=True))
    return scaled


def _prior(factors: Factors) -> FloatArray:
    """Return the distribution of the logit at each node of the difficulty, (arms, nodes, grid)."""
    tilt = factors.location[:, None] + factors.slope[:, None] * NODES
    logarithm = tilt[:, :, None] * STATISTICS[0] + factors.bend[:, None, None] * STATISTICS[1]
    prior: FloatArray = np.exp(logarithm - logarithm.max(axis=2, keepdims=True))
    prior /= prior.sum(axis=2, keepdims=True)
    return prior
