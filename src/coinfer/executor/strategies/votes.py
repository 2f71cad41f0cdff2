"""Votes: a fixed number of samples, or as many as it takes until the leader is clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.agents import MOST_SAMPLES, number, vote_value, whole
from coinfer.executor.strategies.ask import ANSWER
from coinfer.executor.strategies.session import Answer, Session, sampled, user
from coinfer.executor.strategies.stops import Rule, Sure, Window, gain_per_vote, needed
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption, Usage
from coinfer.executor.strategies.tally import weighted_answer
from coinfer.solver.program import IntArray

COUNTS = (3, 5, 8, 16, 32)
WINDOWS = ((16, 3), (16, 4), (32, 4), (40, 4), (40, 5))
"""Most samples, and window."""
SURE = ((16, 0.9), (16, 0.95), (40, 0.9), (40, 0.95), (40, 0.99))
"""Most samples, and chance."""
RUNS, RUNS_DIRICHLET = 5000, 1000
"""Votes that are simulated for what a stopping rule takes and is worth."""


class SelfConsistency:
    """The most frequent answer of N samples.

    Settings: ``samples``. Value: of a plain vote, exact from ``Prior.answers``; it need not rise with N. Cost: N
    samples, the prompt read once.

    Notes
    -----
    Wang et al. 2203.11171.
    """

    name = "self_consistency"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of samples."""
        return tuple(
            _option(
                self.name,
                {"samples": float(count)},
                prior,
                samples=count,
                steps=1.0,
                most=count,
                most_steps=1,
                value=vote_value(prior, (ANSWER,) * count),
            )
            for count in COUNTS
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample all at once, and vote."""
        count = whole(option.settings, "samples", 1, MOST_SAMPLES)
        found = yield from sampled(
            user(prompt.text), max_tokens=prompt.max_tokens, count=count, temperature=prompt.temperature
        )
        return _decided(prompt, [each for each in found if each is not None])


class EarlyStopping:
    """Self-consistency in windows of w samples, stopped when all of a window agree.

    Settings: ``samples`` (most), ``window``. Value and cost: by :data:`RUNS` votes that are simulated from
    ``Prior.answers``; in each step the prompt is read once and w samples are written.

    Notes
    -----
    ESC, Li et al. 2401.10480, algorithm 1.
    """

    name = "early_stopping"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several sizes."""
        return tuple(
            _stopped_option(self.name, {"samples": float(most), "window": float(window)}, prior, most, Window(window))
            for most, window in WINDOWS
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample a window after the other."""
        window = whole(option.settings, "window", 2, MOST_SAMPLES)
        return _stopped(prompt, whole(option.settings, "samples", window, MOST_SAMPLES), Window(window))


class AdaptiveConsistency:
    """Self-consistency, stopped when the leader is the likeliest answer with at least a chance.

    Settings: ``samples`` (most), ``threshold``; ``dirichlet`` 0 against the second (Beta), 1 against all answers. So
    many samples are asked for at once as it takes at least until the rule can stop: it counts the same votes as one by
    one, in fewer steps. Each step after the first names its expected gain (that of the best number of further votes,
    for each vote), so that a price may stop it earlier.
    Value and cost: as :class:`EarlyStopping`.

    Notes
    -----
    Aggarwal et al. 2305.11860, sections 3.1 and 3.2.
    """

    name = "adaptive_consistency"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several sizes; against all answers for one of them."""
        found = [(most, threshold, 0.0) for most, threshold in SURE]
        return tuple(
            _stopped_option(
                self.name,
                {"samples": float(most), "threshold": threshold, "dirichlet": dirichlet},
                prior,
                most,
                Sure(threshold, bool(dirichlet)),
            )
            for most, threshold, dirichlet in (*found, (40, 0.95, 1.0))
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample until the leader is clear."""
        threshold = number(option.settings, "threshold", 0.0, 1.0)
        if threshold <= 0.5:  # without any vote the chance of a lead is a half: nothing would be asked
            raise RequestError("settings.threshold", expected="a number above 0.5, at most 1", found=threshold)
        rule = Sure(min(threshold, 1.0 - 1e-9), bool(whole(option.settings, "dirichlet", 0, 1)))
        return _stopped(prompt, whole(option.settings, "samples", 1, MOST_SAMPLES), rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a stopping rule is expected to take and be worth.

    Attributes
    ----------
    value
        Chance that the vote is right.
    samples, steps
        Votes counted, and steps in which they were asked for.
    """

    value: float
    samples: float
    steps: float


def _stopped(prompt: Prompt, most: int, rule: Rule) -> Session:
    found: list[Completion] = []
    latest, steps = 0, 0
    while len(found) < most:
        votes = _votes(prompt, found)
        more = min(needed(rule, votes, latest), most - len(found))
        if more == 0:
            break
        first, second = (*votes, 0, 0)[:2]
        batch = yield from sampled(
            user(prompt.text),
            max_tokens=prompt.max_tokens,
            count=more,
            temperature=prompt.temperature,
            gain=more * gain_per_vote(first, second, most - len(found)) if found else None,
        )
        came = [each for each in batch if each is not None]
        if not came:
            break
        steps += 1
        found += came
        latest = len(came) if len(_votes(prompt, came)) == 1 else 0
    answer = _decided(prompt, found)
    return Answer(
        text=answer.text,
        value=answer.value,
        confidence=answer.confidence,
        votes=answer.votes,
        details={"samples": float(len(found)), "steps": float(steps)},
    )


def _votes(prompt: Prompt, found: list[Completion]) -> tuple[int, ...]:
    """Return the votes of each answer, the most first; what has no answer is an answer of its own."""
    read = [prompt.answer_of(each.text) for each in found]
    counts = Counter(value for value in read if value is not None)
    return tuple(sorted((*counts.values(), *(1 for value in read if value is None)), reverse=True))


def _decided(prompt: Prompt, found: list[Completion]) -> Answer:
    return weighted_answer(prompt, [(each, 1.0) for each in found])


def _stopped_option(name: str, settings: Mapping[str, float], prior: Prior, most: int, rule: Rule) -> StrategyOption:
    expected = None if prior.answers is None else simulated(prior.answers, most, rule)
    least = needed(rule, (), 0)
    most_steps = -(-most // least) if isinstance(rule, Window) else 1 + max(0, most - least)
    return _option(
        name,
        settings,
        prior,
        samples=most if expected is None else expected.samples,
        steps=most_steps if expected is None else expected.steps,
        most=most,
        most_steps=most_steps,
        value=None if expected is None else expected.value,
    )


@lru_cache(maxsize=20_000)
def simulated(answers: tuple[float, ...], most: int, rule: Rule) -> Expected:
    """Return what a rule takes and is worth, over simulated votes; equal questions have equal random numbers.

    Parameters
    ----------
    answers
        Chances of the answers, the right one first; the rest are answers of their own.
    most
        Most votes.
    rule
        When to stop.
    """
    random = np.random.default_rng(most)
    runs = RUNS_DIRICHLET if isinstance(rule, Sure) and rule.dirichlet else RUNS
    drawn = np.searchsorted(np.cumsum(answers), random.random((runs, most)), side="right")
    drawn = np.where(drawn < len(answers), drawn, len(answers) + np.arange(most))
    counts = np.zeros((runs, len(answers) + most), dtype=np.int64)
    taken, steps, latest = (np.zeros(runs, dtype=np.int64) for _ in range(3))
    going = np.arange(runs)
    while len(going):
        more = np.minimum(_all_needed(rule, counts[going], latest[going]), most - taken[going])
        going, more = going[more > 0], more[more > 0]
        for size in np.unique(more):
            rows = going[more == size]
            batch = drawn[rows[:, None], taken[rows][:, None] + np.arange(size)]
            np.add.at(counts, (rows[:, None], batch), 1)
            latest[rows] = np.where((batch == batch[:, :1]).all(axis=1), size, 0)
        taken[going] += more
        steps[going] += 1
    ahead = counts == counts.max(axis=1)[:, None]
    return Expected(
        value=float((ahead[:, 0] / ahead.sum(axis=1)).mean()), samples=float(taken.mean()), steps=float(steps.mean())
    )


def _all_needed(rule: Rule, counts: IntArray, latest: IntArray) -> IntArray:
    """Return the further votes that each row needs at least, (rows,)."""
    if isinstance(rule, Window):
        return np.where(latest == rule.window, 0, rule.window)
    shown = -np.sort(-counts, axis=1)
    shown = shown[:, : max(2, int((shown > 0).sum(axis=1).max()))] if rule.dirichlet else shown[:, :2]
    states, place = np.unique(shown, axis=0, return_inverse=True)
    found = [needed(rule, tuple(count for count in state if count), 0) for state in states.tolist()]
    return np.array(found, dtype=np.int64)[place.ravel()]


def _option(
    name: str,
    settings: Mapping[str, float],
    prior: Prior,
    *,
    samples: float,
    steps: float,
    most: int,
    most_steps: int,
    value: float | None,
) -> StrategyOption:
    expected = Usage(
        calls=samples, prompt_tokens=steps * prior.prompt_tokens, output_tokens=samples * prior.output_tokens
    )
    worst = Usage(
        calls=most, prompt_tokens=most_steps * prior.prompt_tokens, output_tokens=most * float(prior.max_tokens)
    )
    return StrategyOption(
        strategy=name,
        settings=dict(settings),
        value=value,
        expected={ANSWER: expected},
        worst={ANSWER: worst},
        latency_s=None if prior.output_s is None else steps * prior.output_tokens * prior.output_s,
    )


STRATEGIES: tuple[Strategy, ...] = (SelfConsistency(), EarlyStopping(), AdaptiveConsistency())
