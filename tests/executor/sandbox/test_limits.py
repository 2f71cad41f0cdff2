"""Programs that take too much, and how they end."""

from __future__ import annotations

import textwrap

import pytest

from coinfer.errors import RequestError
from coinfer.executor.sandbox import Limits

MIB = 2**20


@pytest.mark.parametrize(
    ("source", "limits", "ended"),
    [
        ("print('x')", {}, "ok"),
        ("raise SystemExit(0)", {}, "ok"),
        ("raise SystemExit(3)", {}, "error"),
        ("1 / 0", {}, "error"),
        ("this is no Python", {}, "error"),
        ("import os; os._exit(7)", {}, "error"),
        ("import os; os.abort()", {}, "killed"),
        ("import ctypes; ctypes.string_at(0)", {}, "killed"),
        ("while True: pass", {"wall_s": 0.6}, "time"),
        ("while True: pass", {"cpu_s": 1}, "time"),
        pytest.param(
            "import signal; signal.signal(24, signal.SIG_IGN)\nwhile True: pass",
            {"cpu_s": 1},
            "time",
            marks=pytest.mark.slow,
        ),
        ("import time; time.sleep(60)", {"wall_s": 0.6}, "time"),
        ("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)", {"wall_s": 0.6}, "time"),
        ("import os; os.close(1); os.close(2); os.close(0)\nwhile True: pass", {"wall_s": 0.6}, "time"),
        ("x = bytearray(10**10)", {}, "memory"),
        ("x = []\nwhile True: x.append(bytearray(2**20))", {"memory_bytes": 256 * MIB}, "memory"),
        ("while True: print('x' * 1000)", {}, "output"),
        ("import sys\nwhile True: sys.stderr.write('x' * 1000)", {}, "output"),
        ("import os\nwhile True: os.write(1, b'\\xff' * 65536)", {}, "output"),
        ("def f(): return f()\nf()", {}, "error"),
        ("import os; os.kill(os.getpid(), 9)", {}, "killed"),
        ("import os; os.kill(os.getpid(), 15)", {}, "killed"),
    ],
)
def test_each_end_has_its_name(sandboxed, source: str, limits: dict[str, float], ended: str) -> None:
    """Too much time, memory or output, errors and signals are told apart."""
    assert sandboxed(source, **limits).ended == ended


def test_recursion_without_end_takes_down_the_program_alone(sandboxed) -> None:
    """With the interpreter's own limit lifted it ends by memory, by a signal, or by an error, as the version has it."""
    source = "import sys; sys.setrecursionlimit(10**9)\nclass C:\n    def __repr__(self): return repr(C())\nrepr(C())"
    assert sandboxed(source, memory_bytes=64 * MIB).ended in ("error", "memory", "killed")


def test_a_fork_bomb_stays_small(sandboxed) -> None:
    """Processes and threads stop at the limit, and all of them end with the program."""
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    assert sandboxed(bomb, wall_s=1.0).ended in ("time", "killed")
    count = """
        import os, time
        made = 0
        try:
            for _ in range(100):
                if os.fork() == 0:
                    time.sleep(60)
                made += 1
        except BlockingIOError:
            pass
        print(made)
    """
    ran = sandboxed(textwrap.dedent(count), processes=6)
    assert ran.ended == "ok"
    assert int(ran.stdout) <= 6
    threads = """
        import threading, time
        made = 0
        try:
            for _ in range(100):
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                made += 1
        except RuntimeError:
            print(made)
    """
    assert int(sandboxed(textwrap.dedent(threads), processes=6).stdout) <= 6


