"""Import of the individual outcomes of Large Language Monkeys (arXiv 2407.21787): Parquet, one row for each sample.

Columns: ``Problem Idx``, ``Attempt Idx``, ``Score`` (0 or 1), ``Model``; ``Benchmark`` where there is one. Read with
pyarrow, which is no dependency of coinfer. The files tell no cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coinfer.errors import BackendMissing, InputError, Plain
from coinfer.models.budget.imports.gather import Gathered
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import IntArray

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

COLUMNS = ("Problem Idx", "Attempt Idx", "Score", "Model")


def import_monkeys(files: Sequence[Path]) -> tuple[Outcomes, tuple[str, ...]]:
    """Return the outcomes of Parquet files, models as arms.

    Raises
    ------
    BackendMissing
        Without pyarrow.
    InputError
        With the file: no Parquet, a column that lacks or is of another kind, a score that is neither 0 nor 1, an
        attempt given twice.
    """
    gathered = Gathered()
    for path in files:
        _file(path, gathered)
    outcomes, notes = gathered.outcomes(str(files[0]))
    return outcomes, tuple(notes)


def _file(path: Path, gathered: Gathered) -> None:
    table = _table(path)
    benchmark, bench_of = _codes(table, "Benchmark") if "Benchmark" in table.column_names else ([""], None)
    models, model_of = _codes(table, "Model")
    problem, attempt = (_whole(path, table, name) for name in COLUMNS[:2])
    score = _scores(path, table)
    bench_of = np.zeros(len(problem), dtype=np.int64) if bench_of is None else bench_of
    problems, problem_of = np.unique(problem, return_inverse=True)
    cell = (bench_of * len(problems) + problem_of.reshape(-1)) * len(models) + model_of
    order = np.lexsort((attempt, cell))
    twice = (np.diff(cell[order]) == 0) & (np.diff(attempt[order]) == 0)
    if twice.any():
        at = int(order[int(np.argmax(twice))])
        found = Plain(f"attempt {attempt[at]} of problem {problem[at]} by {models[model_of[at]]} twice")
        raise InputError(str(path), expected="each attempt once", found=found)
    cells, place = np.unique(cell, return_inverse=True)
    drawn = np.bincount(place.reshape(-1), minlength=len(cells))
    right = np.bincount(place.reshape(-1), weights=score, minlength=len(cells)).astype(np.int64)
    for each, n, c in zip(cells.tolist(), drawn.tolist(), right.tolist(), strict=True):
        rest, model = divmod(each, len(models))
        bench, number = divmod(rest, len(problems))
        prompt = f"{benchmark[bench]} {problems[number]}".strip()
        gathered.add(str(path), prompt=prompt, arm=models[model], right=c, drawn=n, counted=True)


def _table(path: Path) -> pyarrow.Table:
    try:
        import pyarrow
        from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise BackendMissing("reading a Parquet file needs pyarrow: pip install pyarrow") from error
    try:
        held = parquet.read_schema(path).names
        for name in COLUMNS:
            if name not in held:
                shown = Plain(", ".join(held[:8]) or "none")
                raise InputError(str(path), expected=f"a column {name!r}", found=shown)
        wanted = [*COLUMNS, *(["Benchmark"] if "Benchmark" in held else [])]
        table = parquet.read_table(path, columns=wanted)
    except (OSError, ValueError, NotImplementedError, pyarrow.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(str(path), expected="a readable Parquet file", found=Plain(message)) from error
    if not table.num_rows:
        raise InputError(str(path), expected="at least one row", found=Plain("none"))
    for name in wanted:
        if table[name].null_count:
            raise InputError(f"{path}: {name}", expected="a value in every row", found=Plain("an empty one"))
    return table


def _codes(table: pyarrow.Table, name: str) -> tuple[list[str], IntArray]:
    """Return the different texts of a column and the number of each row's."""
    coded = table[name].combine_chunks().dictionary_encode()
    if hasattr(coded, "combine_chunks"):
        coded = coded.combine_chunks()
    texts = [str(each) for each in coded.dictionary.to_pylist()]
    return texts, coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _whole(path: Path, table: pyarrow.Table, name: str) -> IntArray:
    array = table[name].to_numpy()
    if array.dtype.kind not in "iu":
        raise InputError(f"{path}: {name}", expected="whole numbers", found=Plain(str(array.dtype)))
    return np.asarray(array, dtype=np.int64)


def _scores(path: Path, table: pyarrow.Table) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    array = table["Score"].to_numpy()
    if array.dtype.kind not in "iufb":
        raise InputError(f"{path}: Score", expected="0 or 1", found=Plain(str(array.dtype)))
    score = np.asarray(array, dtype=np.float64)
    wrong = ~np.isin(score, (0.0, 1.0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InputError(f"{path}: Score: row {at + 1}", expected="0 or 1", found=float(score[at]))
    return score
