"""Samples until one is accepted: by unit tests in the sandbox, or by a verifier's score."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from coinfer.executor.backends.base import Completion
from coinfer.executor.checkers.programs import program_of
from coinfer.executor.strategies.agents import MOST_SAMPLES, number, whole
from coinfer.executor.strategies.ask import ANSWER, REWARD, SANDBOX, Ran, Reply, RunProgram, Score, Scored
from coinfer.executor.strategies.reward import steps_of
from coinfer.executor.strategies.session import Answer, Session, Step, sampled, user
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption, Usage

TESTS = "tests"
"""Name in ``Prompt.extra``: tests in Python that may be looked at; in ``Prior.extra``: 1 where prompts have them."""
SIZES = ((2, 1), (4, 1), (8, 1), (8, 4), (16, 4), (32, 8))
"""Most samples, and how many are drawn at once."""
THRESHOLDS = (0.5, 0.8)
RUNS = 4000


class TestedBestOf:
    r"""Samples until one passes the tests that came with the prompt.

    Tests are those in ``Prompt.extra["tests"]``, which a user may see; the reference that grades is never read.
    Settings: ``samples`` (most), ``batch`` drawn at once. Value, where all prompts have tests
    (``Prior.extra["tests"]`` is 1; else no option): :math:`1 - (1 - p)^N`, as if what passes were right. Cost: samples
    are drawn in batches of b until one passes: with q = 1 - p, :math:`b \sum_{i < N/b} q^{bi}` samples, each run once,
    the prompt read once for each batch. Where none passes, the first sample is the answer.

    Notes
    -----
    Repeated sampling with a verifier: Brown et al. 2407.21787, section 2.
    """

    __test__ = False
    name = "tested_best_of"
    without = "the requests have no tests in extra.tests"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several sizes; none where prompts have no tests."""
        rate = prior.rate.get(ANSWER)
        if prior.extra.get(TESTS) != 1.0 or rate is None:
            return ()
        found = []
        for most, batch in SIZES:
            steps = _expected_steps(1.0 - rate, most, batch)
            found.append(
                StrategyOption(
                    strategy=self.name,
                    settings={"samples": float(most), "batch": float(batch)},
                    value=1.0 - (1.0 - rate) ** most,
                    expected={ANSWER: _drawn(prior, steps * batch, steps), SANDBOX: Usage(calls=steps * batch)},
                    worst={ANSWER: _worst(prior, most, most // batch), SANDBOX: Usage(calls=most)},
                    latency_s=None if prior.output_s is None else steps * prior.output_tokens * prior.output_s,
                    needs=frozenset({"completions", "sandbox"}),
                )
            )
        return tuple(found)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample a batch, run each with the tests, go on where none passes."""
        most = whole(option.settings, "samples", 1, MOST_SAMPLES)
        batch = whole(option.settings, "batch", 1, MOST_SAMPLES)
        tests = prompt.extra.get(TESTS, "")
        first: Completion | None = None
        for start in range(0, most, batch):
            found = yield from sampled(
                user(prompt.text),
                max_tokens=prompt.max_tokens,
                count=min(batch, most - start),
                temperature=prompt.temperature,
            )
            there = [each for each in found if each is not None]
            first = first or next(iter(there), None)
            if not there:
                continue
            words = [_word(prompt, each.text) for each in there]
            asks = [_program(each.text, tests, word) for each, word in zip(there, words, strict=True)]
            replies: Sequence[Reply] = yield Step(asks=tuple(asks))
            for each, word, reply in zip(there, words, replies, strict=True):
                if isinstance(reply, Ran) and reply.ended == "ok" and reply.stdout.rstrip("\n").endswith(f"\n{word}"):
                    return _answer(prompt, each, {"samples": float(start + len(there)), "passed": 1.0})
        return Answer(text=None) if first is None else _answer(prompt, first, {"samples": float(most), "passed": 0.0})


class AcceptedBestOf:
    r"""Samples until the verifier's score of one passes a threshold; else the best score of all.

    The role ``reward`` is a trained verifier, a reward model, or a function of the user's. Settings: ``samples``
    (most), ``batch`` drawn at once, ``threshold``. Value and cost: over :data:`RUNS` draws of the scored samples of a
    pilot (``Prior.scorer``); each sample is written once and read once by the verifier, with the prompt.

    Notes
    -----
    Best-of-N with a verifier (Cobbe et al. 2110.14168), stopped at the first that is good enough.
    """

    name = "accepted_best_of"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several sizes at each threshold."""
        return tuple(self._option(prior, most, batch, threshold) for most, batch in SIZES for threshold in THRESHOLDS)

    def _option(self, prior: Prior, most: int, batch: int, threshold: float) -> StrategyOption:
        value, steps = _simulated(prior, most, batch, threshold)
        count = steps * batch
        drawn = _drawn(prior, count, steps)
        return StrategyOption(
            strategy=self.name,
            settings={"samples": float(most), "batch": float(batch), "threshold": threshold},
            value=value,
            expected={
                ANSWER: drawn,
                REWARD: Usage(
                    calls=count, prompt_tokens=count * prior.prompt_tokens, output_tokens=drawn.output_tokens
                ),
            },
            worst={
                ANSWER: _worst(prior, most, most // batch),
                REWARD: Usage(
                    calls=most, prompt_tokens=most * prior.prompt_tokens, output_tokens=most * float(prior.max_tokens)
                ),
            },
            latency_s=None if prior.output_s is None else steps * prior.output_tokens * prior.output_s,
            needs=frozenset({"completions", "reward"}),
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample a batch, score it, go on where none is good enough."""
        most = whole(option.settings, "samples", 1, MOST_SAMPLES)
        batch = whole(option.settings, "batch", 1, MOST_SAMPLES)
        threshold = number(option.settings, "threshold", -1e300, 1e300)
        best: tuple[float, Completion] | None = None
        for start in range(0, most, batch):
            found = yield from sampled(
                user(prompt.text),
                max_tokens=prompt.max_tokens,
                count=min(batch, most - start),
                temperature=prompt.temperature,
            )
            there = [each for each in found if each is not None]
            if not there:
                continue
            ask = Score(messages=user(prompt.text), answers=tuple(steps_of(each.text) for each in there))
            (reply,) = yield Step(asks=(ask,))
            scored = isinstance(reply, Scored) and len(reply.scores) == len(there)
            rewards = [each[-1] if each else 0.0 for each in reply.scores] if scored else [0.0] * len(there)  # type: ignore[union-attr]
            for reward, each in zip(rewards, there, strict=True):
                if best is None or reward > best[0]:
                    best = reward, each
            if best is not None and best[0] >= threshold:
                break
        if best is None:
            return Answer(text=None)
        return _answer(prompt, best[1], {"reward": best[0]})


def _answer(prompt: Prompt, completion: Completion, details: dict[str, float]) -> Answer:
    return Answer(text=completion.text, value=prompt.answer_of(completion.text), details=details)


def _word(prompt: Prompt, text: str) -> str:
    """Return what the tests print in the end; a program does not know the hash of the text that it stands in."""
    return hashlib.sha256(f"{prompt.id}\0{text}".encode(errors="replace")).hexdigest()


def _program(text: str, tests: str, word: str) -> RunProgram:
    return RunProgram(source=f"{program_of(text) or ''}\n\n{tests}\n\nprint(); print({word!r})\n")


def _expected_steps(fails: float, most: int, batch: int) -> float:
    return float(sum(fails ** (batch * i) for i in range(most // batch)))


def _simulated(prior: Prior, most: int, batch: int, threshold: float) -> tuple[float | None, float]:
    """Return value and expected batches; all of them where nothing is known of the scores."""
    if not prior.scorer:
        return None, most / batch
    pairs = np.array(prior.scorer)
    drawn = pairs[np.random.default_rng(most).integers(len(pairs), size=(RUNS, most // batch, batch))]
    tops = drawn[..., 0].max(axis=2)
    stopped = tops >= threshold
    steps = np.where(stopped.any(axis=1), stopped.argmax(axis=1) + 1, most // batch)
    seen = np.arange(most // batch)[None, :] < steps[:, None]
    scores = np.where(seen[..., None], drawn[..., 0], -np.inf).reshape(RUNS, -1)
    right = np.take_along_axis(drawn[..., 1].reshape(RUNS, -1), scores.argmax(axis=1)[:, None], axis=1)
    return float(right.mean()), float(steps.mean())


def _drawn(prior: Prior, samples: float, steps: float) -> Usage:
    return Usage(calls=samples, prompt_tokens=steps * prior.prompt_tokens, output_tokens=samples * prior.output_tokens)


def _worst(prior: Prior, samples: int, steps: int) -> Usage:
    return Usage(
        calls=samples, prompt_tokens=steps * prior.prompt_tokens, output_tokens=samples * float(prior.max_tokens)
    )


STRATEGIES: tuple[Strategy, ...] = (TestedBestOf(), AcceptedBestOf())
