"""CBC: the binary that comes with PuLP, run on an MPS file.

PuLP itself is not asked: it calls a run that was cut short "Optimal". CBC's own time limit is not used either: cut
before its first node, CBC 2.10.3 says "proven infeasible" of programs that are not. A timer sends the signal
that Ctrl-C would, and no proof is believed afterwards.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coinfer.solver import export
from coinfer.solver.engines.printed import lower_end
from coinfer.solver.engines.task import Outcome, Task, missing
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram
from coinfer.solver.result import Status

_TREE = re.compile(r"After (\d+) nodes, .* (\S+) best solution, best possible (\S+) \(")
_PARTIAL = re.compile(r"Partial search - best objective (\S+) \(best possible ([^)]+)\)")
_FOUND = re.compile(r"Integer solution of (\S+) found .* after \d+ iterations and (\d+) nodes")
_NODES = re.compile(r"Enumerated nodes: +(\d+)")
# Only a search ends with "Result"; a linear program, or one that ends in preprocessing, ends with one of the others.
_LAST_WORDS = ("Result - ", "Optimal - objective value", "Problem is ", "Pre-processing says ")
_NOTHING = 1e49  # CBC prints 1e+50 for "none"
_INCREMENT = 1e-9  # what a better solution must gain, in scaled units; CBC's default of 1e-5 would cut off optima
_DIGITS = 6  # of the numbers in CBC's messages
_GRACE_S = 5.0
_REPEAT_S = 0.05


class Cbc:
    """CBC branch and cut in a child process."""

    equilibrate = True

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._cut = False

    def check(self, program: MixedIntegerProgram, limits: Limits) -> None:  # noqa: ARG002
        """Refuse nothing: CBC takes every program and every limit."""
        binary()

    def interrupt(self) -> None:
        """Send the child what Ctrl-C would; it ends its search and writes its incumbent."""
        if self._child is None or self._cut:
            return
        self._cut = True
        threading.Thread(target=_insist, args=(self._child,), daemon=True).start()

    def solve(self, task: Task) -> Outcome:
        """Run CBC; its bound is read from its messages, at the lower end of what they can mean."""
        with tempfile.TemporaryDirectory(prefix="coinfer-cbc-") as name:
            folder = Path(name)
            export.write_mps(replace(task.program, offset=0.0), folder / "program.mps")
            if task.start is not None:
                (folder / "start.txt").write_text(_start_text(task.program, task.start), encoding="ascii")
            timer = threading.Timer(task.limits.time_s or 0.0, self.interrupt)
            lines = self._run([binary(), *_arguments(task)], folder)
            if task.limits.time_s is not None:
                timer.start()
            try:
                log = _Log.read(lines, task)
            finally:
                timer.cancel()
                if self._child is not None and self._child.poll() is None:
                    self._child.kill()
            return _outcome(task, log, _point(folder / "point.bin", task.program), cut=self._cut)

    def _run(self, command: list[str], folder: Path) -> Iterator[str]:
        """Start the child and return its lines as it prints them."""
        # Into a pipe CBC would write 4 KiB at a time, minutes late; a terminal gets each line.
        ours, theirs = os.openpty() if hasattr(os, "openpty") else os.pipe()
        # A session of its own: the user's Ctrl-C goes to this process, which passes it on in order.
        self._child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        return _lines(self._child, ours)


def _lines(child: subprocess.Popen[bytes], descriptor: int) -> Iterator[str]:
    # Reading a terminal that the child has closed is an error, and the end.
    with contextlib.suppress(OSError), open(descriptor, encoding="utf-8", errors="replace") as stream:
        yield from stream
    child.wait()


def binary() -> str:
    """Return the path of PuLP's CBC.

    Raises
    ------
    BackendMissing
        If PuLP is not installed, or brings no CBC for this machine.
    """
    try:
        from pulp.apis import coin_api
    except ImportError as error:
        raise missing("cbc", "pulp") from error
    path = Path(coin_api.pulp_cbc_path).resolve()
    if not path.exists():
        raise missing("cbc", "pulp")
    return str(path)


def _insist(child: subprocess.Popen[bytes]) -> None:
    """Repeat the signal, which CBC forgets before its search has begun; after a while, kill."""
    until = time.monotonic() + _GRACE_S
    while child.poll() is None:
        if time.monotonic() > until:
            child.kill()
            return
        child.send_signal(signal.SIGINT)
        time.sleep(_REPEAT_S)


def _arguments(task: Task) -> list[str]:
    limits = task.limits
    arguments = ["program.mps", "-randomCbcSeed", str(limits.seed % 2**31), "-randomSeed", str(limits.seed % 2**31)]
    arguments += ["-ratioGap", repr(limits.relative_gap), "-allowableGap", repr(limits.absolute_gap)]
    # Preprocessing in 2.10.3 "strengthens" ranged rows past the optimum and calls the rest optimal.
    arguments += ["-increment", repr(_INCREMENT), "-preprocess", "off"]
    if limits.threads > 1:
        arguments += ["-threads", str(limits.threads)]
    if limits.nodes is not None:
        arguments += ["-maxNodes", str(min(limits.nodes, 2**31 - 1))]
    if task.start is not None:
        arguments += ["-mipStart", "start.txt"]
    # The binary file keeps all digits; the text file has eight.
    return [*arguments, "-solve", "-saveSolution", "point.bin"]


def _start_text(program: MixedIntegerProgram, start: NDArray[np.float64]) -> str:
    columns = export.names(program.variable_blocks)
    lines = [f"{j} {name} {number!r} 0" for j, (name, number) in enumerate(zip(columns, start.tolist(), strict=True))]
    return "\n".join(["Stopped on time - objective value 0", *lines]) + "\n"


@dataclass(slots=True)
class _Log:
    """What CBC's messages say: its best bound, its nodes, its last words."""

    bound: float = -math.inf
    nodes: int = 0
    result: str = ""
    version: str = "unknown"

    @classmethod
    def read(cls, lines: Iterable[str], task: Task) -> _Log:
        log = cls()
        for line in lines:
            log._take(line, task)
        return log

    def _take(self, line: str, task: Task) -> None:
        offset = task.program.offset
        tree, partial, found = _TREE.search(line), _PARTIAL.search(line), _FOUND.search(line)
        if tree or partial:
            value, bound = (tree.group(2), tree.group(3)) if tree else partial.groups()  # type: ignore[union-attr]
            if abs(float(bound)) < _NOTHING:
                self.bound = max(self.bound, lower_end(bound, significant=_DIGITS) + offset)
            self.nodes = int(tree.group(1)) if tree else self.nodes
            task.report(_or_infinite(value) + offset, self.bound, self.nodes)
        elif found:
            self.nodes = max(self.nodes, int(found.group(2)))
            task.report(_or_infinite(found.group(1)) + offset, self.bound, self.nodes)
        elif line.startswith(_LAST_WORDS) and not self.result:
            self.result = line.removeprefix("Result - ").strip()
        elif nodes := _NODES.match(line):
            self.nodes = int(nodes.group(1))
        elif line.startswith("Version:"):
            self.version = line.split()[1]


