"""Serve a plan: endpoints opened, caps and journal as in a run, the front on an address."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import BackendMissing, InputError, Plain
from coinfer.executor.options import RunOptions
from coinfer.executor.serve.app import Limits, application
from coinfer.executor.serve.service import Service
from coinfer.executor.strategies.endpoints import Endpoints, programs_of
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.opening import opened
from coinfer.executor.strategies.scheduler import SessionScheduler
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision


async def serve(
    problem: BudgetProblem,
    decision: BudgetDecision,
    endpoints: Endpoints,
    *,
    journal_path: Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    key: str | None = None,
    options: RunOptions | None = None,
    limits: Limits | None = None,
    max_tokens: int = 1024,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    problem, decision
        The plan.
    endpoints
        Who serves its roles.
    journal_path
        What was spent stands there; a new file, or one of this plan: the caps hold over all parts.
    host, port
        Address; port 0: any free one.
    key
        Bearer key; needed for an address that others can reach.
    options
        Concurrency, repetition and hard caps.
    limits, max_tokens
        Of requests.
    on_ready
        Called with the base address when requests can come.

    Raises
    ------
    InputError
        If the address is no loopback one and there is no key, or cannot be listened at.
    BackendMissing
        If uvicorn or Starlette is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise BackendMissing("the front needs uvicorn; install it with: pip install 'coinfer[serve]'") from error
    if key is None and not _loopback(host):
        raise InputError("key", expected=f"a key, since others can reach {host}", found=Plain("none"))
    options, programs = options or RunOptions(), programs_of(endpoints)
    header = SessionsHeader(work_sha256=f"served/{jsonfile.sha256(problem)}", seed=options.seed)
    with SessionJournal(journal_path, header) as journal:
        async with opened(endpoints, journal=journal, options=options) as reached:
            scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=options)
            service = Service(
                problem, decision, scheduler, max_tokens=max_tokens, first=journal.calls, programs=programs
            )
            app = application(service, key=key, limits=limits)
            config = uvicorn.Config(app, host=host, port=port, log_level="warning", server_header=False)
            server = uvicorn.Server(config)
            try:
                with config.bind_socket() as socket:
                    if on_ready is not None:
                        on_ready(f"http://{_shown(host)}:{socket.getsockname()[1]}/v1")
                    await server.serve(sockets=[socket])
            except SystemExit as error:
                raise InputError(f"{host}:{port}", expected="an address to listen at", found=Plain("none")) from error


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
