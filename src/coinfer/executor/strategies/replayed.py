"""Strategies tried out on samples that a pilot has taken: no model is asked again.

A session that asks only for samples of the bare prompt, and for their scores, is sent those of the pilot, each sample
at most once. Of N samples any n in any order are as likely as n new ones, so what sessions reach in the mean is an
unbiased estimate (a U-statistic, Hoeffding 1948, here over random subsets), and so is what they take.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import REWARD, Ask, Missing, Reply, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.session import Step, user
from coinfer.executor.strategies.strategy import Measured, Prompt, Strategy, StrategyOption, Usage

RUNS = 8
"""Random orders of the samples for each prompt."""


class _NotRecordedError(Exception):
    """What is asked for was not sampled, or not scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What does not change from run to run: greedy completions by role, scores and lengths by text."""

    prompt: Prompt
    prompt_tokens: float
    greedy: Mapping[str, Completion]
    scores: Mapping[str, tuple[float, ...]] | None
    tokens: Mapping[str, float]
    odd: bool = False


def replayed(
    strategy: Strategy,
    option: StrategyOption,
    prompt: Prompt,
    recorded: Mapping[str, Sequence[Completion]],
    *,
    greedy: Mapping[str, Completion] | None = None,
    scores: Mapping[str, tuple[float, ...]] | None = None,
    right: Callable[[str], bool],
    prompt_tokens: float,
    runs: int = RUNS,
    seed: int = 0,
) -> Measured | None:
    """Return what an option reached and took; ``None`` where it asks for what was not sampled.

    Parameters
    ----------
    strategy, option, prompt
        The session.
    recorded
        Samples of the prompt at its own temperature and length, by role.
    greedy
        Its greedy completion, by role.
    scores
        Of the steps of samples, by their texts; absent: nothing was scored.
    right
        Whether a completion's text is right.
    prompt_tokens
        Of the prompt, as counted.
    runs, seed
        Random orders that are tried.
    """
    if not _asks_for_known_only(strategy, option, prompt, {*recorded, *(greedy or {})}, scored=scores is not None):
        return None
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    for each in itertools.chain.from_iterable(recorded.values()):
        lengths[each.text].append(each.output_tokens)
    tokens = {text: sum(own) / len(own) for text, own in lengths.items()}
    known = _Known(prompt=prompt, prompt_tokens=prompt_tokens, greedy=greedy or {}, scores=scores, tokens=tokens)
    random = np.random.default_rng(seed)
    total: defaultdict[str, Usage] = defaultdict(Usage)
    reached = 0
    for _ in range(runs):
        left = {role: iter([many[i] for i in random.permutation(len(many))]) for role, many in recorded.items()}
        session = strategy.start(prompt, option)
        try:
            step = next(session)
            while True:
                step = session.send(_replies(step, known, left, total))
        except StopIteration as end:
            reached += end.value.text is not None and right(end.value.text)
        except _NotRecordedError:
            return None
    usage = {role: used.times(1.0 / runs) for role, used in total.items()}
    return Measured(value=reached / runs, usage={role: usage.get(role, Usage()) for role in option.expected})


def _asks_for_known_only(
    strategy: Strategy, option: StrategyOption, prompt: Prompt, roles: set[str], *, scored: bool
) -> bool:
    """Return whether a session does with samples (and scores) where all differ and are unlikely, as with alike ones.

    Otherwise an option that asks for more only in such cases would be judged by the prompts where it does not.
    """
    numbers = map(_odd, itertools.count())  # all roles draw from it, so that none agree
    odd = dict.fromkeys(roles, numbers)
    greedy = {role: _odd(-1 - place) for place, role in enumerate(sorted(roles))}
    known = _Known(prompt=prompt, prompt_tokens=0.0, greedy=greedy, scores={} if scored else None, tokens={}, odd=True)
    session = strategy.start(prompt, option)
    total: defaultdict[str, Usage] = defaultdict(Usage)
    try:
        step = next(session)
        while True:
            step = session.send(_replies(step, known, odd, total))
    except StopIteration:
        return True
    except _NotRecordedError:
        return False


def _odd(number: int) -> Completion:
    return Completion(text=f"{number}", output_tokens=1, finish="stop", logprobs=(-30.0,))


def _replies(
    step: Step, known: _Known, left: Mapping[str, Iterator[Completion]], total: defaultdict[str, Usage]
) -> tuple[Reply, ...]:
    replies: list[Reply] = []
    for ask in step.asks:
        if step.enough is not None and replies and step.enough(tuple(replies)):
            replies += [Missing(why="enough")] * (len(step.asks) - len(replies))
            break
        if isinstance(ask, Score):
            reply, used = _scored(ask, known)
            replies.append(reply)
            total[ask.role] = total[ask.role].plus(used)
            continue
        found = _drawn(ask, known.prompt, left, known.greedy)
        replies.append(Sampled(completions=found))
        written = float(sum(each.output_tokens for each in found))
        role = ask.role if isinstance(ask, Sample) else ""
        used = Usage(calls=len(found), prompt_tokens=known.prompt_tokens, output_tokens=written)
        total[role] = total[role].plus(used)
    return tuple(replies)


def _scored(ask: Score, known: _Known) -> tuple[Scored, Usage]:
    """Return the recorded scores of whole samples, and what scoring them takes."""
    if known.scores is None or ask.role != REWARD or ask.messages != user(known.prompt.text):
        raise _NotRecordedError
    if known.odd:
        return Scored(scores=tuple((0.0,) * len(steps) for steps in ask.answers)), Usage()
    texts = ["".join(steps) for steps in ask.answers]
    found = [known.scores.get(text, ()) for text in texts]
    if any(len(own) != len(steps) for own, steps in zip(found, ask.answers, strict=True)):
        raise _NotRecordedError
    read = sum(known.tokens[text] for text in texts)
    count = len(texts)
    return Scored(scores=tuple(found)), Usage(
        calls=count, prompt_tokens=known.prompt_tokens * count, output_tokens=read
    )


def _drawn(
    ask: Ask, prompt: Prompt, left: Mapping[str, Iterator[Completion]], greedy: Mapping[str, Completion]
) -> tuple[Completion, ...]:
    """Return samples for an ask, taken from what is left, or the greedy completion, which is always the same."""
    if (
        not isinstance(ask, Sample)
        or ask.messages != user(prompt.text)
        or (ask.max_tokens, ask.prefix, ask.stop) != (prompt.max_tokens, "", ())
        or ask.temperature not in (prompt.temperature, 0.0)
    ):
        raise _NotRecordedError
    if ask.temperature == 0.0:
        found = (greedy[ask.role],) * ask.count if ask.role in greedy else ()
    else:
        found = tuple(each for _, each in zip(range(ask.count), left.get(ask.role, iter(())), strict=False))
    if len(found) < ask.count or (ask.logprobs and any(each.logprobs is None for each in found)):
        raise _NotRecordedError
    return found
