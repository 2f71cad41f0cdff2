"""The journal survives being cut anywhere, and belongs to one run and one process."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path

import msgspec
import pytest

from coinfer.errors import InputError, PlanMismatch
from coinfer.executor.budget import Amount
from coinfer.executor.journal import AnswerLine, CallLine, FailureLine, Header, Journal
from coinfer.profiler.measurement import Measurement

HEADER = Header(plan_sha256="p", requests_sha256="r", temperature=0.0, seed=0)
ROW = Measurement(device="d", model="m", engine="e", phase="request", seconds=1.0, source="measured")


def call(number: int) -> CallLine:
    """Return the line of a call that may cost ten tokens."""
    return CallLine(call=number, request=f"r{number}", expert="m", reserved=Amount(calls=1, tokens=10))


def answer(number: int) -> AnswerLine:
    """Return the line of an answer of three tokens, with separators that a careless reader takes for line ends."""
    return AnswerLine(
        call=number,
        request=f"r{number}",
        expert="m",
        text='a"\u2028\x85\n{b',
        finish="stop",
        calls=1,
        fallback=False,
        measurement=ROW,
        charged=Amount(calls=1, tokens=3),
        elapsed_s=float(number + 1),
    )


def write(path: Path, count: int) -> bytes:
    """Write a journal of ``count`` answered calls and return its bytes."""

    async def main() -> None:
        with Journal(path, HEADER) as journal:
            for number in range(count):
                journal.append(call(number))
                await journal.commit(answer(number))

    asyncio.run(main())
    return path.read_bytes()


def test_a_journal_reads_back_what_was_written(tmp_path: Path) -> None:
    """Answers, their order, costs and times come back, and reading changes no byte."""
    path = tmp_path / "j"
    content = write(path, 4)
    with Journal(path, HEADER) as journal:
        assert list(journal.answers.values()) == [answer(number) for number in range(4)]
        assert journal.spent == Amount(calls=4, tokens=12)
        assert (journal.elapsed_s, journal.calls) == (4.0, 4)
    assert path.read_bytes() == content


def test_a_journal_may_be_cut_at_any_byte(tmp_path: Path) -> None:
    """After a cut anywhere, exactly the answers whose line is whole stand, and the file can be written on."""
    path = tmp_path / "j"
    content = write(path, 2)
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        lines = content[:length].split(b"\n")[:-1]
        with Journal(path, HEADER) as journal:
            answers = sum(b'"answer"' in line for line in lines)
            calls = sum(b'"event":"call"' in line for line in lines)
            assert len(journal.answers) == answers
            # a call without its end is charged in full: nobody knows what it cost
            assert journal.spent == Amount(calls=calls, tokens=3 * answers + 10 * (calls - answers))
            journal.append(call(9))
        with Journal(path, HEADER) as journal:
            assert journal.calls == 10


def test_failures_are_charged(tmp_path: Path) -> None:
    """A failed call is charged what its line says, and answers nothing."""
    path = tmp_path / "j"
    with Journal(path, HEADER) as journal:
        journal.append(call(0))
        failed = Amount(calls=1, tokens=10)
        journal.append(FailureLine(call=0, request="r0", expert="m", reason="no", charged=failed, elapsed_s=2.0))
    with Journal(path, HEADER) as journal:
        assert (journal.answers, journal.spent, journal.elapsed_s) == ({}, failed, 2.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan_sha256": "x"}, "another plan"),
        ({"requests_sha256": "x"}, "other requests"),
        ({"temperature": 1.0}, "another temperature"),
        ({"seed": 1}, "another seed"),
    ],
)
def test_a_journal_of_another_run_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    """Another plan, other requests and another decoding are named, and the file stays as it is."""
    path = tmp_path / "j"
    content = write(path, 1)
    with pytest.raises(PlanMismatch, match=words):
        Journal(path, msgspec.structs.replace(HEADER, **change))
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b'{"format": "coinfer/plan/1"}\n', b"\xff\n", b"{}\n"])
def test_another_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A file that is no journal is refused and keeps every byte, with a line end or without."""
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(InputError, match="notes"):
        Journal(path, HEADER)
    assert path.read_bytes() == content


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    """Damage that no crash explains is not skipped over: an answer could be lost."""
    path = tmp_path / "j"
    lines = write(path, 2).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{broken\n", *lines[3:]]))
    with pytest.raises(InputError, match="line 3"):
        Journal(path, HEADER)


def _try_to_open(path: Path, queue: multiprocessing.Queue[str]) -> None:
    try:
        Journal(path, HEADER).close()
        queue.put("opened")
    except InputError as error:
        queue.put(str(error))


def test_two_processes_cannot_hold_one_journal(tmp_path: Path) -> None:
    """A second process is refused while the first runs, and let in afterwards."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[str] = context.Queue()

    def from_another_process() -> str:
        process = context.Process(target=_try_to_open, args=(tmp_path / "j", queue))
        process.start()
        said = queue.get(timeout=60)
        process.join()
        return said

    with Journal(tmp_path / "j", HEADER), pytest.raises(InputError, match="nobody holds"):
        Journal(tmp_path / "j", HEADER)
    journal = Journal(tmp_path / "j", HEADER)
    try:
        held = from_another_process()
    finally:
        journal.close()
    assert "another process" in held
    with Journal(tmp_path / "j", HEADER):
        pass


def test_a_journal_in_no_folder_is_a_sentence(tmp_path: Path) -> None:
    """A path that cannot be written is refused."""
    with pytest.raises(InputError, match="writable journal file"):
        Journal(tmp_path / "none" / "j", HEADER)