def test_files_stay_within_their_limits(sandboxed) -> None:
    """One file, all files together, their number, and open ones: each limit is met by an error, not by the machine."""
    attempt = "def attempt(action):\n    try:\n        print(action())\n"
    attempt += "    except OSError as error:\n        print(error.errno)\n"
    big = attempt + f"attempt(lambda: open('f', 'wb').write(bytes({2 * MIB})))"
    assert sandboxed(big, file_bytes=MIB).stdout.strip() == "27"
    many = attempt + f"for n in range(5):\n    attempt(lambda: open(str(n), 'wb', 0).write(bytes({MIB})))"
    held = [int(line) for line in sandboxed(many, file_bytes=MIB, folder_bytes=2 * MIB).stdout.split()]
    assert sum(size for size in held if size > 100) <= 2 * MIB
    assert 28 in held
    handles = (
        attempt + "held = []\nattempt(lambda: [held.append(open('/dev/null')) for _ in range(1000)])\nprint(len(held))"
    )
    assert int(sandboxed(handles, open_files=20).stdout.split()[-1]) <= 20


def test_memory_that_belongs_to_no_process_is_refused(sandboxed) -> None:
    """Shared segments and files in memory would pass the limit of a process; there are none, or small ones."""
    program = """
        import ctypes, os
        libc = ctypes.CDLL(None)
        print(libc.shmget(0, ctypes.c_size_t(2**31), 0o1600) >= 0)
        try:
            handle = os.memfd_create("x")
            os.ftruncate(handle, 2**31)
            print(True)
        except OSError:
            print(False)
    """
    assert sandboxed(textwrap.dedent(program)).stdout.split()[1] == "False"


def test_it_reads_its_input_and_no_more(sandboxed) -> None:
    """Standard input is what was given, whole, in UTF-8, and then it ends; absent, it is empty."""
    text = "zwei Wörter\n" + "x" * 300_000 + "\N{SNOWMAN}"
    ran = sandboxed(
        "import sys; t = sys.stdin.read(); print(len(t), t[:4], ascii(t[-1]), sys.stdin.read() == '')", stdin=text
    )
    assert ran.stdout == f"{len(text)} zwei '\\u2603' True\n"
    assert sandboxed("import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


def test_output_is_cut_and_what_was_printed_before_an_end_is_kept(sandboxed) -> None:
    """Text before the limit or before the wall time is there; invalid bytes are replaced; the end of errors is kept."""
    ran = sandboxed("print('first', flush=True)\nimport time; time.sleep(60)", wall_s=0.6)
    assert (ran.stdout, ran.ended) == ("first\n", "time")
    ran = sandboxed("while True: print('y' * 999)", output_bytes=5000)
    assert len(ran.stdout) == 5000
    ran = sandboxed("import os; os.write(1, b'a\\xffb'); raise ValueError('z' * 5000 + 'the end')")
    assert ran.stdout == "a\N{REPLACEMENT CHARACTER}b"
    assert ran.stderr.endswith("the end\n")
    assert len(ran.stderr) <= 2000


def test_the_standard_library_is_there(sandboxed) -> None:
    """Modules that programs use can be imported, and Python runs isolated, in UTF-8."""
    names = (
        "math, json, re, itertools, collections, decimal, fractions, random, statistics, datetime, sqlite3, zlib, heapq"
    )
    ran = sandboxed(f"import {names}, sys\nprint(sys.flags.isolated, sys.flags.no_site, sys.flags.utf8_mode)")
    assert (ran.ended, ran.stdout) == ("ok", "1 1 1\n"), ran.stderr


def test_sources_that_are_no_text_of_unicode_end_as_errors(sandboxed) -> None:
    """Half characters and null characters are errors of the program, not of the sandbox."""
    assert sandboxed("x = '\ud800'").ended == "error"
    assert sandboxed("x = '\0'").ended == "error"
    assert sandboxed("", stdin="\ud800").ended == "ok"


@pytest.mark.parametrize("fields", [{"wall_s": 0.0}, {"cpu_s": -1}, {"wall_s": float("nan")}, {"processes": 0}])
def test_limits_are_above_nothing(fields: dict[str, float]) -> None:
    """A limit of zero, below, or not a number is refused in a sentence."""
    with pytest.raises(RequestError, match="expected a number above 0"):
        Limits(**fields)
