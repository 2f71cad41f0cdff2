"""Rows: last letters, 500 questions with 40 recorded answers each; the real sessions, replayed in random orders."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.budget_claim_data import DATA
from benchmarks.common import Row
from coinfer.executor.backends.base import Completion
from coinfer.executor.checkers import CHECKERS
from coinfer.executor.strategies.ask import ANSWER, Ask, Reply, Sample, Sampled
from coinfer.executor.strategies.strategy import Prompt, Strategy, StrategyOption
from coinfer.executor.strategies.votes import AdaptiveConsistency, EarlyStopping, SelfConsistency
from coinfer.testing.strategies import drive

VOTES = 40
FILE = "last_letters_gpt35_40votes.jsonl"
POINTS, MOST = 0.2, 7.0
"""Accuracy that may be lost, in points, and samples that may be taken."""
CANDIDATES: tuple[tuple[Strategy, dict[str, float]], ...] = (
    *((SelfConsistency(), {"samples": float(count)}) for count in (5, 7)),
    *((EarlyStopping(), {"samples": 40.0, "window": float(window)}) for window in (3, 4, 5)),
    *(
        (AdaptiveConsistency(), {"samples": 40.0, "threshold": threshold, "dirichlet": dirichlet})
        for dirichlet in (0.0, 1.0)
        for threshold in (0.9, 0.93, 0.95, 0.97)
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    prompt: Prompt
    right: str
    answers: tuple[Completion, ...]


class _Line(msgspec.Struct, frozen=True):
    question: str
    answer: str
    generated_answer: list[str]


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows: each rule on the half of the questions that it was not chosen on."""
    began = time.perf_counter()
    shuffles = 3 if quick else 20
    questions = _questions()
    halves = questions[::2], questions[1::2]
    yield _row("all 40 votes", *_mean(SelfConsistency(), {"samples": float(VOTES)}, questions, 1), None, began)
    doubled = [_doubling(question, random) for random in _orders(shuffles) for question in questions]
    reached, taken = np.mean(doubled, axis=0)
    yield _row("its_hub's rule, restated: 2, 4, 8 .. at 75 %", float(reached), float(taken), None, began)
    full = [_mean(SelfConsistency(), {"samples": float(VOTES)}, half, 1)[0] for half in halves]
    for strategy in (EarlyStopping, AdaptiveConsistency):
        own = [each for each in CANDIDATES if isinstance(each[0], strategy)]
        found = []
        for learnt, (scored, every) in zip(halves, zip(halves[::-1], full[::-1], strict=True), strict=True):
            best = max(own, key=lambda each: _merit(*_mean(*each, learnt, shuffles)))
            reached, taken = _mean(*best, scored, shuffles)
            found.append((every - reached, taken))
        lost, taken = np.mean(found, axis=0)
        yield Row(
            claim=f"{strategy.name}: accuracy lost",
            instance="chosen on the other half",
            figure=100.0 * float(lost),
            unit="points",
            target=POINTS,
            holds=bool(100.0 * lost <= POINTS and taken <= MOST),
            peer=f"{taken:.2f} samples, at most {MOST:g} allowed",
            seconds=time.perf_counter() - began,
        )
    for candidate in CANDIDATES:
        named = ", ".join(f"{key} {value:g}" for key, value in candidate[1].items())
        yield _row(f"{candidate[0].name} ({named})", *_mean(*candidate, questions, shuffles), None, began)


def _merit(reached: float, taken: float) -> float:
    """Return what a rule is chosen by: accuracy, among those that take few enough samples."""
    return reached if taken <= MOST else reached - 1.0


def _row(claim: str, reached: float, taken: float, target: float | None, began: float) -> Row:
    return Row(
        claim=claim,
        instance="500 questions",
        figure=100.0 * reached,
        unit="%",
        target=target,
        holds=None,
        peer=f"{taken:.2f} samples",
        seconds=time.perf_counter() - began,
    )


def _questions() -> list[_Question]:
    path = DATA / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{FILE} is absent")
    read = CHECKERS["text"].answer_of
    found = []
    for number, line in enumerate(path.read_bytes().splitlines()):
        item = msgspec.json.decode(line, type=_Line)
        answers = tuple(
            Completion(text=text, output_tokens=max(1, len(text) // 4), finish="stop", logprobs=None)
            for text in item.generated_answer
        )
        prompt = Prompt(id=str(number), text=item.question, max_tokens=512, answer_of=read, temperature=0.7)
        found.append(_Question(prompt=prompt, right=item.answer.lower(), answers=answers))
    return found


def _orders(shuffles: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(shuffles)]


def _mean(
    strategy: Strategy, settings: dict[str, float], questions: Sequence[_Question], shuffles: int
) -> tuple[float, float]:
    """Return accuracy and samples taken."""
    option = StrategyOption(strategy=strategy.name, settings=settings, value=None, expected={}, worst={})
    right, taken = 0, 0.0
    for random in _orders(shuffles):
        for question in questions:
            left = iter([question.answers[i] for i in random.permutation(len(question.answers))])

            def respond(ask: Ask, left: Iterator[Completion] = left) -> Reply:
                assert isinstance(ask, Sample)  # votes ask for nothing else
                return Sampled(completions=tuple(next(left) for _ in range(ask.count)))

            done = drive(strategy.start(question.prompt, option), respond)
            right += done.answer.value == question.right
            taken += done.usage[ANSWER].calls
    total = shuffles * len(questions)
    return right / total, taken / total


def _doubling(question: _Question, random: np.random.Generator) -> tuple[bool, int]:
    order = [question.answers[i] for i in random.permutation(len(question.answers))]
    count = 2
    while True:
        votes = Counter(question.prompt.answer_of(each.text) for each in order[:count])
        answer, most = votes.most_common(1)[0]
        if most / count >= 0.75 or count >= VOTES:
            return answer == question.right, count
        count = min(2 * count, VOTES)
