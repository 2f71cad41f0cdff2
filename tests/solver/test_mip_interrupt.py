"""Ctrl-C ends a native solve with its incumbent and its bound."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from coinfer.solver import mip

# Prints "running" once there is an incumbent, so that the signal meets a solve in full flight.
_PROGRAM = """
import sys
from coinfer.solver import mip
from coinfer.solver.limits import Limits
from coinfer.testing.programs import market_split

def listen(progress):
    if progress.value < float("inf"):
        print("running", flush=True)

program = market_split(integer_slack=True)
result = mip.solve(program, engine=sys.argv[1], limits=Limits(time_s=100.0), on_progress=listen)
print("ended", result.status.value, result.limit, result.value, result.bound, flush=True)
"""


@pytest.mark.parametrize("engine", mip.ENGINES)
def test_ctrl_c_keeps_incumbent_and_bound(engine: str) -> None:
    """After SIGINT the process prints status, value and bound, and exits normally."""
    command = [sys.executable, "-c", _PROGRAM, engine]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    ended, status, limit, value, bound = output.splitlines()[-1].split()
    assert (ended, status, limit) == ("ended", "feasible", "interrupt")
    assert 0.0 <= float(bound) <= float(value) < float("inf")


_STUBBORN = """
import signal, threading, time
from coinfer.solver import mip
from coinfer.solver.engines.task import Outcome
from coinfer.solver.result import Status
from coinfer.testing.programs import market_split

class Deaf(mip.Highs):
    def solve(self, task):
        time.sleep(60)

mip._ENGINES = {"deaf": Deaf}
for delay in (0.3, 0.8):
    threading.Timer(delay, signal.raise_signal, [signal.SIGINT]).start()
try:
    mip.solve(market_split(), engine="deaf")
except KeyboardInterrupt:
    print("raised", flush=True)
"""


def test_second_ctrl_c_is_raised() -> None:
    """When an engine does not listen, a second Ctrl-C leaves it behind."""
    answer = subprocess.run([sys.executable, "-c", _STUBBORN], capture_output=True, text=True, timeout=50, check=False)
    assert answer.stdout == "raised\n", answer.stderr
