"""The role ``sandbox``: programs of sessions, run in the sandbox of this machine."""

from __future__ import annotations

import os
import time

from coinfer.errors import Plain, RequestError
from coinfer.executor import sandbox
from coinfer.executor.budget import Amount
from coinfer.executor.strategies.ask import Ask, RunProgram
from coinfer.executor.strategies.provider import Served
from coinfer.executor.strategies.strategy import Need


class Sandboxed:
    """Runs programs, as many at once as there are processors; a program costs a call.

    Parameters
    ----------
    limits
        What each may take; absent: the defaults.
    """

    def __init__(self, limits: sandbox.Limits | None = None) -> None:
        self._limits = limits
        self.offers: frozenset[Need] = frozenset({"sandbox"})
        self.concurrency = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def parts(self, ask: Ask) -> tuple[Ask, ...]:
        """Return the program itself."""
        return (ask,)

    def worst(self, ask: Ask) -> Amount:  # noqa: ARG002  # a program costs a call
        """Return one call."""
        return Amount(calls=1)

    async def serve(self, ask: Ask, *, seed: int) -> Served:  # noqa: ARG002  # a program has no seed
        """Run a program; raises EndpointError where there is no sandbox."""
        if not isinstance(ask, RunProgram):
            raise RequestError("ask", expected="a program", found=Plain(type(ask).__name__))
        started_s = time.perf_counter()
        ran = await sandbox.run(ask, self._limits)
        return Served(reply=ran, charged=Amount(calls=1), seconds=time.perf_counter() - started_s)
