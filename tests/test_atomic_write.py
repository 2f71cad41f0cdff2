"""Writing: a file is the old one or the whole new one, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coinfer import jsonfile
from coinfer.errors import InputError


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    """When writing fails, the old file stands and no temporary one is left."""
    file = tmp_path / "plan.json"
    file.write_text("old")

    def fail() -> None:
        with jsonfile.atomic(file) as temporary:
            temporary.write_text("half")
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        fail()
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_file_that_cannot_hold_the_text_stays(tmp_path: Path) -> None:
    """Text that has no UTF-8 form fails half way; the old file stands alone."""
    file = tmp_path / "plan.json"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        jsonfile.write_text(file, "x" * 100_000 + "\ud800")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_keeps_the_file_that_it_opened(tmp_path: Path) -> None:
    """A new file takes the old one's name: who has the old one open reads it to its end, unmixed."""
    file = tmp_path / "plan.json"
    file.write_text("old" * 1000)
    with file.open() as reader:
        assert reader.read(3) == "old"
        jsonfile.write_text(file, "new" * 1000)
        reader.seek(0)
        assert reader.read() == "old" * 1000
    assert file.read_text() == "new" * 1000


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    """An atomic write grants what a plain one would, not the temporary file's owner-only mode."""
    (tmp_path / "plain").write_text("text")
    jsonfile.write_text(tmp_path / "atomic", "text")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_writing_into_nowhere_is_refused(tmp_path: Path) -> None:
    """A folder that is not there, or is the target itself, gets a sentence."""
    for path in (tmp_path / "none" / "plan.json", tmp_path):
        with pytest.raises(InputError):
            jsonfile.write_text(path, "text")


WRITER = """
import sys
from pathlib import Path
from coinfer import jsonfile
print("ready", flush=True)
while True:
    for letter in "ab":
        jsonfile.write_text(Path(sys.argv[1]), letter * 2_000_000)
"""


def test_a_killed_writer_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    """Killed at any moment, the file is whole: all of the old text or all of the new."""
    file = tmp_path / "out.json"
    for delay in (0.02, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        while not file.exists():
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        text = file.read_text()
        assert len(text) == 2_000_000
        assert len(set(text)) == 1
