"""Who serves which role of the strategies (``coinfer/endpoints/1``), and the providers opened from that."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from coinfer import jsonfile
from coinfer.errors import EndpointError, InputError, Plain
from coinfer.executor import sandbox
from coinfer.executor.backends import open_backend
from coinfer.executor.backends.base import Backend, RetryableError
from coinfer.executor.backends.openai_probe import ATTEMPTS, PROBE_CALLS, PROBE_OUTPUT_TOKENS, PROBE_PROMPT_TOKENS
from coinfer.executor.backends.transformers import TransformersBackend
from coinfer.executor.budget import Amount, Ledger
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import ANSWER, DECODER, RETRIEVER, SANDBOX
from coinfer.executor.strategies.decoding.provider import InProcess, in_process
from coinfer.executor.strategies.journal import AskLine, LossLine, ProbeLine, SessionJournal
from coinfer.executor.strategies.passages import PassageFile, RetrieverSource, opened_retriever
from coinfer.executor.strategies.programs import PromptStrategy, own_programs
from coinfer.executor.strategies.provider import LanguageModel, Provider, TokenPrice
from coinfer.executor.strategies.sandboxed import Sandboxed
from coinfer.executor.strategies.strategy import Need
from coinfer.models.endpoint import Endpoint
from coinfer.records import Document, Record

FORMAT = "coinfer/endpoints/1"
MOST_PROBED = (
    ATTEMPTS * PROBE_CALLS,
    ATTEMPTS * PROBE_CALLS * PROBE_PROMPT_TOKENS,
    ATTEMPTS * PROBE_OUTPUT_TOKENS,
)
"""Calls, prompt tokens and output tokens that finding out what an endpoint offers takes at most."""


class RoleEndpoint(Record, frozen=True, kw_only=True):
    """Who serves a role.

    Attributes
    ----------
    endpoint
        Where the language model can be reached.
    price
        What its tokens cost; absent: nothing.
    """

    endpoint: Endpoint
    price: TokenPrice | None = None


class Endpoints(Document, frozen=True, kw_only=True):
    """A file of endpoints.

    Attributes
    ----------
    roles
        By role: ``answer`` answers, other roles are named by the strategies (``judge``, ``specialist`` ...).
    retriever
        Who finds passages; absent: nobody.
    programs
        Files of prompt programs that plans may name (``coinfer/prompt-program/1``). A relative path starts at the
        folder of this file.
    """

    file_format = FORMAT

    roles: dict[str, RoleEndpoint]
    retriever: RetrieverSource | None = None
    programs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.retriever is not None and RETRIEVER in self.roles:
            raise InputError("roles", expected="no language model in the role 'retriever'", found=Plain("one"))
        if not self.roles or not all(name.strip() and name.isprintable() for name in self.roles):
            raise InputError("roles", expected="at least one role with a name", found=Plain(str(list(self.roles))))
        if DECODER in self.roles:
            raise InputError("roles", expected="other names: the models in process make up this role", found=DECODER)


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


def read_endpoints(path: str | os.PathLike[str]) -> Endpoints:
    """Read a file of endpoints.

    Raises
    ------
    InputError
        If it is none.
    """
    found, folder = jsonfile.read(path, Endpoints, format_name=FORMAT), Path(path).parent
    retriever = found.retriever
    if isinstance(retriever, PassageFile):
        retriever = PassageFile(file=str(folder / retriever.file))
    programs = tuple(str(folder / each) for each in found.programs)
    return msgspec.structs.replace(found, retriever=retriever, programs=programs)


def programs_of(endpoints: Endpoints) -> dict[str, PromptStrategy]:
    """Return the prompt programs that a file of endpoints names, as strategies by their names.

    Raises
    ------
    InputError
        If a file is none, or two have the same name.
    """
    return own_programs(endpoints.programs)


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
            held = shared.get(item.endpoint)
            price = item.price or TokenPrice()
            if held is None:
                backend = backends[item.endpoint] = open_backend(item.endpoint, timeout_s=options.timeout_s)
                stack.push_async_callback(backend.close)
                await backend.start()
                known = await probed(role, item, backend, journal, options)
                held = shared[item.endpoint] = LanguageModel(
                    backend,
                    price=price,
                    offers=frozenset(cast("tuple[Need, ...]", known.offers)),
                    several=known.several,
                    concurrency=item.endpoint.concurrency,
                    timeout_s=options.timeout_s,
                )
            providers[role] = held if held.price == price else held.at(price)
            whose = backends[item.endpoint]
            if isinstance(whose, TransformersBackend):
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
            prices={role: item.price for role, item in endpoints.roles.items() if item.price is not None},
            missing=missing,
        )


async def probed(
    role: str, item: RoleEndpoint, backend: Backend, journal: SessionJournal, options: RunOptions
) -> ProbeLine:
    """Return what an endpoint offers: as the journal says, or else as it shows when it is asked."""
    earlier, name = journal.probes.get(role), jsonfile.sha256(item.endpoint)
    if earlier is not None and earlier.endpoint_sha256 == name:
        return earlier
    price = item.price or TokenPrice()
    most = _charged(price, *MOST_PROBED) if item.endpoint.backend == "openai" else Amount()
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
    offers = ("completions", *(["logprobs"] if found.logprobs else []), *(["prefix"] if found.prefix else []))
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
