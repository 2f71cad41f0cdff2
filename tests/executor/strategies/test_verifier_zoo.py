"""A verifier trained on what a bundled model answered chooses better among its answers to questions it has not seen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from coinfer.errors import InputError
from coinfer.executor.backends.base import CompletionRequest
from coinfer.executor.backends.transformers import TransformersBackend
from coinfer.executor.strategies.ask import REWARD, Ask, Missing, Reply, Sample, Sampled, Score
from coinfer.executor.strategies.registry import option_to_run, strategy_named
from coinfer.executor.strategies.scorers import Verifier
from coinfer.executor.strategies.session import user
from coinfer.executor.strategies.strategy import Prompt
from coinfer.executor.verifier.frozen import FrozenModel
from coinfer.executor.verifier.model import TrainedVerifier, read_verifier, write_verifier
from coinfer.executor.verifier.outcomes import Outcome, examples_of
from coinfer.executor.verifier.report import VerifierReport
from coinfer.executor.verifier.training import train
from coinfer.testing.strategies import drive
from coinfer.zoo import tasks

CATEGORY, SAMPLES = "sort", 8
READER = "zoo:generalist-small"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Samples and greedy completions of tasks, replayed to sessions; rewards are asked of a verifier."""

    texts: dict[str, tuple[Sampled, Sampled]]
    verifier: Verifier

    def __call__(self, ask: Ask) -> Reply:
        """Reply from what was recorded."""
        if isinstance(ask, Score):
            return asyncio.run(self.verifier.serve(ask, seed=0)).reply
        if not isinstance(ask, Sample):
            return Missing(why="failed")
        sampled, greedy = self.texts[ask.messages[-1].content]
        found = greedy if ask.temperature == 0.0 else sampled
        return Sampled(completions=found.completions[: ask.count])


def drawn(split: tasks.Split, count: int, seed: int) -> list[tasks.Task]:
    """Return different tasks."""
    random = np.random.default_rng(seed)
    return list(tasks.sample_tasks(random, count=count, categories=(CATEGORY,), split=split, distinct=True))


def answered(model: TransformersBackend, questions: Sequence[tasks.Task]) -> dict[str, tuple[Sampled, Sampled]]:
    """Sample answers of the tiny generalist."""

    async def run() -> dict[str, tuple[Sampled, Sampled]]:
        found = {}
        for i, task in enumerate(questions):
            many = CompletionRequest(prompt=task.prompt, max_tokens=9, temperature=0.8, samples=SAMPLES, seed=i)
            replies = [
                await model.complete(each) for each in (many, CompletionRequest(prompt=task.prompt, max_tokens=9))
            ]
            sampled, greedy = (Sampled(completions=reply.completions) for reply in replies)
            found[task.prompt] = (sampled, greedy)
        return found

    return asyncio.run(run())


@pytest.fixture(scope="module")
def writer() -> TransformersBackend:
    """Return the model that answers."""
    return TransformersBackend("zoo:generalist-tiny", device="cpu")


@pytest.fixture(scope="module")
def trained(writer: TransformersBackend) -> tuple[TrainedVerifier, VerifierReport]:
    """Return a verifier that reads what the small generalist makes of answers, trained on training tasks."""
    found = answered(writer, drawn("train", 120, seed=1))
    outcomes = [
        Outcome(prompt=prompt, text=text, correct=float(tasks.is_correct(CATEGORY, prompt, text)))
        for prompt, (sampled, _) in found.items()
        for text in sampled.texts
    ]
    return train(examples_of(outcomes), model=READER)


def accuracies(
    world: Recorded, questions: Sequence[tasks.Task], *named: tuple[str, dict[str, float]]
) -> list[np.ndarray]:
    """Return which tasks each option answers right."""
    found = []
    for name, settings in named:
        option = option_to_run(name, settings)
        texts = [
            drive(strategy_named(name).start(Prompt(id=task.prompt, text=task.prompt, max_tokens=9), option), world)
            for task in questions
        ]
        right = [
            tasks.is_correct(CATEGORY, t.prompt, each.answer.text or "")
            for t, each in zip(questions, texts, strict=True)
        ]
        found.append(np.array(right, dtype=np.float64))
    return found


def test_choosing_by_the_verifier_is_right_more_often_than_one_answer_and_than_votes(
    writer: TransformersBackend, trained: tuple[TrainedVerifier, VerifierReport]
) -> None:
    """On held-out digits to be sorted each reward strategy of 8 samples beats one greedy answer and the vote of 8."""
    verifier, report = trained
    assert report.auc_within is not None
    assert report.auc_within.low > 0.5
    assert abs(report.overconfidence.value) < 0.15
    questions = drawn("evaluation", 100, seed=2)
    world = Recorded(answered(writer, questions), Verifier(verifier))
    scored = {"samples": float(SAMPLES), "aggregate": 0.0}
    single, vote, *chosen = accuracies(
        world,
        questions,
        ("single", {}),
        ("self_consistency", {"samples": float(SAMPLES)}),
        ("reward_best_of", scored),
        ("weighted_best_of", scored),
        ("verifier_vote", scored),
    )
    for own in chosen:
        assert own.mean() > single.mean()
        assert own.mean() > vote.mean()


def test_a_verifier_that_reads_a_language_model_is_the_same_once_read_again(
    trained: tuple[TrainedVerifier, VerifierReport], tmp_path: Path
) -> None:
    """Scores are equal; with another language model behind it, it is refused."""
    verifier, report = trained
    pairs = [("s:3121=", ("1123",)), ("s:3121=", ("1132",)), ("", ("5\n\n", "6"))]
    write_verifier(tmp_path, verifier, report)
    again = read_verifier(tmp_path).chances(pairs)
    assert again == [pytest.approx(each, abs=1e-5) for each in verifier.chances(pairs)]
    assert again[0][0] > again[1][0]
    other = TrainedVerifier(
        shape=verifier.shape, modules=verifier.modules, temperature=1.0, base=FrozenModel("zoo:generalist-tiny")
    )
    path = write_verifier(tmp_path, other, report)
    text = (tmp_path / "verifier.json").read_text()
    (tmp_path / "verifier.json").write_text(text.replace(path.model or "", READER))
    with pytest.raises(InputError, match="trained on"):
        read_verifier(tmp_path)


def test_what_a_verifier_reads_is_metered(trained: tuple[TrainedVerifier, VerifierReport]) -> None:
    """The question counts for each answer; what is charged is what was set aside."""
    provider = Verifier(trained[0])
    recorded = Recorded({}, provider)
    ask = Score(messages=user("s:3121="), answers=(("5",), ("1", "23")), role=REWARD)
    assert (provider.worst(ask).tokens, provider.worst(ask).prompt_tokens) == (4, 14)
    assert recorded(ask) == asyncio.run(provider.serve(ask, seed=0)).reply
