"""Trials: whole sessions of options on the requests of a pilot, for what no formula and no recorded sample tells."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path

from coinfer.errors import InputError, Plain
from coinfer.executor.backends.base import Completion
from coinfer.executor.budget import Amount
from coinfer.executor.grade import grade, grades
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.executor.strategies.agents import agent_roles, label, quoted
from coinfer.executor.strategies.discussion import DEBATE, GRAPH_AGENTS, GraphDiscussion
from coinfer.executor.strategies.graph import gain_name
from coinfer.executor.strategies.journal import ReplyLine, SessionJournal, SessionsHeader
from coinfer.executor.strategies.menu import why_not
from coinfer.executor.strategies.provider import Provider
from coinfer.executor.strategies.requests import prompt_of
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer, Session, sampled, user
from coinfer.executor.strategies.strategy import (
    Measured,
    Need,
    Prior,
    Prompt,
    Strategy,
    StrategyOption,
    Usage,
    why_no_option,
)
from coinfer.executor.strategies.watched import Watched, WatchedTrial, settled
from coinfer.executor.strategies.work import work_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What trials need.

    Attributes
    ----------
    providers, offers
        By role.
    options
        Of the pilot, with its caps.
    sampled
        The pilot's samples, by request and role.
    names
        Strategies, or options by their names.
    missing
        Why needs cannot be had.
    """

    providers: Mapping[str, Provider]
    offers: Mapping[str, frozenset[Need]]
    options: RunOptions
    sampled: Mapping[str, Mapping[str, tuple[Completion, ...]]]
    names: tuple[str, ...]
    missing: Mapping[Need, str] = field(default_factory=dict)


REREAD = StrategyOption(strategy="reread", settings={}, value=None, expected={}, worst={})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reread:
    """An agent answers again, having read its own text and that of another."""

    reader: str
    shown: tuple[tuple[int, str], ...]
    name: str = "reread"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:  # noqa: ARG002  # it is for no menu
        """Return none."""
        return ()

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:  # noqa: ARG002
        """Ask once."""
        quotes = "".join(quoted(label(place), text, prompt.max_tokens) for place, text in self.shown)
        (found,) = yield from sampled(
            user(prompt.text + DEBATE + quotes),
            max_tokens=prompt.max_tokens,
            temperature=prompt.temperature,
            roles=(self.reader,),
        )
        return Answer(text=None if found is None else found.text)


async def tried(
    trials: Trials,
    requests: Sequence[Request],
    strategies: Sequence[Strategy],
    priors: Mapping[str, Prior],
    spent: Amount,
    journal_path: Path,
) -> tuple[dict[str, Prior], Amount, list[ReplyLine]]:
    """Run the trials, and return the priors with what was measured, what the trials took, and their replies.

    Parameters
    ----------
    trials
        Who can be asked, and what is tried.
    requests, strategies, priors
        Of the pilot.
    spent
        What the samples took: the caps hold for both together.
    journal_path
        Begins the name of each option's journal, and of that of pairs of agents, which graphs need.

    Raises
    ------
    InputError
        If a name is of no strategy, and of no option that can be run.
    """
    found, before = dict(priors), spent
    lines: list[ReplyLine] = []
    asked = [request for request in requests if request.id in priors]
    if GraphDiscussion.name in trials.names:
        if sum(role in trials.offers for role in agent_roles(GRAPH_AGENTS)) < 2:
            raise _cannot_try(GraphDiscussion.name, "nobody serves the roles 'agent 1' and 'agent 2'")
        path = journal_path.with_name(f"{journal_path.name}.pairs")
        found, more, replies = await _with_gains(trials, asked, found, spent, path)
        spent, lines = spent.plus(more), [*lines, *replies]
    watched, work = _work(trials, asked, strategies, found)
    answers, each = dict[str, Answer](), dict[str, Amount]()
    for name, own in work.items():
        # A journal for each option: another pilot may try others, and still finds these.
        path = journal_path.with_name(f"{journal_path.name}-{hashlib.sha256(name.encode()).hexdigest()[:12]}")
        made, (taken, used), replies = await _run(trials, [item for _, item in own], spent, path)
        spent, lines = spent.plus(taken), [*lines, *replies]
        answers, each = answers | made, each | used
    pairs = [pair for own in work.values() for pair in own]
    right = await asyncio.to_thread(_graded, [request for request, _ in pairs], [item for _, item in pairs], answers)
    measured: dict[str, dict[str, Measured]] = {}
    for (request, item), good in zip(pairs, right, strict=True):
        name = item.prompt.id
        if name not in watched.cut:
            usage = settled(watched.used[name], each[name])
            usage |= {role: Usage() for role in item.option.expected if role not in usage}
            measured.setdefault(request.id, {})[item.option.name] = Measured(value=good, usage=usage)
    for name, seen in measured.items():
        found[name] = replace(found[name], measured={**found[name].measured, **seen})
    return found, spent.less(before), lines


