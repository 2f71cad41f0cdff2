"""Runs programs by every way that holds on this machine; the others are skipped with the reason."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from coinfer.executor.sandbox import Limits
from coinfer.executor.sandbox.probe import fault
from coinfer.executor.sandbox.process import Method, Running, methods
from coinfer.executor.strategies.ask import Ran, RunProgram

Runner = Callable[..., Ran]
WITHOUT_FILTER = "could reach the host of this virtual machine (libseccomp would close it)"
"""What a machine without that library lacks, as documented: it has no sandbox, and that is no defect."""


@functools.cache
def why_not(method: Method) -> str | None:
    """Return why a way cannot be tried here."""
    if method not in methods():
        return f"{method} is not to be used here"
    return fault(method)


@pytest.fixture(params=["namespaces", "bubblewrap"])
def sandboxed(request: pytest.FixtureRequest) -> Runner:
    """Return a function that runs a program with given limits."""
    reason = why_not(request.param)
    if reason is not None and "could reach" in reason and not reason.endswith(WITHOUT_FILTER):
        pytest.fail(reason)  # a sandbox that leaks is a defect, not a lack of this machine
    if reason is not None:
        pytest.skip(reason)

    def run(source: str, *, stdin: str = "", **limits: Any) -> Ran:
        made = Limits(**{"wall_s": 5.0, **limits})
        return Running(method=request.param, limits=made).run(RunProgram(source=source, stdin=stdin))

    return run
