"""A pilot on live endpoints: what the strategies are worth, by samples of some requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.executor.backends.base import Completion
from coinfer.executor.budget import Amount
from coinfer.executor.grade import check_gradable, grades, read_answer
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.executor.strategies.ask import Sample, Sampled
from coinfer.executor.strategies.endpoints import Endpoints, opened
from coinfer.executor.strategies.journal import ReplyLine, SessionJournal, SessionsHeader
from coinfer.executor.strategies.menu import Menu, Stratum, menu
from coinfer.executor.strategies.prior import prior_of
from coinfer.executor.strategies.requests import prompt_of
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer, Session, Step, user
from coinfer.executor.strategies.strategy import Need, Prior, Prompt, Strategy, StrategyOption
from coinfer.executor.strategies.work import work_sha256
from coinfer.models.budget.parts import Amount as ResourceAmount
from coinfer.models.budget.parts import Budget, Information

PILOT = StrategyOption(strategy="pilot", settings={}, value=None, expected={}, worst={})


@dataclass(slots=True, kw_only=True)
class _PilotStrategy:
    """Samples every role, and keeps what came back."""

    name: str = "pilot"
    samples: int
    roles: tuple[str, ...]
    found: dict[str, dict[str, tuple[Completion, ...]]] = field(default_factory=dict)

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:  # noqa: ARG002  # it is for no menu
        """Return none."""
        return ()

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:  # noqa: ARG002
        """Sample every role at once."""
        asks = tuple(
            Sample(
                messages=user(prompt.text),
                max_tokens=prompt.max_tokens,
                count=self.samples,
                temperature=prompt.temperature,
                role=role,
            )
            for role in self.roles
        )
        replies = yield Step(asks=asks)
        self.found[prompt.id] = {
            role: reply.completions
            for role, reply in zip(self.roles, replies, strict=True)
            if isinstance(reply, Sampled)
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
    asking = _PilotStrategy(samples=samples, roles=tuple(endpoints.roles))
    work = [Work(prompt=prompt_of(request), strategy=asking, option=PILOT) for request in requests]
    header = SessionsHeader(work_sha256=work_sha256(work) + f"/{samples}", seed=options.seed)
    async with opened(endpoints, timeout_s=options.timeout_s) as reached:
        with SessionJournal(journal_path, header) as journal:
            scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=options)
            await scheduler.run(work)
    lines = list(journal.replies.values())
    strata = await asyncio.to_thread(_strata, requests, asking, lines, prompts)
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
    requests: Sequence[Request], asking: _PilotStrategy, lines: Sequence[ReplyLine], prompts: Mapping[str, int]
) -> list[Stratum]:
    """Return the categories with a prior for each request that was answered."""
    speeds = [line.seconds / line.charged.tokens for line in lines if line.charged.tokens]
    read = {line.key.rsplit("/", 3)[0]: line.charged.prompt_tokens for line in lines}
    pairs = [
        (request, completion.text)
        for request in requests
        for many in asking.found.get(request.id, {}).values()
        for completion in many
    ]
    graded = grades([request for request, _ in pairs], [text for _, text in pairs])
    right = {(request.id, text): found == 1.0 for (request, text), found in zip(pairs, graded, strict=True)}
    priors: dict[str, list[Prior]] = {}
    for request in requests:
        found = asking.found.get(request.id, {})
        if not found.get("answer"):
            continue
        priors.setdefault(request.category, []).append(
            prior_of(
                found,
                answer_of=partial(read_answer, request),
                right=lambda text, request=request: right[request.id, text],  # type: ignore[misc]
                prompt_tokens=read[request.id],
                max_tokens=request.max_tokens,
                output_s=float(np.median(speeds)) if speeds else None,
            )
        )
    if not priors:
        raise InputError("pilot", expected="at least one request that an endpoint answered", found=Plain("none"))
    return [
        Stratum(name=category, prompts=prompts.get(category, len(own)), priors=tuple(own))
        for category, own in priors.items()
    ]
