"""Who serves which role of the strategies (``coinfer/endpoints/1``), and the providers opened from that."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.executor import sandbox
from coinfer.executor.backends import open_backend
from coinfer.executor.strategies.ask import SANDBOX
from coinfer.executor.strategies.provider import LanguageModel, Provider, TokenPrice
from coinfer.executor.strategies.sandboxed import Sandboxed
from coinfer.executor.strategies.strategy import Need
from coinfer.models.endpoint import Endpoint
from coinfer.records import Document, Record

FORMAT = "coinfer/endpoints/1"


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
    """

    file_format = FORMAT

    roles: dict[str, RoleEndpoint]

    def __post_init__(self) -> None:
        if not self.roles or not all(name.strip() and name.isprintable() for name in self.roles):
            raise InputError("roles", expected="at least one role with a name", found=Plain(str(list(self.roles))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Endpoints that were reached.

    Attributes
    ----------
    providers, offers, prices
        By role; ``sandbox`` is this machine's, where it has one.
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
    return jsonfile.read(path, Endpoints, format_name=FORMAT)


@asynccontextmanager
async def opened(endpoints: Endpoints, *, timeout_s: float = 60.0) -> AsyncIterator[Opened]:
    """Open every endpoint, ask it what it offers, and close all in the end.

    Roles with equal endpoints share one backend, so that weights are loaded once.

    Raises
    ------
    EndpointError
        If one cannot be reached.
    BackendMissing, InputError
        If the package of one is not installed, or its file or key is not there.
    """
    async with AsyncExitStack() as stack:
        providers: dict[str, Provider] = {}
        shared: dict[Endpoint, LanguageModel] = {}
        for role, item in endpoints.roles.items():
            held = shared.get(item.endpoint)
            price = item.price or TokenPrice()
            if held is None:
                backend = open_backend(item.endpoint, timeout_s=timeout_s)
                stack.push_async_callback(backend.close)
                await backend.start()
                found = await backend.probe()
                offers: set[Need] = {"completions"}
                offers |= {"logprobs"} if found.logprobs else set()
                offers |= {"prefix"} if found.prefix else set()
                held = shared[item.endpoint] = LanguageModel(
                    backend,
                    price=price,
                    offers=frozenset(offers),
                    several=found.samples,
                    concurrency=item.endpoint.concurrency,
                    timeout_s=timeout_s,
                )
            providers[role] = held if held.price == price else held.at(price)
        reason = await asyncio.to_thread(sandbox.available)
        if reason is None:
            providers.setdefault(SANDBOX, Sandboxed())
        yield Opened(
            providers=providers,
            offers={role: provider.offers for role, provider in providers.items()},
            prices={role: item.price for role, item in endpoints.roles.items() if item.price is not None},
            missing={} if reason is None else {"sandbox": f"there is none on this machine: {reason}"},
        )
