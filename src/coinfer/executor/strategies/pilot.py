"""A pilot on live endpoints: what the strategies are worth, by samples of some requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.executor.backends.base import Completion
from coinfer.executor.budget import Amount
from coinfer.executor.grade import check_gradable, grade, grades, read_answer
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.executor.strategies.ask import Sample, Sampled
from coinfer.executor.strategies.endpoints import Endpoints, opened
from coinfer.executor.strategies.journal import ReplyLine, SessionJournal, SessionsHeader
from coinfer.executor.strategies.menu import Menu, Stratum, menu
from coinfer.executor.strategies.prior import prior_of
from coinfer.executor.strategies.replayed import replayed
from coinfer.executor.strategies.requests import prompt_of
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer, Session, Step, user
from coinfer.executor.strategies.strategy import (
    Measured,
    Need,
    Prior,
    Prompt,
    Strategy,
    StrategyOption,
    estimated_tokens,
)
from coinfer.executor.strategies.work import work_sha256
from coinfer.models.budget.parts import Amount as ResourceAmount
from coinfer.models.budget.parts import Budget, Information

PILOT = StrategyOption(strategy="pilot", settings={}, value=None, expected={}, worst={})


@dataclass(slots=True, kw_only=True)
class _PilotStrategy:
    """Samples every role, with log-probabilities where they are offered, and keeps what came back.

    Attributes
    ----------
    samples
        Of each role; and one greedy completion.
    offers
        Of each role.
    found, greedy
        By prompt and role.
    """

    name: str = "pilot"
    samples: int
    offers: Mapping[str, frozenset[Need]]
    found: dict[str, dict[str, tuple[Completion, ...]]] = field(default_factory=dict)
    greedy: dict[str, dict[str, Completion]] = field(default_factory=dict)

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:  # noqa: ARG002  # it is for no menu
        """Return none."""
        return ()

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:  # noqa: ARG002
        """Sample every role at once."""
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
        return Answer(text=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What a pilot found.

    Attributes
    ----------
    menu
        The budget problem, with what is on no menu and why.
    spent
        What the pilot took.
    prompts
        Requests whose samples count.
    """

    menu: Menu
    spent: Amount
    prompts: int


async def pilot(
    requests: Sequence[Request],
    endpoints: Endpoints,
    strategies: Iterable[Strategy],
    *,
    name: str,
    samples: int,
    prompts: Mapping[str, int],
    journal_path: Path,
    budgets: Sequence[Budget] = (),
    options: RunOptions | None = None,
    missing: Mapping[Need, str] | None = None,
) -> Pilot:
    """Sample every role on some requests, and make the menus of all strategies from that; strata are categories.

    Parameters
    ----------
    requests
        With checkers.
    endpoints, strategies
        Who can answer, and how.
    name, budgets
        Of the problem.
    samples
        Of each role and request.
    prompts
        How many prompts of each category are to be planned for; absent: as many as were piloted.
    journal_path
        A pilot that was cut goes on from there.
    options
        Concurrency, repetition, seed and hard caps of the pilot.
    missing
        Why needs cannot be had.

    Raises
    ------
    InputError
        If a request has no checker, or none was answered.
    EndpointError, BackendMissing
        If an endpoint cannot be reached.
    """
    check_gradable(requests)
    unchecked = next((each.id for each in requests if each.checker is None), None)
    if unchecked is not None:
        raise InputError(f"request {unchecked!r}: checker", expected="one, so that answers count", found=Plain("none"))
    options = options or RunOptions()
    strategies = tuple(strategies)
    async with opened(endpoints, timeout_s=options.timeout_s) as reached:
        asking = _PilotStrategy(samples=samples, offers={role: reached.offers[role] for role in endpoints.roles})
        work = [Work(prompt=prompt_of(request), strategy=asking, option=PILOT) for request in requests]
        header = SessionsHeader(work_sha256=work_sha256(work) + f"/{samples}", seed=options.seed)
        with SessionJournal(journal_path, header) as journal:
            scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=options)
            await scheduler.run(work)
    lines = list(journal.replies.values())
    strata = await asyncio.to_thread(_strata, requests, asking, lines, prompts, strategies)
    total = sum(each.prompts for each in strata)
    completions = sum(len(line.reply.completions) for line in lines if isinstance(line.reply, Sampled))
    paid = (("tokens", scheduler.spent.tokens), ("completions", completions), ("usd", scheduler.spent.usd))
    charge = tuple(ResourceAmount(resource=key, amount=amount / total) for key, amount in paid if amount)
    made = menu(
        name,
        strata,
        strategies,
        offers=reached.offers,
        budgets=budgets,
        prices=reached.prices,
        information=Information(source="label", cost=charge, description="categories of the requests, and a pilot"),
        missing={**reached.missing, **(missing or {})},
    )
    return Pilot(menu=made, spent=scheduler.spent, prompts=sum(len(each.priors) for each in strata))


def _strata(
    requests: Sequence[Request],
    asking: _PilotStrategy,
    lines: Sequence[ReplyLine],
    prompts: Mapping[str, int],
    strategies: Sequence[Strategy],
) -> list[Stratum]:
    """Return the categories with a prior for each request that was answered."""
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
    priors: dict[str, list[Prior]] = {}
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
        prior = replace(prior, extra=_known(request))
        measured = _tried(strategies, prior, prompt_of(request), found, asking.greedy[request.id], is_right)
        priors.setdefault(request.category, []).append(replace(prior, measured=measured))
    if not priors:
        raise InputError("pilot", expected="at least one request that an endpoint answered", found=Plain("none"))
    return [
        Stratum(name=category, prompts=prompts.get(category, len(own)), priors=tuple(own))
        for category, own in priors.items()
    ]


def _known(request: Request) -> dict[str, float]:
    """Return what a request itself tells strategies."""
    extra = request.extra or {}
    found = {"tests": 1.0} if extra.get("tests", "").strip() else {}
    if extra.get("document", "").strip():
        found["document_tokens"] = estimated_tokens(extra["document"])
    return found


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
) -> dict[str, Measured]:
    """Return what options without a value of their own reached with the pilot's samples."""
    found: dict[str, Measured] = {}
    for strategy in strategies:
        for option in strategy.options(prior):
            if option.value is None and set(option.worst) <= set(recorded):
                made = replayed(
                    strategy, option, prompt, recorded, greedy=greedy, right=right, prompt_tokens=prior.prompt_tokens
                )
                if made is not None:
                    found[option.name] = made
    return found
