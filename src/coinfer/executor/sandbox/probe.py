"""Whether there is a sandbox on this machine: found out by trying to get out of it."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from coinfer.errors import EndpointError
from coinfer.executor.sandbox.limits import Limits
from coinfer.executor.sandbox.process import Method, Running, methods
from coinfer.executor.strategies.ask import Ran, RunProgram

_SECRET = "coinfer-probe"  # noqa: S105  # what the probe must not be able to read
_PROGRAM = """
import ctypes, json, os, resource, socket, sys
port, path = sys.stdin.read().split("\\n")
found = []
def attempt(name, action):
    try:
        action()
    except OSError:
        return
    found.append(name)
attempt("the network", lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=2).close())
attempt("the host of this virtual machine (libseccomp would close it)", lambda: socket.socket(40, 1).close())
attempt("files of the user", lambda: open(path).close())
attempt("files of the machine", lambda: open("/etc/passwd").close())
attempt("other processes", lambda: open("/proc/1/environ").close())
attempt("a place outside its folder", lambda: open("/outside", "w").close())
if os.getuid() == 0 or ctypes.CDLL(None).unshare(0x10000000) == 0:
    found.append("privileges")
if os.getpid() > 9:
    found.append("processes of others")
if resource.getrlimit(resource.RLIMIT_AS)[1] == resource.RLIM_INFINITY:
    found.append("unlimited memory")
if set(os.environ) - {"LD_LIBRARY_PATH", "LC_CTYPE"}:
    found.append("the environment")
open("inside", "w").close()
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What was found out.

    Attributes
    ----------
    method
        What holds; ``None``: nothing does.
    reason
        Why not, in words; empty where something holds.
    """

    method: Method | None
    reason: str = ""


@functools.cache
def probed() -> Probed:
    """Try every way once per process, and keep the first that holds."""
    try:
        import os
        import resource  # noqa: F401  # absent where there is no Linux

        os.pidfd_open  # noqa: B018
    except (ImportError, AttributeError):
        return Probed(method=None, reason="programs run in a sandbox on Linux only")
    reasons = []
    for method in methods():
        reason = fault(method)
        if reason is None:
            return Probed(method=method)
        reasons.append(f"{method}: {reason}")
    return Probed(method=None, reason="; ".join(reasons))


def fault(method: Method) -> str | None:
    """Return why a way does not hold: it cannot be gone, or what a program in it could reach; ``None``: it holds."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        secret = Path(folder) / "secret"
        secret.write_text(_SECRET)
        stdin = f"{server.getsockname()[1]}\n{secret}"
        try:
            ran = Running(method=method, limits=Limits()).run(RunProgram(source=_PROGRAM, stdin=stdin))
        except EndpointError as error:
            return str(error).removeprefix("sandbox: ")
    try:
        reached = json.loads(ran.stdout) if ran.ended == "ok" else None
    except ValueError:
        reached = None
    if not isinstance(reached, list):
        last = ran.stderr.strip().rpartition("\n")[2]
        return f"the probe ended with {ran.ended!r}: {last}" if last else f"the probe ended with {ran.ended!r}"
    return f"a program could reach {', '.join(map(str, reached))}" if reached else None


def available() -> str | None:
    """Return ``None`` where programs can be run, or the reason why they cannot be, in words."""
    found = probed()
    return None if found.method else found.reason


def run_blocking(program: RunProgram, limits: Limits | None = None) -> Ran:
    """Run a program and wait for it.

    Parameters
    ----------
    program
        Its source and what it reads.
    limits
        What it may take; absent: the defaults.

    Raises
    ------
    EndpointError
        If there is no sandbox: a program is never run without one.
    """
    return _running(limits).run(program)


async def run(program: RunProgram, limits: Limits | None = None) -> Ran:
    """Run a program as :func:`run_blocking` does, in a thread; where the task is cancelled, the program is killed."""
    running = await asyncio.to_thread(_running, limits)
    task = asyncio.ensure_future(asyncio.to_thread(running.run, program))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        running.stop()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it was given up: nobody wants to hear of its failure
        raise


def _running(limits: Limits | None) -> Running:
    found = probed()
    if found.method is None:
        raise EndpointError(f"sandbox: there is none on this machine: {found.reason}")
    return Running(method=found.method, limits=limits or Limits())