def _or_infinite(text: str) -> float:
    number = float(text)
    return number if abs(number) < _NOTHING else math.inf


def _point(path: Path, program: MixedIntegerProgram) -> NDArray[np.float64] | None:
    """Read the variables from CBC's binary solution: rows, columns, objective, two arrays per row, two per column."""
    if not path.exists():
        return None
    data = path.read_bytes()
    rows, columns = struct.unpack_from("ii", data)
    if columns != program.variables:
        return None
    return np.frombuffer(data, dtype=np.float64, count=columns, offset=16 + 16 * rows).copy()


def _outcome(task: Task, log: _Log, point: NDArray[np.float64] | None, *, cut: bool) -> Outcome:
    engine = f"cbc {log.version}"
    proven = not cut and log.result.startswith("Optimal")
    if proven and point is not None:
        gap = max(task.limits.absolute_gap, task.limits.relative_gap * abs(task.program.value(point)))
        bound = max(log.bound, task.program.value(point) - gap - _INCREMENT)
        return Outcome(status=Status.OPTIMAL, point=point, bound=bound, nodes=log.nodes, engine=engine)
    if not cut and "unbounded" in log.result:
        return Outcome(status=Status.UNBOUNDED, nodes=log.nodes, engine=engine)
    if not cut and "infeasible" in log.result:
        return Outcome(status=Status.INFEASIBLE, nodes=log.nodes, engine=engine)
    limit = "time" if cut and not task.interrupted.is_set() else "interrupt" if cut else "other"
    if "node limit" in log.result:
        limit = "nodes"
    return Outcome(status=Status.UNSOLVED, point=point, bound=log.bound, nodes=log.nodes, limit=limit, engine=engine)
