"""What each strategy takes in tokens and requests, expected and at worst; ``figures`` turns it into a bill.

Strategy functions take the tokens of a prompt, (...,), and the sizes of the options, (options,), and give arrays
(..., options). The longest way has the slowest of parallel requests and the sum of those that follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError
from coinfer.models.budget.curves.figures import StrategyUsage, Tokens, Usage
from coinfer.models.budget.curves.latency import lognormal_maximum, sum_deviation
from coinfer.solver.program import FloatArray

PromptBilling = Literal["each", "cached", "once"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One request of a strategy, in tokens; each field is one number or (...,), one per prompt.

    Attributes
    ----------
    prompt_tokens
        Tokens of the prompt.
    answer_tokens
        Mean tokens of one answer, or of one step where the strategy works in steps.
    answer_cap_tokens
        The most tokens an answer or step is allowed; at least the mean.
    answer_log_deviation
        Standard deviation of the logarithm of its tokens, as a log-normal, for the slowest of parallel answers.
    """

    prompt_tokens: ArrayLike
    answer_tokens: ArrayLike
    answer_cap_tokens: ArrayLike
    answer_log_deviation: ArrayLike


def independent(
    request: Request, samples: ArrayLike, *, prompt: PromptBilling = "each", scored: bool = False
) -> StrategyUsage:
    """Return the usage of k parallel samples: best-of-k, or a majority of k.

    Input k P; output k A; the way is the slowest of k answers. With P billed ``"once"`` (k answers to one request) the
    input is P; with it ``"cached"`` k - 1 prompts are cached. With ``scored`` a reward model reads k (P + A).

    Notes
    -----
    Brown et al. 2407.21787, section 2; Wang et al. 2203.11171 for the majority, which has no reward model.
    """
    p, a, cap, spread = read_request(request)
    k = checked_sizes(samples, 0)
    first = np.minimum(k, 1.0)
    again = k - first
    seen = first if prompt == "once" else k

    def usage(answer: FloatArray, slowest: FloatArray) -> Usage:
        read = k * (p + answer) if scored else 0.0
        total = tokens_of(
            input=(k if prompt == "each" else first) * p,
            cached_input=again * p if prompt == "cached" else 0.0,
            output=k * answer,
            scored=read,
            call=seen,
        )
        way = tokens_of(input=first * p, output=slowest, scored=first * (p + slowest) if scored else 0.0, call=first)
        return Usage(total=total, path=way)

    return StrategyUsage(expected=usage(a, slowest_tokens(a, spread, k, cap)), worst=usage(cap, first * cap))


def until_success(request: Request, expected_samples: ArrayLike, samples: ArrayLike) -> StrategyUsage:
    """Return the usage of samples drawn one after another until one is right, at most k.

    Parameters
    ----------
    request
        One sample; the prompt is billed each time.
    expected_samples
        Expected number drawn, (..., options):
        :func:`~coinfer.models.budget.curves.coverage.samples_until_success`.
    samples
        The most that are drawn, (options,).

    Notes
    -----
    Wald's identity: expected tokens are expected samples times mean tokens, right if an answer's length does not depend
    on the samples before it. Nothing is parallel, so the way is everything.
    """
    p, a, cap, _ = read_request(request)
    drawn, most = np.asarray(expected_samples, dtype=np.float64), checked_sizes(samples, 0)
    if not ((drawn >= 0) & (drawn <= most * (1 + 1e-12))).all():
        raise InputError("expected_samples", expected="numbers from 0 to the samples of the option", found="another")
    expected = tokens_of(input=drawn * p, output=drawn * a, call=drawn)
    worst = tokens_of(input=most * p, output=most * cap, call=most)
    return StrategyUsage(
        expected=Usage(total=expected, path=expected),
        worst=Usage(total=worst, path=worst),
    )


def revision_chains(
    request: Request,
    chains: ArrayLike,
    length: ArrayLike,
    *,
    instruction_tokens: float = 0.0,
    kept_answers: int | None = None,
    cached: bool = False,
    scored: bool = False,
) -> StrategyUsage:
    r"""Return the usage of C parallel chains of L answers, each answer revising all before it in its chain.

    The prompt of answer i of a chain (from 0) is P + i (A + R) with R tokens of instruction to revise, so the input is
    :math:`C\,[L P + (A + R) L (L-1) / 2]` and the output C L A. With ``cached`` only P, once a chain, and the A + R
    that are new each time are read afresh. With ``kept_answers`` a prompt has only the last W answers; once one is
    dropped from before them, all W are read afresh. The way is the slowest chain: a sum of L answers, its spread by
    Fenton and Wilkinson. With ``scored`` a reward model reads P + A for each of the C L answers.

    Parameters
    ----------
    request
        One answer.
    chains, length
        C and L of every option, (options,); their ratio L / C is Snell's sequential-to-parallel ratio.
    instruction_tokens
        R.
    kept_answers
        W, at least 1; all by default. Snell et al. keep 4.

    Notes
    -----
    Snell et al. 2408.03314, section 6.
    """
    p, a, cap, spread = read_request(request)
    c, n = np.broadcast_arrays(checked_sizes(chains, 1), checked_sizes(length, 1))
    if kept_answers is not None and kept_answers < 1:
        raise InputError("kept_answers", expected="at least 1", found=kept_answers)
    filling = np.minimum(n - 1, np.inf if kept_answers is None else kept_answers)  # revisions before any is dropped
    full = (n - 1 - filling) * filling
    pairs, changes = filling * (filling + 1) / 2 + full, filling + full

    def usage(answer: FloatArray, slowest: FloatArray) -> Usage:
        new = answer + instruction_tokens
        grown, fresh = n * p + new * pairs, p + new * changes
        chain = fresh if cached else grown
        kept = grown - fresh if cached else np.zeros(())
        read = p + answer if scored else np.zeros(())
        total = tokens_of(
            input=c * chain, cached_input=c * kept, output=c * n * answer, scored=c * n * read, call=c * n
        )
        way = tokens_of(input=chain, cached_input=kept, output=slowest, scored=n * read, call=n)
        return Usage(total=total, path=way)

    expected = slowest_tokens(n * a, sum_deviation(spread, n), c, n * cap)
    return StrategyUsage(expected=usage(a, expected), worst=usage(cap, n * cap))


