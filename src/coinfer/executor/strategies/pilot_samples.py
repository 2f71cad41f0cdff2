"""The samples of a pilot, and what they say of prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.executor.backends.base import Completion
from coinfer.executor.grade import grade, grades, read_answer
from coinfer.executor.request import Request
from coinfer.executor.strategies.ask import ANSWER, REWARD, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.diverse import known_approaches
from coinfer.executor.strategies.journal import ReplyLine
from coinfer.executor.strategies.judged import reliability_name
from coinfer.executor.strategies.prior import prior_of
from coinfer.executor.strategies.replayed import replayed
from coinfer.executor.strategies.requests import prompt_of
from coinfer.executor.strategies.reward import steps_of
from coinfer.executor.strategies.session import Answer, Session, Step, user
from coinfer.executor.strategies.stepwise_costs import STEPS
from coinfer.executor.strategies.strategy import (
    Measured,
    Need,
    Prior,
    Prompt,
    Strategy,
    StrategyOption,
    estimated_tokens,
)

PILOT = StrategyOption(strategy="pilot", settings={}, value=None, expected={}, worst={})


@dataclass(slots=True, kw_only=True)
class PilotSamples:
    """Samples every role, with log-probabilities where they are offered, and keeps what came back.

    Attributes
    ----------
    samples
        Of each role; and one greedy completion.
    offers
        Of each role.
    found, greedy
        By prompt and role.
    scored
        Whether a reward model scores the different answers of the role ``answer``.
    scores
        By prompt and text: of each step.
    """

    name: str = "pilot"
    samples: int
    offers: Mapping[str, frozenset[Need]] = field(default_factory=dict)
    found: dict[str, dict[str, tuple[Completion, ...]]] = field(default_factory=dict)
    greedy: dict[str, dict[str, Completion]] = field(default_factory=dict)
    scored: bool = False
    scores: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:  # noqa: ARG002  # it is for no menu
        """Return none."""
        return ()

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:  # noqa: ARG002
        """Sample every role at once, and have the answers scored."""
        asks = tuple(
            Sample(
                messages=user(prompt.text),
                max_tokens=prompt.max_tokens,
                count=count,
                temperature=temperature,
                role=role,
                logprobs="logprobs" in offered,
            )
            for count, temperature in ((self.samples, prompt.temperature), (1, 0.0))
            for role, offered in self.offers.items()
        )
        replies = yield Step(asks=asks)
        came = [reply.completions if isinstance(reply, Sampled) else () for reply in replies]
        self.found[prompt.id] = {role: many for role, many in zip(self.offers, came, strict=False) if many}
        self.greedy[prompt.id] = {
            role: many[0] for role, many in zip(self.offers, came[len(self.offers) :], strict=True) if many
        }
        texts = tuple(dict.fromkeys(each.text for each in self.found[prompt.id].get(ANSWER, ())))
        if self.scored and texts:
            (reply,) = yield Step(asks=(Score(messages=user(prompt.text), answers=tuple(map(steps_of, texts))),))
            if isinstance(reply, Scored) and len(reply.scores) == len(texts):
                self.scores[prompt.id] = dict(zip(texts, reply.scores, strict=True))
        return Answer(text=None)


def priors_of(
    requests: Sequence[Request],
    asking: PilotSamples,
    lines: Sequence[ReplyLine],
    strategies: Sequence[Strategy],
) -> dict[str, Prior]:
    """Return what the samples say of each request that was answered, by its id.

    Raises
    ------
    InputError
        If none was.
    """
    lines = [line for line in lines if isinstance(line.reply, Sampled)]
    speeds = [line.seconds / line.charged.tokens for line in lines if line.charged.tokens]
    read = {line.key.rsplit("/", 3)[0]: line.charged.prompt_tokens for line in lines}
    pairs = [
        (request, completion.text)
        for request in requests
        for many in asking.found.get(request.id, {}).values()
        for completion in (*many, *asking.greedy[request.id].values())
    ]
    graded = grades([request for request, _ in pairs], [text for _, text in pairs])
    right = {(request.id, text): found == 1.0 for (request, text), found in zip(pairs, graded, strict=True)}
    priors: dict[str, Prior] = {}
    for request in requests:
        found = asking.found.get(request.id, {})
        if not found.get("answer"):
            continue
        is_right = partial(_looked_up, right, request)
        prior = prior_of(
            found,
            answer_of=partial(read_answer, request),
            right=is_right,
            greedy=asking.greedy[request.id],
            prompt_tokens=read[request.id],
            max_tokens=request.max_tokens,
            output_s=float(np.median(speeds)) if speeds else None,
        )
        scores = asking.scores.get(request.id)
        pairs_of = (
            None
            if scores is None
            else tuple((scores[each.text][-1], float(is_right(each.text))) for each in found["answer"])
        )
        prior = replace(prior, extra=_known(request), scorer=pairs_of)
        measured = _tried(strategies, prior, prompt_of(request), found, asking.greedy[request.id], is_right, scores)
        priors[request.id] = replace(prior, measured=measured)
    if not priors:
        raise InputError("pilot", expected="at least one request that an endpoint answered", found=Plain("none"))
    reliable = _reliabilities(priors, asking)
    steps = _steps(requests, asking)
    category = {request.id: request.category for request in requests}
    return {
        name: replace(prior, extra={**prior.extra, **reliable, **steps.get(category[name], {})})
        for name, prior in priors.items()
    }


def _steps(requests: Sequence[Request], asking: PilotSamples) -> dict[str, dict[str, float]]:
    """Return the mean steps of sampled answers by category; a category in which none has two is left out."""
    counts: dict[str, list[int]] = {}
    for request in requests:
        for each in asking.found.get(request.id, {}).get(ANSWER, ()):
            counts.setdefault(request.category, []).append(len(steps_of(each.text.strip())))
    return {category: {STEPS: sum(own) / len(own)} for category, own in counts.items() if max(own) > 1}


def _reliabilities(priors: Mapping[str, Prior], asking: PilotSamples) -> dict[str, float]:
    """Return how often each role is right over all requests (rule of succession): one prompt does not tell it."""
    right: dict[str, float] = {}
    drawn: dict[str, int] = {}
    for name, prior in priors.items():
        for role, rate in prior.rate.items():
            samples = len(asking.found[name].get(role, ()))
            right[role] = right.get(role, 0.0) + rate * samples
            drawn[role] = drawn.get(role, 0) + samples
    return {reliability_name(role): (right[role] + 1.0) / (drawn[role] + 2.0) for role in right}


def _known(request: Request) -> dict[str, float]:
    """Return what a request itself tells strategies."""
    extra = request.extra or {}
    found = {"tests": 1.0} if extra.get("tests", "").strip() else {}
    if extra.get("document", "").strip():
        found["document_tokens"] = estimated_tokens(extra["document"])
    return found | known_approaches(extra)


def _looked_up(right: Mapping[tuple[str, str], bool], request: Request, text: str) -> bool:
    found = right.get((request.id, text))
    return grade(request, text) == 1.0 if found is None else found


def _tried(
    strategies: Sequence[Strategy],
    prior: Prior,
    prompt: Prompt,
    recorded: Mapping[str, Sequence[Completion]],
    greedy: Mapping[str, Completion],
    right: Callable[[str], bool],
    scores: Mapping[str, tuple[float, ...]] | None,
) -> dict[str, Measured]:
    """Return what options without a value of their own reached with the pilot's samples."""
    found: dict[str, Measured] = {}
    there = {*recorded, REWARD} if scores is not None else set(recorded)
    for strategy in strategies:
        for option in strategy.options(prior):
            if option.value is None and set(option.worst) <= there:
                made = replayed(
                    strategy,
                    option,
                    prompt,
                    recorded,
                    greedy=greedy,
                    scores=scores,
                    right=right,
                    prompt_tokens=prior.prompt_tokens,
                )
                if made is not None:
                    found[option.name] = made
    return found
