"""A pilot on live endpoints: what the strategies are worth, by samples of some requests and by trials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coinfer.errors import InputError, Plain
from coinfer.executor.budget import Amount
from coinfer.executor.grade import check_gradable
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.executor.strategies.ask import REWARD, Sampled, Scored
from coinfer.executor.strategies.endpoints import Endpoints
from coinfer.executor.strategies.journal import ReplyLine, SessionJournal, SessionsHeader
from coinfer.executor.strategies.menu import Menu, Stratum, menu
from coinfer.executor.strategies.opening import opened
from coinfer.executor.strategies.pilot_samples import PILOT, PilotSamples, priors_of
from coinfer.executor.strategies.requests import prompt_of
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.strategy import Need, Prior, Strategy
from coinfer.executor.strategies.trials import Trials, tried
from coinfer.executor.strategies.work import work_sha256
from coinfer.models.budget.parts import Amount as ResourceAmount
from coinfer.models.budget.parts import Budget, Information


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
    tries: Sequence[str] = (),
    budgets: Sequence[Budget] = (),
    options: RunOptions | None = None,
    missing: Mapping[Need, str] | None = None,
) -> Pilot:
    """Sample every role on some requests, score the answers, and make menus of all strategies; strata are categories.

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
        A pilot that was cut goes on from there; trials have a journal beside it.
    tries
        Strategies, or single options by their names, of which whole sessions are run on the pilot's requests.
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
    asking = PilotSamples(samples=samples)
    work = [Work(prompt=prompt_of(request), strategy=asking, option=PILOT) for request in requests]
    header = SessionsHeader(work_sha256=work_sha256(work) + f"/{samples}", seed=options.seed)
    with SessionJournal(journal_path, header) as journal:
        async with opened(endpoints, journal=journal, options=options) as reached:
            asking.offers = {
                role: reached.offers[role] for role in endpoints.roles if "completions" in reached.offers[role]
            }
            asking.scored = "reward" in reached.offers.get(REWARD, ())
            scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=options)
            await scheduler.run(work)
            spent, lines = scheduler.spent, list(journal.replies.values())
            priors = await asyncio.to_thread(priors_of, requests, asking, lines, strategies)
            if tries:
                trials = Trials(
                    providers=reached.providers,
                    offers=reached.offers,
                    options=options,
                    sampled=asking.found,
                    names=tuple(tries),
                    missing={**reached.missing, **(missing or {})},
                )
                beside = journal_path.with_name(f"{journal_path.name}.trials")
                priors, more, replies = await tried(trials, requests, strategies, priors, spent, beside)
                spent, lines = spent.plus(more), [*lines, *replies]
    strata = _strata(requests, priors, prompts)
    charge = _charge(spent, lines, sum(each.prompts for each in strata))
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
    return Pilot(menu=made, spent=spent, prompts=sum(len(each.priors) for each in strata))


def _charge(spent: Amount, lines: Sequence[ReplyLine], prompts: int) -> tuple[ResourceAmount, ...]:
    """Return what the pilot took, for each prompt that is planned for."""
    completions = sum(len(line.reply.completions) for line in lines if isinstance(line.reply, Sampled))
    completions += sum(len(line.reply.scores) for line in lines if isinstance(line.reply, Scored))
    paid = (("tokens", spent.tokens), ("completions", completions), ("usd", spent.usd))
    return tuple(ResourceAmount(resource=key, amount=amount / prompts) for key, amount in paid if amount)


def _strata(requests: Sequence[Request], priors: Mapping[str, Prior], prompts: Mapping[str, int]) -> list[Stratum]:
    """Return the categories with the priors of their requests."""
    own: dict[str, list[Prior]] = {}
    for request in requests:
        if request.id in priors:
            own.setdefault(request.category, []).append(priors[request.id])
    return [
        Stratum(name=category, prompts=prompts.get(category, len(many)), priors=tuple(many))
        for category, many in own.items()
    ]
