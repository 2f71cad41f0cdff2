"""Where there is no sandbox nothing is run, and the reason is told; where there is one it obeys its caller."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from coinfer.errors import EndpointError
from coinfer.executor import sandbox
from coinfer.executor.sandbox import Limits, probe, process
from coinfer.executor.strategies.ask import RunProgram

PROGRAM = RunProgram(source="print('ran')")
needs_sandbox = pytest.mark.skipif(sandbox.available() is not None, reason=sandbox.available() or "")


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget what was probed, before and after."""
    probe.probed.cache_clear()
    yield
    probe.probed.cache_clear()


def assert_closed(reason: str) -> None:
    """Check that nothing runs, and why."""
    assert reason in (sandbox.available() or "")
    with pytest.raises(EndpointError, match="there is none on this machine"):
        sandbox.run_blocking(PROGRAM)
    with pytest.raises(EndpointError, match="there is none on this machine"):
        asyncio.run(sandbox.run(PROGRAM))


@pytest.mark.usefixtures("fresh")
def test_where_namespaces_are_forbidden_no_program_runs(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """A launcher that cannot leave its namespaces says so; that is the reason, and programs are refused."""
    source = process._LAUNCHER.read_text()
    forbidden = tmp_path / "launcher.py"
    forbidden.write_text(source.replace("    others =", '    raise OSError(1, "no namespaces")\n    others ='))
    monkeypatch.setattr(process, "_LAUNCHER", forbidden)
    monkeypatch.setattr(probe, "methods", lambda: ("namespaces",))
    assert_closed("no namespaces" if sys.platform == "linux" else "Linux only")


@pytest.mark.usefixtures("fresh")
@needs_sandbox
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"CLONE_NEWIPC | CLONE_NEWPID": "CLONE_NEWIPC"}, "processes of others"),
        ({" | CLONE_NEWNET": "", "    socket ": "    "}, "the network"),
        ({'config["limits"])': "{})"}, "unlimited memory"),
        ({'call("umount2", b"/old", MNT_DETACH)': 'bind("/old/etc", "/new/etc")'}, "files of the machine"),
        ({'config["environment"])': "{'KEY': 'x'} | config['environment'])"}, "the environment"),
    ],
)
def test_a_sandbox_that_leaks_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path, changes: dict[str, str], reason: str
) -> None:
    """The probe looks: a launcher that leaves a way out is found, and programs are refused."""
    source = process._LAUNCHER.read_text()
    for right, wrong in changes.items():
        assert right in source
        source = source.replace(right, wrong)
    leaking = tmp_path / "launcher.py"
    leaking.write_text(source)
    monkeypatch.setattr(process, "_LAUNCHER", leaking)
    monkeypatch.setattr(probe, "methods", lambda: ("namespaces",))
    assert_closed(reason)


@pytest.mark.usefixtures("fresh")
def test_where_nothing_can_be_started_no_program_runs(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """An interpreter that is not there is a reason, not a traceback."""
    monkeypatch.setattr(process, "host_python", lambda: tmp_path / "no-python")
    monkeypatch.setattr(probe, "methods", lambda: ("namespaces",))
    assert_closed("cannot start a process" if sys.platform == "linux" else "Linux only")


@needs_sandbox
def test_programs_run_at_the_same_time_and_keep_apart() -> None:
    """Ten programs at once each get their own input, folder and answer."""
    source = "import os, sys\nn = sys.stdin.read()\nopen('mine', 'w').write(n)\nprint(n, os.listdir('.'))"

    async def all_of_them() -> list[str]:
        ran = await asyncio.gather(*(sandbox.run(RunProgram(source=source, stdin=str(n))) for n in range(10)))
        return [each.stdout for each in ran]

    assert asyncio.run(all_of_them()) == [f"{n} ['mine']\n" for n in range(10)]


@needs_sandbox
def test_a_cancelled_run_is_killed() -> None:
    """When the task is given up the program ends with it, long before its time."""

    async def give_up() -> None:
        task = asyncio.create_task(sandbox.run(RunProgram(source="import time; time.sleep(500)"), Limits(wall_s=600)))
        await asyncio.sleep(0.4)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(give_up())


@needs_sandbox
def test_when_the_caller_is_killed_the_program_is_too(tmp_path) -> None:
    """Killed with no chance to clean up, the caller leaves nothing behind: the program's pipes close."""
    source = "import time; print('up', flush=True); time.sleep(500)"
    caller = (
        "from coinfer.executor import sandbox; from coinfer.executor.strategies.ask import RunProgram\n"
        "import coinfer.executor.sandbox.process as p, os, sys\n"
        "sandbox.available(); print('ready', flush=True)\n"
        f"sandbox.run_blocking(RunProgram(source={source!r}), sandbox.Limits(wall_s=600))"
    )
    import psutil

    with subprocess.Popen([sys.executable, "-c", caller], stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "ready\n"
        family = []
        for _ in range(200):
            family = psutil.Process(held.pid).children(recursive=True)
            if len(family) >= 3:
                break
            asyncio.run(asyncio.sleep(0.02))
        assert len(family) >= 3
        os.kill(held.pid, signal.SIGKILL)
        held.wait()
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []
