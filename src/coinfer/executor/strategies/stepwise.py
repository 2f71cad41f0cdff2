"""Solutions written step by step: going on from prefixes, having every prefix scored, and reading the answer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Reply, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.session import Answer, Step, user
from coinfer.executor.strategies.strategy import Prompt, estimated_tokens

SEPARATOR = "\n\n"
"""What ends a step where nothing else is said."""
END_MARKS = ("\\boxed{", "####", "The answer is ")
"""A step that holds one of these is the last of its solution."""
UNSCORED = 0.5
"""Score of a solution of which no score is known: no evidence either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A solution so far.

    Attributes
    ----------
    steps
        Its steps, each with the separator that ended it; joined they are the prefix that is gone on from.
    scores
        Reward of the solution after each step, (steps,).
    lengths
        Tokens of each step, (steps,).
    ended
        Whether it is a whole solution.
    """

    steps: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    ended: bool = False

    @property
    def text(self) -> str:
        """The solution as one text."""
        return "".join(self.steps)

    @property
    def tokens(self) -> int:
        """Tokens generated for it."""
        return sum(self.lengths)

    @property
    def score(self) -> float:
        """Score after the last step."""
        return self.scores[-1] if self.scores else UNSCORED


Paths = Generator[Step, tuple[Reply, ...], list[Path]]
Groups = Generator[Step, tuple[Reply, ...], list[list[Path]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRule:
    """Where a step ends, and a solution.

    Attributes
    ----------
    separator
        Text that ends a step.
    step_tokens
        Tokens of a step; then there is no separator. ``None``: the separator rules.
    end_marks
        Texts of which one is in the last step. An endpoint does not say whether a completion ended at the separator or
        by itself; a solution without a mark is found to be whole by one more call that writes nothing.
    rounds
        Most steps of a solution.

    Raises
    ------
    RequestError
        If a step could have no end.
    """

    separator: str = SEPARATOR
    step_tokens: int | None = None
    end_marks: tuple[str, ...] = END_MARKS
    rounds: int = 40

    def __post_init__(self) -> None:
        if (self.step_tokens is None and not self.separator) or (self.step_tokens or 1) < 1 or self.rounds < 1:
            raise RequestError("steps", expected="a separator or tokens, and at least one round", found=self.rounds)

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end a completion."""
        return (self.separator,) if self.step_tokens is None else ()

    def grown(self, path: Path, completion: Completion, max_tokens: int) -> Path:
        """Return a path with one more step; the same path, ended, where nothing more was written."""
        tokens = path.tokens + completion.output_tokens
        stopped = completion.finish == "stop"
        if not completion.text:
            return replace(path, ended=True)
        by_itself = stopped and self.step_tokens is not None
        ended = by_itself or tokens >= max_tokens or any(mark in completion.text for mark in self.end_marks)
        separated = stopped and not ended
        step = completion.text + self.separator if separated else completion.text
        lengths = (*path.lengths, completion.output_tokens)
        return replace(path, steps=(*path.steps, step), lengths=lengths, ended=ended)


