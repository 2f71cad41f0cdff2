"""Paths of files to be written: refused before any work is done, not after it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from coinfer.errors import InputError, Plain

OUTPUTS = ("output", "answers", "output_problem", "problem_out", "journal", "trace_out", "outcomes", "measurements")
"""Arguments that name files to be written; the last two are read by other verbs than these."""
WRITTEN_BY = {"outcomes": ("workload",), "measurements": ("run", "profile")}
FOLDERS = ("demo", "train-verifier")
"""Verbs whose output is a folder, which is made where it is not there."""


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse a path that cannot be written, before any work is done or paid for.

    Raises
    ------
    InputError
        With the path, and what stands in its way.
    """
    for name in OUTPUTS:
        path = getattr(arguments, name, None)
        if not isinstance(path, Path) or arguments.verb not in WRITTEN_BY.get(name, (arguments.verb,)):
            continue
        _check_output(path.resolve(), folder=name == "output" and arguments.verb in FOLDERS)


def _check_output(path: Path, *, folder: bool) -> None:
    if folder:
        if path.exists() and not path.is_dir():
            raise InputError(str(path), expected="a path of a folder", found=Plain("a file or a device"))
        place = next(each for each in (path, *path.parents) if each.exists())
    elif path.exists() and not path.is_file():
        raise InputError(str(path), expected="a path of a file", found=Plain("a folder or a device"))
    else:
        place = path.parent
    expected = "a path in a writable folder"
    if not place.is_dir():
        found = "No such file or directory" if not place.exists() else "Not a directory"
        raise InputError(str(path), expected=expected, found=Plain(found))
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(str(path), expected=expected, found=Plain("Permission denied"))
