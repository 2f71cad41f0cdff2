"""What a search over steps takes: beams and lookahead, with the reward model charged at every step."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError
from coinfer.models.budget.curves.costs import Request, checked_sizes, read_request, slowest_tokens, tokens_of
from coinfer.models.budget.curves.figures import StrategyUsage, Usage
from coinfer.models.budget.curves.latency import sum_deviation
from coinfer.solver.program import FloatArray


def beam_search(
    request: Request,
    candidates: ArrayLike,
    width: ArrayLike,
    *,
    steps: ArrayLike,
    steps_cap: int = 40,
    lookahead_steps: int = 0,
    cached: bool = False,
) -> StrategyUsage:
    r"""Return the usage of a beam search: N first steps, then the best N / M kept and M continuations of each.

    Every one of D rounds writes N steps of S tokens, whatever M is, and has the reward model read each candidate's
    prefix, P + (d + 1) S in round d from 0. As requests that continue a prefix, the steps read P + d S. With lookahead
    of k steps a second request rolls each candidate k steps further before it is scored, at N (k + 1) steps a round:

    * output N (k + 1) D S, requests N D, or 2 N D with lookahead;
    * input :math:`N\,[D P + S D (D-1) / 2]`, and :math:`N\,[D P + S D (D+1) / 2]` more with lookahead;
    * scored :math:`N\,[D P + S D (D+1) / 2 + k D S]`.

    With ``cached`` both models keep the state of a prefix: of the input only the first P is read afresh, and the reward
    model reads the new steps only, P once per candidate. The rounds follow one another, so the way is D times the
    slowest of N steps, of N rolled ones, and one reading by the reward model.

    Parameters
    ----------
    request
        One step: ``answer_tokens`` are those of a step.
    candidates, width
        N and M of every option, (options,); M divides N. Snell et al. have M = 4 or the root of N.
    steps
        Mean rounds D until the answers end, (...,), at least 1, put into the formulas as if it were no mean.
    steps_cap
        The most rounds.
    lookahead_steps
        k.

    Raises
    ------
    InputError
        If some M does not divide its N.

    Notes
    -----
    Snell et al. 2408.03314, section 5.2: 40 rounds, lookahead charged N (k + 1).
    """
    p, a, cap, spread = read_request(request)
    n, m = np.broadcast_arrays(checked_sizes(candidates, 1), checked_sizes(width, 1))
    rounds = np.asarray(steps, dtype=np.float64)[..., None]
    if (n % m != 0).any():
        raise InputError("width", expected="a divisor of the candidates", found=m.tolist())
    if not ((rounds >= 1) & (rounds <= steps_cap)).all():
        raise InputError("steps", expected=f"from 1 to {steps_cap} rounds", found=rounds[..., 0].tolist())
    k = int(lookahead_steps)
    if k < 0:
        raise InputError("lookahead_steps", expected="a number of steps from 0", found=lookahead_steps)

    def usage(d: FloatArray, step: FloatArray, slowest: FloatArray) -> Usage:
        # The way has one candidate of each round, the slowest.
        total = _searched(n, d, p, step, step * (k + 1) * n * d, k, cached)
        path = _searched(np.ones(()), d, p, step, slowest * d, k, cached)
        return Usage(total=tokens_of(**total), path=tokens_of(**path))

    slowest = slowest_tokens(a, spread, n, cap)
    if k:
        # The rolled steps are a request of their own, so the slowest of each kind is waited for.
        slowest = slowest + slowest_tokens(k * a, sum_deviation(spread, k), n, k * cap)
    worst_rounds = np.full(rounds.shape, float(steps_cap))
    return StrategyUsage(
        expected=usage(rounds, a, slowest),
        worst=usage(worst_rounds, cap, (k + 1) * cap + 0 * n),
    )


def _searched(
    n: FloatArray, d: FloatArray, p: FloatArray, step: FloatArray, output: FloatArray, k: int, cached: bool
) -> dict[str, FloatArray]:
    """Return tokens of every kind for n candidates over d rounds."""
    before, after = d * p + step * d * (d - 1) / 2, d * p + step * d * (d + 1) / 2
    read = n * (before + (after if k else 0.0))
    fresh = np.minimum(p, read) if cached else read
    scored = n * (p + step * d * (k + 1)) if cached else n * (after + k * d * step)
    return {
        "input": fresh + 0 * read,
        "cached_input": read - fresh,
        "output": output,
        "scored": scored,
        "call": n * d * (2 if k else 1),
    }
