"""The measurements file: every complete row survives, everything else is a sentence."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import CoinferError, InputError, ProfileError
from coinfer.profiler.measurement import FORMAT, Measurement, append_measurements, read_measurements
from coinfer.testing.profiles import measurements

HEADER = f'{{"format": "{FORMAT}"}}\n'
ROW = Measurement(device="d", model="m", engine="e", phase="decode", seconds=1.0, source="measured")
LINE = '{"device": "d", "model": "m", "engine": "e", "phase": "decode", "seconds": 1.0, "source": "measured"}\n'


@given(first=st.lists(measurements(), max_size=4), second=st.lists(measurements(), max_size=4))
def test_rows_survive_the_file_in_their_order(first: list[Measurement], second: list[Measurement]) -> None:
    """What is appended in two steps is read back, equal and in order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        append_measurements(path, first)
        append_measurements(path, second)

        assert list(read_measurements(path)) == first + second


@given(rows=st.lists(measurements(), min_size=1, max_size=3), cut=st.integers(1, 400))
def test_a_torn_end_costs_only_the_rows_it_tore(rows: list[Measurement], cut: int) -> None:
    """Wherever the file is cut, the rows before the cut are read, and appending goes on cleanly after them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        append_measurements(path, rows)
        kept = path.read_bytes()[:-cut]
        path.write_bytes(kept)
        whole = max(0, kept.count(b"\n") - 1)

        assert list(read_measurements(path)) == rows[:whole]
        append_measurements(path, [ROW])
        assert list(read_measurements(path)) == [*rows[:whole], ROW]


def test_another_header_is_refused(tmp_path: Path) -> None:
    """A file of another format or version is refused with its first line, before any row."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"format": "coinfer/measurements/2"}\n' + LINE)

    with pytest.raises(ProfileError, match=r"line 1: expected .*measurements/1.*measurements/2"):
        next(read_measurements(path))


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        ('"seconds": 1.0', '"seconds": NaN', "line 2: expected finite numbers; found NaN"),
        ('"seconds": 1.0', '"seconds": -1.0', "line 2: seconds: expected a finite number above 0; found -1.0"),
        ('"seconds": 1.0', '"seconds": 0', "line 2: seconds: expected a finite number above 0"),
        ('"seconds": 1.0', '"seconds": 1e999', "line 2: expected numbers below"),
        ('"seconds": 1.0', '"seconds": 1.0, "energy_j": 1.0', "line 2: energy_source: expected a source exactly when"),
        ('"seconds": 1.0', '"seconds": 1.0, "correct": 1.5', r"line 2: correct: expected a number in \[0, 1\]"),
        ('"seconds": 1.0', '"seconds": 1.0, "batch": 0', "line 2: batch: expected an integer, at least 1"),
        ('"seconds": 1.0', '"seconds": 1.0, "joules": 2', "line 2: expected known fields only; found .joules."),
        ('"phase": "decode"', '"phase": "dance"', "line 2: phase: "),
        ('"device": "d", ', "", "line 2: expected a field `device`"),
    ],
)
def test_a_row_that_is_no_fact_is_refused_with_its_line(tmp_path: Path, good: str, bad: str, sentence: str) -> None:
    """A bad value in a row is one sentence with line and field."""
    path = tmp_path / "rows.jsonl"
    path.write_text(HEADER + LINE.replace(good, bad))

    with pytest.raises(InputError, match=sentence):
        list(read_measurements(path))


def test_a_missing_file_and_other_bytes_are_sentences(tmp_path: Path) -> None:
    """A path that is no file, a folder, and text that is not UTF-8 are input errors."""
    other = tmp_path / "latin.jsonl"
    other.write_bytes(HEADER.encode() + b"\xff\xfe\n")
    for path in (tmp_path / "none.jsonl", tmp_path, other):
        with pytest.raises(InputError):
            list(read_measurements(path))
    with pytest.raises(InputError, match="expected a writable file"):
        append_measurements(tmp_path, [ROW])


@given(text=st.text(max_size=60))
def test_any_text_is_rows_or_a_sentence(text: str) -> None:
    """Whatever stands in the lines, reading them ends in rows or in an error of ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text(HEADER + text + "\n", encoding="utf-8")
        try:
            assert all(isinstance(row, Measurement) for row in read_measurements(path))
        except CoinferError as error:
            assert "line" in str(error)


_APPENDER = """
import sys
from coinfer.profiler.measurement import Measurement, append_measurements
i = 0
while True:
    row = Measurement(device="d", model="m", engine="e", phase="decode", seconds=1.0, source="measured", prompt=str(i))
    append_measurements(sys.argv[1], [row])
    print(i, flush=True)
    i += 1
"""


def test_a_killed_writer_loses_no_row_it_had_finished(tmp_path: Path) -> None:
    """After kill -9 in the middle of appends, every row whose append had returned is there, once and in order."""
    path = tmp_path / "rows.jsonl"
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", _APPENDER, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told = [int(child.stdout.readline()) for _ in range(25)]
            child.send_signal(signal.SIGKILL)
            told += [int(line) for line in child.stdout.read().split("\n") if line]
        written = [int(row.prompt or "") for row in read_measurements(path)]

        assert written[: len(told)] == told
        assert written == list(range(len(written)))
        path.unlink()
