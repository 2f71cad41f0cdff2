"""Early cut: traces that turn unsure are not written to their end, and sure ones weigh more in the vote."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.agents import whole
from coinfer.executor.strategies.ask import ANSWER, Reply, Sample, Sampled
from coinfer.executor.strategies.session import Session, Step, user
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption, Usage
from coinfer.executor.strategies.tally import weighted_answer

SIZES = ((8, 4), (16, 4), (16, 8), (32, 8))
"""Samples, and how many of them warm up."""
KEEP = (0.5, 0.9)
PIECES = 4
RUNS, NUMBERS = 400, 2_000_000
"""Most prompts that are simulated, and about how many tokens of theirs: fewer prompts where texts are long."""
MOST_SAMPLES = 1000


@dataclass(slots=True, kw_only=True)
class Trace:
    """A completion that is written piece by piece.

    Attributes
    ----------
    text
        So far.
    tokens
        As counted by the endpoint.
    logprobs
        Of its tokens.
    ended
        It ended by itself or at its limit, or its endpoint failed.
    """

    text: str = ""
    tokens: int = 0
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False

    def add(self, piece: Completion, asked: int, most: int) -> None:
        """Take on what was written next, of so many tokens asked for and at most ``most`` in all."""
        self.text += piece.text
        self.tokens += piece.output_tokens
        self.logprobs += piece.logprobs or ()
        self.ended = piece.finish != "length" or piece.output_tokens < asked or self.tokens >= most


def lowest_mean(logprobs: Sequence[float], window: int) -> float:
    """Return the lowest mean over a window of so many tokens; of fewer tokens their mean, of none -inf.

    >>> lowest_mean([-1.0, -3.0, -1.0, 0.0], 2)
    -2.0
    """
    if not logprobs:
        return -math.inf
    sums = np.concatenate([[0.0], np.cumsum(logprobs)])
    size = min(window, len(logprobs))
    return float((sums[size:] - sums[:-size]).min() / size)


class EarlyCut:
    r"""Traces whose log-probability falls below that of a warm-up are cut; the others vote by their confidence.

    A trace is as sure as its least sure window: the lowest mean log-probability of w tokens in a row. The warm-up
    samples are written to their end, and the threshold is the least of the surest ``keep`` of them (rounded up). The
    rest is written in pieces of w tokens, each going on from the text so far, and a trace is cut once a whole window is
    below the threshold. Traces of the warm-up below it do not vote either; where none is left, all whole traces do. The
    vote weighs :math:`e^{lowest mean}`.

    Settings: ``samples``, ``warmup`` of them, ``keep`` the share of the warm-up that stays, ``pieces`` of the longest
    completion (w is its tokens over that, rounded up). Value: as measured. Cost: the prompt is read once for the
    warm-up and once for all first pieces, and each further piece reads it again with the text so far. How soon traces
    are cut is simulated (:func:`simulated`), as if tokens were independent: real traces are unsure from early on or
    not at all, so they are cut sooner, and trials measure it.

    Notes
    -----
    Fu et al. 2508.15260 (DeepConf), lowest group confidence with offline warm-up; they take the mean over the likeliest
    tokens at each place, here it is the token written, which every endpoint with log-probabilities tells.
    """

    name = "early_cut"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each size at each share that stays."""
        return tuple(self._option(prior, samples, warmup, keep) for samples, warmup in SIZES for keep in KEEP)

    def _option(self, prior: Prior, samples: int, warmup: int, keep: float) -> StrategyOption:
        rest, longest = samples - warmup, prior.max_tokens
        size = piece_tokens(longest, PIECES)
        found = simulated(max(1, round(prior.output_tokens)), longest, samples, warmup, keep, PIECES)
        further = found.pieces - rest
        steps = -(-longest // size)
        return StrategyOption(
            strategy=self.name,
            settings={"samples": float(samples), "warmup": float(warmup), "keep": keep, "pieces": float(PIECES)},
            value=None,
            expected={
                ANSWER: Usage(
                    calls=warmup + found.pieces,
                    prompt_tokens=prior.prompt_tokens * (2.0 + further) + found.read_again,
                    output_tokens=warmup * prior.output_tokens + found.tokens,
                )
            },
            worst={
                ANSWER: Usage(
                    calls=warmup + rest * steps,
                    prompt_tokens=prior.prompt_tokens * (2.0 + rest * (steps - 1))
                    + rest * size * steps * (steps - 1) / 2.0,
                    output_tokens=float(samples * longest),
                )
            },
            latency_s=None if prior.output_s is None else 2.0 * prior.output_tokens * prior.output_s,
            needs=frozenset({"completions", "logprobs", "prefix"}),
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Warm up, write the rest piece by piece, and vote."""
        samples = whole(option.settings, "samples", 2, MOST_SAMPLES)
        warmup = whole(option.settings, "warmup", 1, samples - 1)
        size = piece_tokens(prompt.max_tokens, whole(option.settings, "pieces", 1, MOST_SAMPLES))
        keep = option.settings.get("keep", math.nan)
        if not 0.0 < keep <= 1.0:
            raise RequestError("settings.keep", expected="a share above 0, at most 1", found=keep)
        first = yield from _begun(prompt, warmup, prompt.max_tokens)
        lows = [lowest_mean(each.logprobs, size) for each in first]
        threshold = sorted(lows, reverse=True)[_kept(len(lows), keep) - 1] if lows else -math.inf
        rest = yield from _begun(prompt, samples - warmup, size)
        going = _going(rest, size, threshold)
        while going:
            yield from _continued(prompt, going, size)
            going = _going(going, size, threshold)
        traces = [each for each in (*first, *rest) if each.ended and each.text]
        sure = [each for each in traces if lowest_mean(each.logprobs, size) >= threshold]
        return weighted_answer(
            prompt,
            [(_whole(each), math.exp(lowest_mean(each.logprobs, size))) for each in sure or traces],
            details={"samples": float(len(first) + len(rest)), "kept": float(len(sure))},
        )


def piece_tokens(max_tokens: int, pieces: int) -> int:
    """Return the tokens of a piece, which are those of a window too."""
    return -(-max_tokens // pieces)


def _kept(count: int, keep: float) -> int:
    """Return how many of the warm-up stay, at least one."""
    return max(1, math.ceil(keep * count - 1e-9))


def _begun(prompt: Prompt, count: int, tokens: int) -> Generator[Step, tuple[Reply, ...], list[Trace]]:
    """Begin traces, with one ask."""
    ask = Sample(
        messages=user(prompt.text),
        max_tokens=min(tokens, prompt.max_tokens),
        count=count,
        temperature=prompt.temperature,
        logprobs=True,
    )
    (reply,) = yield Step(asks=(ask,))
    traces = []
    for piece in reply.completions if isinstance(reply, Sampled) else ():
        traces.append(Trace())
        traces[-1].add(piece, ask.max_tokens, prompt.max_tokens)
    return traces


def _continued(prompt: Prompt, traces: Sequence[Trace], size: int) -> Generator[Step, tuple[Reply, ...], None]:
    """Write the next piece of each trace; a trace without a reply stays as it is and is dropped."""
    asks = tuple(
        Sample(
            messages=user(prompt.text),
            max_tokens=min(size, prompt.max_tokens - each.tokens),
            temperature=prompt.temperature,
            prefix=each.text,
            logprobs=True,
        )
        for each in traces
    )
    replies = yield Step(asks=asks)
    for trace, ask, reply in zip(traces, asks, replies, strict=True):
        if isinstance(reply, Sampled) and reply.completions:
            trace.add(reply.completions[0], ask.max_tokens, prompt.max_tokens)
        else:
            trace.text, trace.ended = "", True  # half a trace has no vote


def _going(traces: Sequence[Trace], size: int, threshold: float) -> list[Trace]:
    """Return the traces that are to be written on: not ended, and no whole window below the threshold."""
    return [each for each in traces if not each.ended and lowest_mean(each.logprobs, size) >= threshold]


def _whole(trace: Trace) -> Completion:
    return Completion(text=trace.text, output_tokens=trace.tokens, finish="stop", logprobs=tuple(trace.logprobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What the traces after the warm-up are expected to take.

    Attributes
    ----------
    tokens, pieces
        Written, of all traces together.
    read_again
        Tokens of the text so far that further pieces read.
    """

    tokens: float
    pieces: float
    read_again: float


@lru_cache(maxsize=2000)
def simulated(mean: int, longest: int, samples: int, warmup: int, keep: float, pieces: int) -> Pieces:
    """Return what early cuts leave, over :data:`RUNS` simulated prompts.

    The log-probabilities of tokens are independent and exponential (their scale does not matter: one of them is the
    threshold), and lengths are uniform from half the mean to three halves.
    """
    random = np.random.default_rng(samples)
    size = piece_tokens(longest, pieces)
    runs = int(min(RUNS, max(20, NUMBERS // (samples * 2 * mean))))
    lengths = np.minimum(random.integers(mean - mean // 2, mean + mean // 2 + 1, (runs, samples)), longest)
    lengths = np.maximum(lengths, 1)
    sums = np.zeros((runs, samples, int(lengths.max()) + 1))
    np.cumsum(-random.exponential(1.0, sums[:, :, 1:].shape), axis=2, out=sums[:, :, 1:])
    lows = np.full((RUNS, samples, sums.shape[2]), np.inf)  # after so many tokens
    lows[:, :, size:] = (sums[:, :, size:] - sums[:, :, : sums.shape[2] - size]) / size
    lows = np.minimum.accumulate(lows, axis=2)
    at_end = np.take_along_axis(lows, lengths[:, :, None], axis=2)[:, :, 0]
    short = np.take_along_axis(sums, lengths[:, :, None], axis=2)[:, :, 0] / lengths
    at_end = np.where(lengths < size, short, at_end)
    threshold = np.sort(at_end[:, :warmup], axis=1)[:, warmup - _kept(warmup, keep), None]
    tokens = written = again = 0.0
    going, length = np.ones((runs, samples - warmup), dtype=bool), lengths[:, warmup:]
    done = 0
    while going.any():
        again += float((going * done).sum())
        written += float(going.sum())
        tokens += float(np.minimum(length - done, size)[going].sum())
        done = min(done + size, sums.shape[2] - 1)
        going &= (length > done) & (lows[:, warmup:, done] >= threshold)
    return Pieces(tokens=tokens / runs, pieces=written / runs, read_again=again / runs)


STRATEGIES: tuple[Strategy, ...] = (EarlyCut(),)
