"""Ctrl-C during a proof: the first one asks it to end, the second one raises."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.progress import Stop


def test_the_first_interrupt_sets_the_flag_and_the_second_raises() -> None:
    """One Ctrl-C is a wish, two are an order; afterwards the old handler is back."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stop = Stop()
        with interrupt_sets(stop):
            os.kill(os.getpid(), signal.SIGINT)
            assert stop
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_and_foreign_handlers_are_left_alone() -> None:
    """A host program's handler stays its own, and threads cannot set one."""
    seen: list[object] = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("mine"))
    try:
        with interrupt_sets(Stop()):
            os.kill(os.getpid(), signal.SIGINT)
        assert seen == ["mine"]
    finally:
        signal.signal(signal.SIGINT, before)

    def inside() -> None:
        with interrupt_sets(Stop()):
            seen.append("thread")

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == ["mine", "thread"]
