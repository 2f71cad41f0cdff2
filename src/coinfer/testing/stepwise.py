"""A simulated world of solutions in steps: right only if every step is, and a reward model that sees it dimly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.stepwise import SEPARATOR
from coinfer.executor.strategies.strategy import CHARACTERS_PER_TOKEN, Prompt, Strategy, StrategyOption, Usage
from coinfer.testing.strategies import MARK, Respond, drive

WRONG = "wrong"


class StepWorld:
    """A model that solves in steps and one that scores prefixes.

    Parameters
    ----------
    steps
        Steps of every solution.
    rate
        Chance that one step is right, whatever stands before it. The answer is "0" if all are, else one of its own.
    step_tokens
        Mean tokens of a step with the separator after it: from half to three halves, at least 16.
    separation
        d: the log-odds of a prefix's reward are normal with deviation 1 around d where every step of it is right, and
        around -d where one is wrong. 0: the reward says nothing. The same prefix has the same reward; two prefixes,
        also one and its continuation, have independent noise, which is kind to a search: it can see its errors later.
    seed
        Of all draws.
    """

    def __init__(self, *, steps: int, rate: float, step_tokens: int, separation: float, seed: int = 0) -> None:
        assert step_tokens >= 16
        self._steps, self._rate, self._tokens = steps, rate, step_tokens
        self._separation, self._seed, self._random = separation, seed, np.random.default_rng(seed)

    def __call__(self, ask: Ask) -> Reply:
        """Return a reply: one step where there is a stop, else all that are left."""
        if isinstance(ask, Sample):
            return Sampled(completions=tuple(self._completion(ask) for _ in range(ask.count)))
        if isinstance(ask, Score):
            return Scored(scores=tuple(self._scores(steps) for steps in ask.answers))
        return Missing(why="failed", reason="nobody here does that")

    def _completion(self, ask: Sample) -> Completion:
        done, wrong = ask.prefix.count(SEPARATOR), WRONG in ask.prefix
        if MARK in ask.prefix:
            return Completion(text="", output_tokens=1, finish="stop", logprobs=None)
        text, written = "", 0
        for step in range(done, min(done + 1, self._steps) if ask.stop else self._steps):
            length = int(self._random.integers(self._tokens - self._tokens // 2, self._tokens + self._tokens // 2 + 1))
            right = self._random.random() < self._rate
            wrong = wrong or not right
            last = step == self._steps - 1
            end = f" {MARK}{'u' + str(self._random.integers(10**9)) if wrong else '0'}." if last else SEPARATOR
            said = "right " if right else f"{WRONG} "
            mark = f"{self._random.integers(10**6):x} "  # two steps are never the same text
            room = int(length * CHARACTERS_PER_TOKEN) - len(said) - len(mark) - len(end)
            text += said + mark + "w" * max(0, room) + end
            written += length
        if written > ask.max_tokens:
            cut = text[: int(ask.max_tokens * CHARACTERS_PER_TOKEN)]
            return Completion(text=cut, output_tokens=ask.max_tokens, finish="length", logprobs=None)
        text = text.removesuffix(SEPARATOR) if ask.stop else text
        return Completion(text=text, output_tokens=written, finish="stop", logprobs=None)

    def _scores(self, steps: tuple[str, ...]) -> tuple[float, ...]:
        prefixes = ("".join(steps[: i + 1]) for i in range(len(steps)))
        return tuple(self._reward(prefix) for prefix in prefixes)

    def _reward(self, prefix: str) -> float:
        digest = hashlib.sha256(f"{self._seed}/{prefix}".encode()).digest()
        noise = NormalDist().inv_cdf((int.from_bytes(digest[:6], "big") + 0.5) / 2**48)
        odds = noise + (-self._separation if WRONG in prefix else self._separation)
        return float(1.0 / (1.0 + np.exp(-odds)))


def mean_run(
    strategy: Strategy, option: StrategyOption, prompt: Prompt, world: Callable[[int], Respond], *, runs: int
) -> tuple[float, dict[str, Usage]]:
    """Return the share of right answers ("0"), and the mean of what was charged by role, over worlds 0, 1, ..."""
    right, charged = 0, dict[str, Usage]()
    for seed in range(runs):
        asked = replace(prompt, id=f"{prompt.id}{seed}")
        done = drive(strategy.start(asked, option), world(seed))
        right += done.answer.value == "0"
        for role, used in done.usage.items():
            charged[role] = charged.get(role, Usage()).plus(used)
    return right / runs, {role: used.times(1.0 / runs) for role, used in charged.items()}