def _work(
    trials: Trials, requests: Sequence[Request], strategies: Sequence[Strategy], priors: Mapping[str, Prior]
) -> tuple[Watched, dict[str, list[tuple[Request, Work]]]]:
    """Return, for each option that is tried, a session on each request."""
    watched = Watched()
    work: dict[str, list[tuple[Request, Work]]] = {}
    known: set[str] = set()
    reasons: dict[str, str] = {}
    for request in requests:
        for strategy in strategies:
            options = strategy.options(priors[request.id])
            if not options:
                reasons.setdefault(strategy.name, why_no_option(strategy))
            for option in options:
                named = {strategy.name, option.name} & set(trials.names)
                lacking = why_not(option, trials.offers, trials.missing) if named else None
                if lacking is not None:
                    reasons |= dict.fromkeys(named, lacking)
                elif named:
                    known |= named
                    prompt = replace(prompt_of(request), id=f"{request.id}/{option.name}")
                    item = Work(prompt=prompt, strategy=WatchedTrial(strategy, watched), option=option)
                    work.setdefault(option.name, []).append((request, item))
    unknown = next((name for name in trials.names if name not in known), None)
    if unknown is not None:
        raise _cannot_try(unknown, reasons.get(unknown))
    return watched, work


def _cannot_try(name: str, reason: str | None) -> InputError:
    """Return the sentence on what cannot be tried: whoever gave a program has named no option."""
    if reason is None:
        return InputError("--try", expected="strategies, or options by their names, as a menu has them", found=name)
    program, is_program, _ = name.partition("@")
    if is_program:
        return InputError(f"program {program!r}", expected="what its stages need", found=Plain(reason))
    return InputError("--try", expected=f"what {name} needs", found=Plain(reason))


def _graded(requests: Sequence[Request], work: Sequence[Work], answers: Mapping[str, Answer]) -> list[float]:
    """Return 1.0 for right answers; a session without an answer is wrong."""
    texts = [answers[item.prompt.id].text for item in work]
    found = grades(requests, [text or "" for text in texts])
    return [float(good == 1.0 and text is not None) for good, text in zip(found, texts, strict=True)]


async def _run(
    trials: Trials, work: Sequence[Work], spent: Amount, path: Path
) -> tuple[dict[str, Answer], tuple[Amount, dict[str, Amount]], list[ReplyLine]]:
    """Run sessions under what the caps leave; return answers, what all and each took, and the replies."""
    header = SessionsHeader(work_sha256=work_sha256(work), seed=trials.options.seed)
    with SessionJournal(path, header) as journal:
        scheduler = SessionScheduler(providers=trials.providers, journal=journal, options=_left(trials.options, spent))
        answers = await scheduler.run(work)
    return answers, (scheduler.spent, scheduler.used), list(journal.replies.values())


def _left(options: RunOptions, spent: Amount) -> RunOptions:
    """Return the options with what is left of their caps."""
    limits = (
        ("max_requests", spent.calls),
        ("max_output_tokens", spent.tokens),
        ("max_energy_j", spent.energy_j),
        ("max_price_usd", spent.usd),
    )
    left = {name: max(getattr(options, name) - used, 0) for name, used in limits if getattr(options, name) is not None}
    return replace(options, **left)


async def _with_gains(
    trials: Trials, requests: Sequence[Request], priors: Mapping[str, Prior], spent: Amount, path: Path
) -> tuple[dict[str, Prior], Amount, list[ReplyLine]]:
    """Return the priors with the chance that an agent who is wrong is right once it has read another, by category."""
    agents = [role for role in agent_roles(GRAPH_AGENTS) if role in trials.offers]
    wrong: dict[tuple[str, int, int], list[Work]] = {}
    for request in requests:
        own = trials.sampled[request.id]
        for i, j in permutations(range(len(agents)), 2):
            texts = [own.get(agents[place], ())[:1] for place in (i, j)]
            if all(texts) and grade(request, texts[0][0].text) != 1.0:
                prompt = replace(prompt_of(request), id=f"{request.id}/{gain_name(i, j)}")
                strategy = _Reread(reader=agents[i], shown=((i, texts[0][0].text), (j, texts[1][0].text)))
                work = Work(prompt=prompt, strategy=strategy, option=REREAD)
                wrong.setdefault((request.category, i, j), []).append(work)
    items = [work for many in wrong.values() for work in many]
    by_id = {request.id: request for request in requests}
    answers, (more, _), lines = await _run(trials, items, spent, path)
    owners = [by_id[item.prompt.id.rpartition("/")[0]] for item in items]
    right = await asyncio.to_thread(_graded, owners, items, answers)
    good = dict(zip((item.prompt.id for item in items), right, strict=True))
    found = {}
    for name, prior in priors.items():
        category = by_id[name].category
        gains = {}
        for i, j in permutations(range(len(agents)), 2):
            many = [good[item.prompt.id] for item in wrong.get((category, i, j), [])]
            gains[gain_name(i, j)] = sum(many) / len(many) if many else 0.0  # nobody was wrong: nothing to put right
        found[name] = replace(prior, extra={**prior.extra, **gains})
    return found, more, lines