def chain_shapes(samples: int, *, ratio: float | None = None) -> list[tuple[int, int]]:
    """Return all (chains, length) with chains times length = ``samples``, or the one whose length / chains is nearest.

    Near is meant in logarithm, as Snell et al. 2408.03314, figure 7, draws the ratio.

    >>> chain_shapes(6)
    [(6, 1), (3, 2), (2, 3), (1, 6)]
    >>> chain_shapes(64, ratio=4.0)
    [(4, 16)]
    """
    if samples < 1 or (ratio is not None and not ratio > 0):
        raise InputError("samples", expected="at least 1 sample and a ratio above 0", found=(samples, ratio))
    shapes = [(samples // length, length) for length in range(1, samples + 1) if samples % length == 0]
    if ratio is None:
        return shapes
    return [min(shapes, key=lambda shape: abs(np.log(shape[1] / shape[0] / ratio)))]


def debate(
    request: Request, agents: ArrayLike, rounds: ArrayLike, *, transcript: Literal["all", "last"] = "all"
) -> StrategyUsage:
    r"""Return the usage of G agents that answer in each of R rounds with the answers so far in their prompts.

    The prompt of round r (from 0) is P + r G A with the whole transcript, so each agent reads
    :math:`R P + G A R (R-1) / 2`, growing as agents times rounds squared; with only the ``"last"`` round in it,
    R P + (R - 1) G A. The output is G R A; the way is R times the slowest of G, each reading what an agent reads.

    Parameters
    ----------
    request
        One answer of one agent; all agents are of one model.
    agents, rounds
        G and R of every option, (options,).

    Notes
    -----
    Du et al. 2305.14325; rounds as in ReConcile, 2309.13007.
    """
    p, a, cap, spread = read_request(request)
    g, r = np.broadcast_arrays(checked_sizes(agents, 1), checked_sizes(rounds, 1))
    seen = r * (r - 1) / 2 if transcript == "all" else r - 1

    def usage(answer: FloatArray, slowest: FloatArray) -> Usage:
        read = r * p + g * answer * seen
        total = tokens_of(input=g * read, output=g * r * answer, call=g * r)
        return Usage(total=total, path=tokens_of(input=read, output=r * slowest, call=r))

    return StrategyUsage(expected=usage(a, slowest_tokens(a, spread, g, cap)), worst=usage(cap, cap + 0 * g))


def read_request(request: Request) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return prompt, mean answer, longest answer and log-deviation, (..., 1) each."""
    names = ("prompt_tokens", "answer_tokens", "answer_cap_tokens", "answer_log_deviation")
    p, a, cap, spread = (np.asarray(getattr(request, name), dtype=np.float64)[..., None] for name in names)
    for name, each in zip(names, (p, a, cap, spread), strict=True):
        if not (np.isfinite(each) & (each >= 0)).all():
            raise InputError(name, expected="finite numbers from 0", found=each[..., 0].tolist())
    if (cap < a).any():
        raise InputError("answer_cap_tokens", expected="at least the mean tokens of an answer", found=cap.tolist())
    return p, a, cap, spread


def checked_sizes(sizes: ArrayLike, least: int) -> FloatArray:
    """Return the sizes of the options, (options,), whole numbers from ``least``, or raise InputError."""
    made = np.atleast_1d(np.asarray(sizes, dtype=np.float64))
    if made.ndim != 1 or not (np.isfinite(made) & (made >= least) & (made == np.floor(made))).all():
        raise InputError("samples", expected=f"a list of whole numbers from {least}", found=made.tolist())
    return made


def slowest_tokens(answer: FloatArray, spread: FloatArray, draws: FloatArray, cap: FloatArray) -> FloatArray:
    """Return the expected longest of parallel answers, at most the cap: never too low, by Jensen's inequality."""
    return np.minimum(lognormal_maximum(answer, spread, draws), cap)


def tokens_of(**kinds: FloatArray | float) -> Tokens:
    """Return tokens of all kinds in one shape; a kind that is not named is not used."""
    names = ("input", "cached_input", "output", "scored", "call")
    made = np.broadcast_arrays(*(np.asarray(kinds.get(name, 0.0), dtype=np.float64) for name in names))
    return Tokens(**dict(zip(names, made, strict=True)))
