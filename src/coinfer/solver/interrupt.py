"""Ctrl-C during a search written in Python: it ends soon and keeps what it has."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from coinfer.solver.progress import Stop


@contextmanager
def interrupt_sets(stop: Stop) -> Iterator[None]:
    """Let the first Ctrl-C set ``stop`` instead of raising; the second one raises as ever.

    Does nothing outside the main thread, or where the host program has a handler of its own.
    """
    default = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not default:
        yield
        return

    def first(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, default)

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, default)
