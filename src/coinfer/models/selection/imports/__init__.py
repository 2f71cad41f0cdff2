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
    """Write a problem file; large matrices, quality and the scores of a gate, go to an ``.npz`` file beside it.

    Parameters
    ----------
    path
        The JSON file. The arrays' file has its name with the suffix ``.quality.npz``.
    problem
        The problem.

    Returns
    -------
    Path or None
        The ``.npz`` file; ``None`` where they stand in the JSON file.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    file = Path(path)
    matrices = {"quality": problem.quality}
    if problem.gate_scores is not None:
        matrices["gate_scores"] = problem.gate_scores
    if problem.quality.array.size <= MOST_INLINE_NUMBERS:
        jsonfile.write(file, problem)
        return None
    beside = file.with_suffix(".quality.npz")
    with jsonfile.atomic(beside) as temporary:
        with temporary.open("wb") as stream:
            if problem.gate_scores is None:
                np.savez_compressed(stream, quality=problem.quality.array)
            else:
                np.savez_compressed(stream, quality=problem.quality.array, gate_scores=problem.gate_scores.array)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    referring = {
        name: Matrix(matrix.array, source=ArrayReference(file=beside.name, array=name, sha256=digest))
        for name, matrix in matrices.items()
    }
    jsonfile.write(file, msgspec.structs.replace(problem, **referring))
    return beside
