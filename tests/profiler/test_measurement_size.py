"""A measurements file of a gigabyte does not take a gigabyte of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_LIMITED = """
import resource, sys
from coinfer.errors import InputError
from coinfer.profiler.measurement import read_measurements
resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20, 700 * 2**20))
try:
    print(sum(1 for _ in read_measurements(sys.argv[1])))
except InputError as error:
    print("sentence:", str(error)[:300])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sparse files and address-space limits are those of Linux")
def test_a_gigabyte_without_a_line_end_is_a_sentence(tmp_path: Path) -> None:
    """A sparse file of 1 GB (one line of null bytes) ends in a sentence, in a process that may not hold it."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"format": "coinfer/measurements/1"}\n')
    os.truncate(path, 2**30)

    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )

    assert run.returncode == 0, run.stderr[-500:]
    assert run.stdout.startswith("sentence:")
    assert "line 2" in run.stdout
