"""Programs of sessions, run by the scheduler in the sandbox of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from coinfer.errors import EndpointError, RequestError
from coinfer.executor import sandbox
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import Ran, RunProgram, Search
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.sandboxed import Sandboxed
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer, Session, Step
from coinfer.executor.strategies.strategy import Prior, Prompt, StrategyOption
from coinfer.testing.strategies import question

OPTION = StrategyOption(strategy="programs", settings={}, value=None, expected={}, worst={})


class Programs:
    """Runs two programs; the answer is what both printed."""

    name = "programs"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return none."""
        return ()

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Run both at once."""
        replies = yield Step(
            asks=(RunProgram(source="print(6 * 7)"), RunProgram(source="print(input()[::-1])", stdin="abc"))
        )
        return Answer(text="".join(each.stdout if isinstance(each, Ran) else "missing" for each in replies))


def answered(path: Path) -> tuple[str | None, int]:
    """Return what a session of programs ends with, and the calls that were made."""

    async def main() -> tuple[str | None, int]:
        header = SessionsHeader(work_sha256="0" * 64, seed=0)
        with SessionJournal(path, header) as journal:
            scheduler = SessionScheduler(providers={"sandbox": Sandboxed()}, journal=journal, options=RunOptions())
            found = await scheduler.run([Work(prompt=question(), strategy=Programs(), option=OPTION)])
            return found["q"].text, scheduler.spent.calls

    return asyncio.run(main())


def test_programs_are_run_and_a_resumed_run_does_not_repeat_them(tmp_path: Path) -> None:
    """Each program costs a call, and its output comes back from the journal the second time."""
    if (reason := sandbox.available()) is not None:
        pytest.skip(reason)
    assert answered(tmp_path / "journal") == ("42\ncba\n", 2)
    lines = (tmp_path / "journal").read_text().count("\n")
    assert answered(tmp_path / "journal") == ("42\ncba\n", 2)
    assert (tmp_path / "journal").read_text().count("\n") == lines


def test_without_a_sandbox_a_program_is_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never run in another way; and the role takes programs alone."""
    monkeypatch.setattr(sandbox.probe, "probed", lambda: sandbox.probe.Probed(method=None, reason="no kernel"))
    with pytest.raises(EndpointError, match="no kernel"):
        asyncio.run(Sandboxed().serve(RunProgram(source="print(1)"), seed=0))
    with pytest.raises(RequestError, match="a program"):
        asyncio.run(Sandboxed().serve(Search(query="x"), seed=0))
