"""Searches over steps on bundled language models: one writes digits step by step, another one scores them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from coinfer import zoo
from coinfer.executor.backends.base import Capabilities, CompletionReply, CompletionRequest
from coinfer.executor.backends.transformers import TransformersBackend
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.beam import Beam
from coinfer.executor.strategies.particles import ParticleFilter
from coinfer.executor.strategies.stepwise import StepRule
from coinfer.executor.strategies.strategy import Prompt, StrategyOption
from coinfer.testing.strategies import drive
from coinfer.zoo.tasks import MAX_ANSWER_TOKENS, is_correct, sample_tasks

PROMPTS = 24
RULE = StepRule(step_tokens=1, rounds=MAX_ANSWER_TOKENS)
WHOLE = StepRule(step_tokens=MAX_ANSWER_TOKENS, rounds=1)


class Models:
    """The tiny generalist writes; the specialist in arithmetic scores by its least likely digit. Counts real tokens."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        torch = pytest.importorskip("torch")
        transformers = pytest.importorskip("transformers")
        self._torch, self._loop = torch, loop
        self._writer = TransformersBackend("zoo:generalist-tiny", device="cpu")
        judge = zoo.path("specialist-arithmetic")
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(judge)
        self._judge = transformers.AutoModelForCausalLM.from_pretrained(judge).eval()
        self._found: Capabilities = loop.run_until_complete(self._writer.probe())
        self._calls = 0
        self.tokens = 0

    def close(self) -> None:
        """Let go of the model."""
        self._loop.run_until_complete(self._writer.close())

    def __call__(self, ask: Ask) -> Reply:
        """Write or score."""
        if isinstance(ask, Sample):
            reply = self._written(ask)
            assert reply.prompt_tokens is not None
            self.tokens += reply.prompt_tokens + sum(each.output_tokens for each in reply.completions)
            return Sampled(completions=reply.completions)
        if isinstance(ask, Score):
            prompt = ask.messages[-1].content
            return Scored(scores=tuple(self._scores(prompt, "".join(steps), len(steps)) for steps in ask.answers))
        return Missing(why="failed")

    def _written(self, ask: Sample) -> CompletionReply:
        self._calls += 1
        prompt, prefix = ask.messages[-1].content, ask.prefix
        if not self._found.prefix:  # a model of plain text goes on from its prompt as it does from a prefix
            prompt, prefix = prompt + prefix, ""
        request = CompletionRequest(
            prompt=prompt,
            prefix=prefix,
            stop=ask.stop,
            max_tokens=ask.max_tokens,
            samples=ask.count,
            temperature=ask.temperature,
            seed=self._calls,
        )
        return self._loop.run_until_complete(self._writer.complete(request))

    def _scores(self, prompt: str, text: str, steps: int) -> tuple[float, ...]:
        """Return the chance of the least likely digit up to each step: one reading scores every step."""
        torch = self._torch
        ids = self._tokenizer(prompt + text, return_tensors="pt", return_token_type_ids=False)["input_ids"]
        self.tokens += int(ids.shape[1])
        with torch.inference_mode():
            chances = torch.softmax(self._judge(input_ids=ids).logits[0, :-1].float(), dim=-1)
            own = chances.gather(1, ids[0, 1:, None])[-len(text) :, 0] if text else torch.full((1,), 0.5)
        least: list[float] = torch.cummin(own, dim=0).values.tolist()
        return tuple(least[min(i * len(least) // steps, len(least)) - 1] for i in range(1, steps + 1))


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    """Return the bundled models, loaded once."""
    loop = asyncio.new_event_loop()
    made = Models(loop)
    yield made
    made.close()
    loop.close()


def accuracy(models: Models, strategy: Any, category: str, **settings: float) -> tuple[float, float]:
    """Return the share of held-out tasks that are answered right, and the mean tokens of a task."""
    option = StrategyOption(strategy=strategy.name, settings=settings, value=None, expected={}, worst={})
    tasks = sample_tasks(np.random.default_rng(5), count=PROMPTS, categories=[category], distinct=True)
    before, right = models.tokens, 0
    for i, task in enumerate(tasks):
        prompt = Prompt(id=f"{category}{i}", text=task.prompt, max_tokens=MAX_ANSWER_TOKENS, temperature=1.0)
        text = drive(strategy.start(prompt, option), models).answer.text
        right += text is not None and is_correct(category, task.prompt, text)
    return right / len(tasks), (models.tokens - before) / len(tasks)


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [(Beam(RULE), {"candidates": 16.0, "width": 4.0}), (ParticleFilter(RULE), {"particles": 16.0})],
)
def test_a_search_over_digits_is_right_more_often_than_one_completion_where_the_judge_knows_the_skill(
    models: Models, strategy: Beam | ParticleFilter, settings: dict[str, float]
) -> None:
    """Sums of the tiny generalist, scored by the specialist digit by digit: 20 points above single completions."""
    once, read_once = accuracy(models, Beam(WHOLE), "add", candidates=1.0, width=1.0)
    value, read = accuracy(models, strategy, "add", **settings)
    assert value >= once + 0.2
    assert read > 10 * read_once  # prefixes and scores are charged: it is no free gain


@pytest.mark.slow
def test_a_search_is_worth_nothing_where_the_judge_does_not_know_the_skill(models: Models) -> None:
    """Words reversed by the tiny generalist, scored by the specialist in arithmetic: hardly ever right."""
    value, _ = accuracy(models, Beam(RULE), "reverse", candidates=8.0, width=4.0)
    assert value <= 0.1
