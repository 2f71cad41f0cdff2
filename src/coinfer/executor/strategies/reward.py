"""Strategies with a reward model: the best of N samples, answers weighed by what a verifier says of them."""

from __future__ import annotations

import math
from collections.abc import Generator

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.agents import MOST_SAMPLES, whole
from coinfer.executor.strategies.ask import ANSWER, REWARD, Reply, Score, Scored
from coinfer.executor.strategies.session import Answer, Session, Step, sampled, user
from coinfer.executor.strategies.strategy import Need, Prior, Prompt, Strategy, StrategyOption, Usage
from coinfer.executor.strategies.tally import weighted_answer
from coinfer.models.budget.curves.best_of import best_of

COUNTS = (2, 4, 8, 16, 32)
NEEDS: frozenset[Need] = frozenset({"completions", "reward"})
Scoring = Generator[Step, tuple[Reply, ...], tuple[tuple[Completion, float], ...]]
SEPARATOR = "\n\n"
"""Between the steps of a solution."""
AGGREGATES = {"last": 0.0, "min": 1.0, "product": 2.0}
"""Setting ``aggregate``: how the scores of steps become one (Snell, arXiv 2408.03314: the last is best)."""


def steps_of(text: str) -> tuple[str, ...]:
    """Cut a solution into its steps; each keeps what separates it from the next."""
    parts = text.split(SEPARATOR)
    return (*(part + SEPARATOR for part in parts[:-1]), parts[-1])


def aggregated(scores: tuple[float, ...], aggregate: float) -> float:
    """Return one reward for the scores of an answer's steps; 0 without any."""
    if not scores:
        return 0.0
    if aggregate == AGGREGATES["min"]:
        return min(scores)
    return math.prod(scores) if aggregate == AGGREGATES["product"] else scores[-1]


class RewardBestOf:
    """The sample with the best reward of N.

    Settings: ``samples``; ``aggregate`` 0 last, 1 min, 2 product. Value: exact from ``Prior.scorer``, the scored
    samples of a pilot (:func:`coinfer.models.budget.curves.best_of.best_of`, a U-statistic). Cost: N samples, the
    prompt read once, and N answers read by the reward model with the prompt.
    """

    name = "reward_best_of"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of samples with each aggregate; values are those of ``last``, for which pilots score."""
        return tuple(
            _option(self.name, prior, count, aggregate, _best_value(prior, count) if aggregate == 0.0 else None)
            for count in COUNTS
            for aggregate in AGGREGATES.values()
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample, score, take the best; where nothing is scored, the first."""
        found = yield from _scored(prompt, option)
        if not found:
            return Answer(text=None)
        best, reward = max(found, key=lambda pair: pair[1])
        return Answer(text=best.text, value=prompt.answer_of(best.text), confidence=_chance(reward))


class WeightedBestOf:
    """Best-of-N weighted: rewards are summed over the samples with one answer (Snell, arXiv 2408.03314).

    Settings: ``samples``; ``aggregate`` 0 last, 1 min, 2 product. Value: not known beforehand. Cost: as
    :class:`RewardBestOf`.
    """

    name = "weighted_best_of"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of samples with each aggregate."""
        return tuple(
            _option(self.name, prior, count, aggregate, None) for count in COUNTS for aggregate in AGGREGATES.values()
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample, score, sum by answer."""
        found = yield from _scored(prompt, option)
        return weighted_answer(prompt, [(each, max(reward, 0.0)) for each, reward in found])


class VerifierVote:
    r"""A vote whose weights are the log-odds of a verifier: two answers with doubts do not outvote a sure one.

    Each sample adds :math:`\max(\log\frac{r}{1-r}, 0)` to its answer: what a sample adds where verdicts are independent
    and calibrated; verdicts against an answer add nothing. Settings: ``samples``. Value: not known beforehand. Cost: as
    :class:`RewardBestOf`.
    """

    name = "verifier_vote"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of samples."""
        return tuple(_option(self.name, prior, count, 0.0, None) for count in COUNTS)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample, score, vote; where no verdict is for any answer, the best reward decides."""
        found = yield from _scored(prompt, option)
        weighed = [(each, max(_log_odds(reward), 0.0)) for each, reward in found]
        if not any(weight for _, weight in weighed):
            weighed = [(each, max(reward, 0.0)) for each, reward in found]
        return weighted_answer(prompt, weighed)


def _log_odds(reward: float) -> float:
    inside = min(max(reward, 1e-6), 1.0 - 1e-6)
    return math.log(inside / (1.0 - inside))


def _chance(reward: float) -> float | None:
    return reward if 0.0 <= reward <= 1.0 else None


def _scored(prompt: Prompt, option: StrategyOption) -> Scoring:
    """Sample and score; samples that were not scored are left out, unless none was: then all have reward 0."""
    found = yield from sampled(
        user(prompt.text),
        max_tokens=prompt.max_tokens,
        count=whole(option.settings, "samples", 1, MOST_SAMPLES),
        temperature=prompt.temperature,
    )
    there = [each for each in found if each is not None]
    if not there:
        return ()
    ask = Score(messages=user(prompt.text), answers=tuple(steps_of(each.text) for each in there))
    (reply,) = yield Step(asks=(ask,))
    if not isinstance(reply, Scored) or len(reply.scores) != len(there):
        return tuple((each, 0.0) for each in there)
    aggregate = float(whole({"aggregate": 0.0, **option.settings}, "aggregate", 0, 2))
    return tuple((each, aggregated(scores, aggregate)) for each, scores in zip(there, reply.scores, strict=True))


def _best_value(prior: Prior, count: int) -> float | None:
    """Return the chance that the best of some scored samples is right; ``None`` with fewer of them in the pilot."""
    pairs = prior.scorer
    if pairs is None or len(pairs) < count:
        return None
    scores, right = zip(*pairs, strict=True)
    return min(max(float(best_of(right, scores, [count])[0]), 0.0), 1.0)


def _option(name: str, prior: Prior, count: int, aggregate: float, value: float | None) -> StrategyOption:
    written, most = count * prior.output_tokens, count * float(prior.max_tokens)
    read = count * prior.prompt_tokens
    return StrategyOption(
        strategy=name,
        settings={"samples": float(count), "aggregate": aggregate},
        value=value,
        expected={
            ANSWER: Usage(calls=count, prompt_tokens=prior.prompt_tokens, output_tokens=written),
            REWARD: Usage(calls=count, prompt_tokens=read, output_tokens=written),
        },
        worst={
            ANSWER: Usage(calls=count, prompt_tokens=prior.prompt_tokens, output_tokens=most),
            REWARD: Usage(calls=count, prompt_tokens=read, output_tokens=most),
        },
        latency_s=None if prior.output_s is None else prior.output_tokens * prior.output_s,
        needs=NEEDS,
    )


STRATEGIES: tuple[Strategy, ...] = (RewardBestOf(), WeightedBestOf(), VerifierVote())
