"""Endpoints opened as providers of their roles, each asked once what it offers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from coinfer import jsonfile
from coinfer.errors import EndpointError
from coinfer.executor import sandbox
from coinfer.executor.backends import open_backend
from coinfer.executor.backends.base import Backend, RetryableError
from coinfer.executor.backends.openai_probe import ATTEMPTS, PROBE_CALLS, PROBE_OUTPUT_TOKENS, PROBE_PROMPT_TOKENS
from coinfer.executor.backends.scoring import ScoringBackend
from coinfer.executor.backends.transformers import TransformersBackend
from coinfer.executor.budget import Amount, Ledger
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import ANSWER, DECODER, RETRIEVER, SANDBOX
from coinfer.executor.strategies.decoding.provider import InProcess, in_process
from coinfer.executor.strategies.endpoints import Endpoints, RoleEndpoint
from coinfer.executor.strategies.journal import AskLine, LossLine, ProbeLine, SessionJournal
from coinfer.executor.strategies.passages import opened_retriever
from coinfer.executor.strategies.provider import LanguageModel, Provider, TokenPrice
from coinfer.executor.strategies.sandboxed import Sandboxed
from coinfer.executor.strategies.scorers import Judge, RewardModel, Verifier
from coinfer.executor.strategies.strategy import Need
from coinfer.models.endpoint import Endpoint

if TYPE_CHECKING:
    from coinfer.executor.verifier.model import TrainedVerifier

MOST_PROBED = (
    ATTEMPTS * PROBE_CALLS,
    ATTEMPTS * PROBE_CALLS * PROBE_PROMPT_TOKENS,
    ATTEMPTS * PROBE_OUTPUT_TOKENS,
)
"""Calls, prompt tokens and output tokens that finding out what an endpoint offers takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Endpoints that were reached.

    Attributes
    ----------
    providers, offers, prices
        By role; ``sandbox`` is this machine's, where it has one, and ``decoder`` the models of backend transformers
        that have the tokenizer of the role ``answer``, which offer logits.
    missing
        Why a need cannot be had.
    """

    providers: Mapping[str, Provider]
    offers: Mapping[str, frozenset[Need]]
    prices: Mapping[str, TokenPrice]
    missing: Mapping[Need, str]


@asynccontextmanager
async def opened(endpoints: Endpoints, *, journal: SessionJournal, options: RunOptions) -> AsyncIterator[Opened]:
    """Open every endpoint, ask it what it offers, and close all in the end.

    Roles with equal endpoints share one backend, so that weights are loaded once. What the questions cost is set aside,
    journalled and charged as all else; an endpoint that the journal knows is not asked again.

    Raises
    ------
    EndpointError
        If one cannot be reached, or a cap leaves no room for the questions.
    BackendMissing, InputError
        If the package of one is not installed, or its file or key is not there.
    """
    async with AsyncExitStack() as stack:
        providers: dict[str, Provider] = {}
        shared: dict[Endpoint, LanguageModel] = {}
        models: dict[str, InProcess] = {}
        backends: dict[Endpoint, Backend] = {}
        for role, item in endpoints.roles.items():
            price = item.price or TokenPrice()
            if item.kind == "verifier":
                trained = await asyncio.to_thread(_trained, item.verifier or "")
                providers[role] = Verifier(trained, price=price, timeout_s=options.timeout_s)
                continue
            if item.kind == "scorer":
                providers[role] = await _scorer(role, item, journal, options, stack)
                continue
            endpoint = item.reached_at
            held = shared.get(endpoint)
            if held is None:
                backend = backends[endpoint] = open_backend(endpoint, timeout_s=options.timeout_s)
                stack.push_async_callback(backend.close)
                await backend.start()
                known = await probed(role, item, backend, journal, options)
                held = shared[endpoint] = LanguageModel(
                    backend,
                    price=price,
                    offers=frozenset(cast("tuple[Need, ...]", known.offers)),
                    several=known.several,
                    concurrency=endpoint.concurrency,
                    timeout_s=options.timeout_s,
                )
            model = held if held.price == price else held.at(price)
            providers[role] = Judge(model) if item.kind == "judge" else model
            whose = backends[endpoint]
            if item.kind == "model" and isinstance(whose, TransformersBackend):
                models[role] = InProcess(backend=whose, price=price)
        if endpoints.retriever is not None:
            opening = opened_retriever(endpoints.retriever, timeout_s=options.timeout_s)
            providers[RETRIEVER] = await stack.enter_async_context(opening)
        missing: dict[Need, str] = {}
        decoder, missing["logits"] = await in_process(models, first=ANSWER, timeout_s=options.timeout_s)
        if decoder is not None:
            providers[DECODER] = decoder
        offers = {role: provider.offers for role, provider in providers.items()}
        for role in () if decoder is None else decoder.roles:
            offers[role] |= {"logits"}
        reason = await asyncio.to_thread(sandbox.available)
        if reason is None:
            offers[SANDBOX] = providers.setdefault(SANDBOX, Sandboxed()).offers
        else:
            missing["sandbox"] = f"there is none on this machine: {reason}"
        yield Opened(
            providers=providers,
            offers=offers,
            prices={
                role: found.price if isinstance(found := providers[role], Judge) else item.price
                for role, item in endpoints.roles.items()
                if item.price is not None
            },
            missing=missing,
        )


def _trained(folder: str) -> TrainedVerifier:
    from coinfer.executor.verifier.model import read_verifier

    return read_verifier(Path(folder))


async def _scorer(
    role: str, item: RoleEndpoint, journal: SessionJournal, options: RunOptions, stack: AsyncExitStack
) -> RewardModel:
    """Open a reward model behind an address, and have it score something."""
    endpoint = item.reached_at
    backend = ScoringBackend(
        endpoint.url or "",
        model=endpoint.model,
        address=item.address or "pooling",
        api_key_env=endpoint.api_key_env,
        chat=endpoint.chat,
        logistic=item.logistic,
        timeout_s=options.timeout_s,
    )
    stack.push_async_callback(backend.close)
    await probed(role, item, backend, journal, options)
    return RewardModel(backend, price=item.price, concurrency=endpoint.concurrency, timeout_s=options.timeout_s)


async def probed(
    role: str, item: RoleEndpoint, backend: Backend, journal: SessionJournal, options: RunOptions
) -> ProbeLine:
    """Return what an endpoint offers: as the journal says, or else as it shows when it is asked."""
    earlier, name = journal.probes.get(role), jsonfile.sha256(item.endpoint)
    if earlier is not None and earlier.endpoint_sha256 == name:
        return earlier
    price = item.price or TokenPrice()
    most = _charged(price, *MOST_PROBED) if item.reached_at.backend == "openai" else Amount()
    ledger = Ledger(options.caps, spent=journal.spent, elapsed_s=journal.elapsed_s, clock=time.monotonic)
    if not await ledger.reserve(0, most):
        raise EndpointError(f"{role}: a cap of the run leaves no room to find out what the endpoint offers")
    call, key = journal.calls, f"probe/{role}"
    journal.append(AskLine(call=call, key=key, role=role, reserved=most))
    try:
        found = await backend.probe()
    except EndpointError as error:
        charged = Amount() if isinstance(error, RetryableError) and error.refused else most
        said = str(error).encode(errors="replace").decode()
        journal.append(LossLine(call=call, key=key, reason=said, charged=charged, elapsed_s=journal.elapsed_s))
        raise
    offers = (
        "reward" if isinstance(backend, ScoringBackend) else "completions",
        *(["logprobs"] if found.logprobs else []),
        *(["prefix"] if found.prefix else []),
    )
    line = ProbeLine(
        call=call,
        role=role,
        endpoint_sha256=name,
        offers=offers,
        several=found.samples if earlier is None else earlier.several,  # keys of parts hang on it
        charged=_charged(price, found.calls, found.prompt_tokens, found.output_tokens),
    )
    await journal.commit(line)
    return line


def _charged(price: TokenPrice, calls: int, read: int, written: int) -> Amount:
    usd = read * price.prompt_usd + written * price.output_usd
    return Amount(calls=calls, tokens=written, prompt_tokens=read, usd=usd)
