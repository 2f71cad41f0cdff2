"""Votes: completions with weights, counted by the answer in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.session import Answer
from coinfer.executor.strategies.strategy import Prompt


def weighted_answer(
    prompt: Prompt,
    found: Sequence[tuple[Completion, float]],
    *,
    details: Mapping[str, float] | None = None,
) -> Answer:
    """Return the answer with the most weight, in the completion of it that weighs most; ties go to the first.

    Parameters
    ----------
    prompt
        Whose extractor reads the answers.
    found
        Completions with weights of at least 0. Those without an answer count only where none has one.
    details
        For the answer.
    """
    if not found:
        return Answer(text=None, details=details or {})
    votes: dict[str, float] = {}
    best: dict[str, tuple[float, str]] = {}
    for completion, weight in found:
        value = prompt.answer_of(completion.text)
        if value is None:
            continue
        votes[value] = votes.get(value, 0.0) + weight
        if value not in best or weight > best[value][0]:
            best[value] = (weight, completion.text)
    if not votes:
        text = max(found, key=lambda pair: pair[1])[0].text
        return Answer(text=text, details=details or {})
    value = max(votes, key=lambda name: votes[name])
    total = sum(votes.values())
    return Answer(
        text=best[value][1],
        value=value,
        confidence=votes[value] / total if total > 0.0 else None,
        votes=votes,
        details=details or {},
    )
