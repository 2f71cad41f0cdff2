"""Strategies that read log-probabilities: which sample to believe, and when one sample is enough."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.agents import MOST_SAMPLES, number, whole
from coinfer.executor.strategies.ask import ANSWER, Reply
from coinfer.executor.strategies.session import Answer, Session, Step, sampled, user
from coinfer.executor.strategies.strategy import Need, Prior, Prompt, Strategy, StrategyOption, Usage
from coinfer.executor.strategies.tally import weighted_answer
from coinfer.executor.strategies.weibull import low_component

COUNTS = (2, 4, 8, 16, 32)
NEEDS: frozenset[Need] = frozenset({"completions", "logprobs"})
THRESHOLDS = (0.1, 0.2, 0.4)
Sampling = Generator[Step, tuple[Reply, ...], tuple[Completion, ...]]


def mean_logprob(completion: Completion) -> float:
    """Return the mean log-probability of the tokens: minus the logarithm of the perplexity; -inf without any."""
    known = completion.logprobs
    return sum(known) / len(known) if known else -math.inf


class PerplexitySelection:
    """The sample with the lowest perplexity of N (the baseline of RPC, arXiv 2502.00511).

    Settings: ``samples``. Value: not known beforehand. Cost: N samples, the prompt read once.
    """

    name = "perplexity_selection"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return an option for each number of samples."""
        return tuple(_samples(self.name, prior, count, {}) for count in COUNTS)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample, and take the likeliest."""
        found = yield from _sampled(prompt, whole(option.settings, "samples", 1, MOST_SAMPLES))
        if not found:
            return Answer(text=None)
        best = max(found, key=mean_logprob)
        return Answer(text=best.text, value=prompt.answer_of(best.text), confidence=math.exp(mean_logprob(best)))


class ProbabilityVote:
    """A vote in which each of N samples weighs its probability per token, :math:`e^{mean log p}`.

    Settings: ``samples``. Value: not known beforehand. Cost: N samples, the prompt read once.
    """

    name = "probability_vote"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return an option for each number of samples."""
        return tuple(_samples(self.name, prior, count, {}) for count in COUNTS)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample, and weigh."""
        found = yield from _sampled(prompt, whole(option.settings, "samples", 1, MOST_SAMPLES))
        return weighted_answer(prompt, [(each, math.exp(mean_logprob(each))) for each in found])


class PerplexityConsistency:
    r"""Reasoning-pruning perplexity consistency, RPC (arXiv 2502.00511, 2510.15444).

    The confidence of an answer is :math:`\sum p(\text{path})` over the *distinct* sampled paths that end in it: a path
    that was drawn twice is no more likely for that. Pruning fits a mixture of two Weibull distributions to the path
    probabilities, and drops a path that the lower one explains better and that is below their mean.

    Settings: ``samples``; ``prune`` 1 or 0. Path probabilities are per token (:math:`e^{mean log p}`), so that long
    paths do not vanish. Value: not known beforehand. Cost: N samples, the prompt read once.
    """

    name = "perplexity_consistency"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of samples with and without pruning."""
        return tuple(_samples(self.name, prior, count, {"prune": prune}) for count in COUNTS for prune in (0.0, 1.0))

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample, prune, and sum."""
        found = yield from _sampled(prompt, whole(option.settings, "samples", 1, MOST_SAMPLES))
        distinct = list({each.text: each for each in found}.values())
        weights = np.array([math.exp(mean_logprob(each)) for each in distinct])
        kept = list(zip(distinct, weights.tolist(), strict=True))
        if whole(option.settings, "prune", 0, 1) and len(kept) > 1:
            dropped = low_component(weights) & (weights < weights.mean())
            kept = [pair for pair, gone in zip(kept, dropped.tolist(), strict=True) if not gone]
        return weighted_answer(prompt, kept, details={"paths": float(len(distinct)), "kept": float(len(kept))})


class OneSampleGate:
    """One sample tells how hard a prompt is: above a mean negative log-likelihood, N more are drawn, and all vote.

    Settings: ``samples`` (N), ``threshold`` (nats per token). Value: not known beforehand. Cost: one sample, and with
    the chance ``Prior.extra["gate_THRESHOLD"]`` (``gate_0.2``), 1 where that was not measured, N more.
    """

    name = "one_sample_gate"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of further samples at each threshold."""
        found = []
        for count in COUNTS:
            for threshold in THRESHOLDS:
                more = prior.extra.get(f"gate_{threshold:g}", 1.0)
                first, rest = _usage(prior, 1), _usage(prior, count)
                slow = None if prior.output_s is None else (1.0 + more) * prior.output_tokens * prior.output_s
                found.append(
                    StrategyOption(
                        strategy=self.name,
                        settings={"samples": float(count), "threshold": threshold},
                        value=None,
                        expected={ANSWER: first.plus(rest.times(more))},
                        worst={ANSWER: _most(prior, 1).plus(_most(prior, count))},
                        latency_s=slow,
                        needs=NEEDS,
                    )
                )
        return tuple(found)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Sample once, look, and maybe go on."""
        first = yield from _sampled(prompt, 1)
        surprise = -mean_logprob(first[0]) if first else math.inf
        if surprise <= number(option.settings, "threshold", 0.0, math.inf):
            value = prompt.answer_of(first[0].text)
            return Answer(text=first[0].text, value=value, confidence=math.exp(-surprise), details={"nll": surprise})
        rest = yield from _sampled(prompt, whole(option.settings, "samples", 1, MOST_SAMPLES))
        seen = {} if math.isinf(surprise) else {"nll": surprise}
        return weighted_answer(prompt, [(each, 1.0) for each in (*first, *rest)], details=seen)


def _sampled(prompt: Prompt, count: int) -> Sampling:
    found = yield from sampled(
        user(prompt.text), max_tokens=prompt.max_tokens, count=count, temperature=prompt.temperature, logprobs=True
    )
    return tuple(each for each in found if each is not None)


def _samples(name: str, prior: Prior, count: int, settings: dict[str, float]) -> StrategyOption:
    return StrategyOption(
        strategy=name,
        settings={"samples": float(count), **settings},
        value=None,
        expected={ANSWER: _usage(prior, count)},
        worst={ANSWER: _most(prior, count)},
        latency_s=None if prior.output_s is None else prior.output_tokens * prior.output_s,
        needs=NEEDS,
    )


def _usage(prior: Prior, count: int) -> Usage:
    return Usage(calls=count, prompt_tokens=prior.prompt_tokens, output_tokens=count * prior.output_tokens)


def _most(prior: Prior, count: int) -> Usage:
    return Usage(calls=count, prompt_tokens=prior.prompt_tokens, output_tokens=count * float(prior.max_tokens))


STRATEGIES: tuple[Strategy, ...] = (
    PerplexitySelection(),
    ProbabilityVote(),
    PerplexityConsistency(),
    OneSampleGate(),
)
