"""Public data of others, read as selection problems: one reader for each format, and how a problem is written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import numpy as np

from coinfer import jsonfile
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.imports.llmrouter import import_llmrouter as import_llmrouter
from coinfer.models.selection.imports.matrices import import_csv as import_csv
from coinfer.models.selection.imports.matrices import import_npz as import_npz
from coinfer.models.selection.imports.ml_energy import GpuBudget as GpuBudget
from coinfer.models.selection.imports.ml_energy_use import EnergyOptions as EnergyOptions
from coinfer.models.selection.imports.ml_energy_use import import_ml_energy as import_ml_energy
from coinfer.models.selection.imports.result import Imported as Imported
from coinfer.models.selection.imports.result import ImportOptions as ImportOptions
from coinfer.models.selection.imports.routerbench import import_routerbench as import_routerbench
from coinfer.records import ArrayReference, Matrix

MOST_INLINE_NUMBERS = 20_000
"""Largest quality matrix that is written into the JSON file itself."""


def write_problem(path: str | os.PathLike[str], problem: SelectionProblem) -> Path | None:
    """Write a problem file; a large quality matrix goes to an ``.npz`` file beside it.

    Parameters
    ----------
    path
        The JSON file. The array's file has its name with the suffix ``.quality.npz``.
    problem
        The problem.

    Returns
    -------
    Path or None
        The ``.npz`` file; ``None`` where the matrix stands in the JSON file.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    file = Path(path)
    array = problem.quality.array
    if array.size <= MOST_INLINE_NUMBERS:
        jsonfile.write(file, problem)
        return None
    beside = file.with_suffix(".quality.npz")
    with jsonfile.atomic(beside) as temporary:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, quality=array)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    source = ArrayReference(file=beside.name, array="quality", sha256=digest)
    jsonfile.write(file, msgspec.structs.replace(problem, quality=Matrix(array, source=source)))
    return beside