class Allowance:
    """What a session may still have written and read: it holds the worst case whatever the replies are.

    Parameters
    ----------
    written_tokens
        Tokens that may be generated.
    scored_tokens
        Tokens of solutions that the reward model may read.
    """

    def __init__(self, *, written_tokens: float, scored_tokens: float) -> None:
        self._written, self._scored = written_tokens, scored_tokens

    def step_tokens(self, completions: int) -> int:
        """Return the most tokens that each of so many completions may have."""
        return int(self._written // max(completions, 1))

    def write(self, tokens: int) -> None:
        """Charge tokens generated."""
        self._written -= tokens

    def score(self, tokens: float) -> bool:
        """Charge tokens to be scored; False where they are too many, and nothing is charged."""
        if tokens > self._scored:
            return False
        self._scored -= tokens
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes and scores the steps of one session.

    Attributes
    ----------
    prompt
        What is answered.
    rule
        Where steps end.
    allowance
        What is left.
    """

    prompt: Prompt
    rule: StepRule
    allowance: Allowance

    def extended(self, parents: Sequence[Path], counts: Sequence[int], *, temperature: float) -> Groups:
        """Ask for one more step of each parent, so many times; ``yield from`` it.

        Returns
        -------
        list of list of Path
            Children of each parent, fewer than asked for where completions are missing.
        """
        most = self.allowance.step_tokens(sum(counts))
        own = self.rule.step_tokens or self.prompt.max_tokens
        asked = [min(most, own, self.prompt.max_tokens - parent.tokens) for parent in parents]
        going = [i for i, tokens in enumerate(asked) if tokens >= 1]
        children: list[list[Path]] = [[] for _ in parents]
        if not going:
            return children
        asks = tuple(
            Sample(
                messages=user(self.prompt.text),
                max_tokens=asked[i],
                count=counts[i],
                temperature=temperature,
                prefix=parents[i].text,
                stop=self.rule.stop,
            )
            for i in going
        )
        replies = yield Step(asks=asks)
        for i, reply in zip(going, replies, strict=True):
            for each in reply.completions if isinstance(reply, Sampled) else ():
                self.allowance.write(each.output_tokens)
                child = self.rule.grown(parents[i], each, self.prompt.max_tokens)
                if len(child.steps) > len(parents[i].steps) or child.text not in {one.text for one in children[i]}:
                    children[i].append(child)  # a solution found to be whole is one candidate, not one for each call
        return children

    def scored(self, paths: Sequence[Path]) -> Paths:
        """Ask for the reward of every path that has a step without one; ``yield from`` it.

        A path whose reward is missing, or no number, keeps the score that it had a step before.
        """
        new = [i for i, path in enumerate(paths) if len(path.steps) > len(path.scores)]
        found: dict[int, float] = {}
        if new and self.allowance.score(sum(estimated_tokens(paths[i].text) for i in new)):
            answers = tuple(paths[i].steps for i in new)
            (reply,) = yield Step(asks=(Score(messages=user(self.prompt.text), answers=answers),))
            if isinstance(reply, Scored):
                found = {i: each[-1] for i, each in zip(new, reply.scores, strict=False) if each}
        return [
            path if len(path.steps) == len(path.scores) else _with_score(path, found.get(i))
            for i, path in enumerate(paths)
        ]


def _with_score(path: Path, score: float | None) -> Path:
    """Return a path scored up to its last step; steps that nobody scored have the score before them."""
    last = score if score is not None and math.isfinite(score) else path.score
    before = (path.score,) * (len(path.steps) - len(path.scores) - 1)
    return replace(path, scores=(*path.scores, *before, last))


def shares(total: int, parts: int) -> list[int]:
    """Return ``total`` in ``parts`` whole numbers that differ by one at most, the larger ones first.

    >>> shares(10, 4)
    [3, 3, 2, 2]
    """
    least, more = divmod(total, parts)
    return [least + (i < more) for i in range(parts)]


def chosen_answer(
    prompt: Prompt,
    paths: Sequence[Path],
    weights: Sequence[float],
    *,
    vote: bool,
    separator: str,
    details: dict[str, float],
) -> Answer:
    """Return the answer with the largest sum of weights, or of the path with the largest weight.

    Parameters
    ----------
    prompt
        Whose answers are read.
    paths, weights
        Candidates and their weights, from 0 up.
    vote
        True for sums over paths with the same answer (weighted best-of-N; Li et al. 2206.02336); the text is then the
        heaviest path's with that answer. Paths without an answer have no vote, and are handed out only if all are so.
    separator
        Cut off the end of the text.
    details
        Figures of the answer.
    """
    votes: defaultdict[str, float] = defaultdict(float)
    texts = [path.text.removesuffix(separator) for path in paths]
    values = [prompt.answer_of(text) for text in texts]
    for value, weight in zip(values, weights, strict=True):
        if value is not None:
            votes[value] += weight
    if not paths:
        return Answer(text=None, details=details)
    order = sorted(range(len(paths)), key=lambda i: -weights[i])
    answered = [i for i in order if values[i] is not None]
    best = (answered or order)[0]
    if vote and answered:
        most = max(votes.values())
        best = next(i for i in answered if votes[values[i] or ""] == most)
    return Answer(text=texts[best], value=values[best], votes=dict(votes), details=details)
