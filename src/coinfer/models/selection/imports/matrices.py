"""Import of plain quality matrices: a CSV of ``prompt,category,<expert columns>``, or an ``.npz`` file of numpy.

Either may be followed by a table of experts (:mod:`coinfer.models.selection.imports.experts`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.models.selection.data import Category, Device, Prompt, SelectionProblem
from coinfer.models.selection.imports.experts import make_expert, read_experts, remarks
from coinfer.models.selection.imports.result import (
    Answers,
    Imported,
    ImportOptions,
    drop_incomplete,
    need_files,
    quality_matrix,
    told_of,
)
from coinfer.models.selection.imports.table import read_table
from coinfer.records import MAX_ARRAY_BYTES

DEFAULT_CATEGORY = "all"


def import_csv(files: Sequence[Path], options: ImportOptions) -> Imported:
    """Return the problem of a table ``prompt,category,<expert columns>`` and optionally a table of experts.

    ``category`` may be left out; all prompts are then of one. ``true`` and ``false`` stand for 1 and 0.

    Raises
    ------
    InputError
        With file, line and column.
    """
    need_files(files, most=2)
    table = read_table(files[0])
    table.need(["prompt"])
    names = [column for column in table.columns if column not in ("prompt", "category")]
    if not names:
        raise InputError(f"{files[0]}: line 1", expected="a column of qualities for each expert", found=Plain("none"))
    prompts: dict[str, Answers] = {}
    absent = {}
    for row in table.rows:
        name = row.text("prompt")
        if name in prompts:
            expected = f"a prompt that is not also at {prompts[name].where}"
            raise InputError(f"{row.where}: prompt", expected=expected, found=name)
        cells = {expert: row.number(expert, truth=True) for expert in names}
        quality = {expert: number for expert, number in cells.items() if number is not None}
        category = row.text("category") if "category" in table.columns else DEFAULT_CATEGORY
        prompts[name] = Answers(
            name=name, category=category, where=row.where, quality=quality, price_usd={}, latency_s={}
        )
        if len(quality) < len(names):
            absent[name] = next(expert for expert in names if expert not in quality)
    return _problem(list(prompts.values()), absent, names, files, options)


def import_npz(files: Sequence[Path], options: ImportOptions) -> Imported:
    """Return the problem of an ``.npz`` file and optionally a table of experts.

    The file holds ``Q``, (experts, prompts), and ``M``, the experts' names; optionally ``P``, the prompts' names, and
    ``C``, their categories. NaN is an absent quality. Other arrays are left out. Nothing is unpickled.

    Raises
    ------
    InputError
        With file and array.
    """
    need_files(files, most=2)
    path = files[0]
    arrays = _arrays(path)
    quality = arrays["Q"]
    if quality.ndim != 2 or quality.dtype.kind not in "fiub":
        found = Plain(f"{quality.ndim} dimension(s) of {quality.dtype}")
        raise InputError(f"{path}: Q", expected="a matrix of numbers (experts, prompts)", found=found)
    names = _texts(path, "M", arrays["M"], quality.shape[0])
    titles = [f"p{i}" for i in range(quality.shape[1])]
    if "P" in arrays:
        titles = _texts(path, "P", arrays["P"], quality.shape[1])
    categories = [DEFAULT_CATEGORY] * quality.shape[1]
    if "C" in arrays:
        categories = _texts(path, "C", arrays["C"], quality.shape[1])
    for label, texts in (("M", names), ("P", titles)):
        if len(set(texts)) < len(texts):
            twice = next(text for i, text in enumerate(texts) if text in texts[:i])
            raise InputError(f"{path}: {label}", expected="names that differ", found=twice)
    numbers = quality.astype(np.float64)
    prompts, absent = [], {}
    for j, (title, category) in enumerate(zip(titles, categories, strict=True)):
        known = {name: float(numbers[n, j]) for n, name in enumerate(names) if not np.isnan(numbers[n, j])}
        where = f"{path}: Q[:, {j}]"
        prompts.append(Answers(name=title, category=category, where=where, quality=known, price_usd={}, latency_s={}))
        if len(known) < len(names):
            absent[title] = next(name for name in names if name not in known)
    left_out = sorted(arrays.keys() - {"Q", "M", "P", "C"})
    made = _problem(prompts, absent, names, files, options)
    notes = [*made.notes, *([f"arrays left out: {', '.join(left_out)}"] if left_out else [])]
    return Imported(problem=made.problem, notes=tuple(notes))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Load the arrays without pickle; those left out are not loaded, and stand for nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_ARRAY_BYTES:
                raise InputError(
                    str(path), expected=f"at most {MAX_ARRAY_BYTES:,} bytes", found=Plain(f"{size:,} bytes")
                )
        with np.load(path, allow_pickle=False) as data:
            empty = np.empty(0)
            arrays = {name: data[name] if name in ("Q", "M", "P", "C") else empty for name in data.files}
    except InputError:
        raise
    except OSError as error:
        raise InputError(str(path), expected="a readable file", found=Plain(error.strerror or str(error))) from error
    except Exception as error:  # a damaged archive raises whatever its codecs raise: zlib.error, MemoryError, ...
        expected = "an .npz file of plain numbers and texts (no pickle)"
        raise InputError(str(path), expected=expected, found=Plain(str(error) or type(error).__name__)) from error
    for name in ("Q", "M"):
        if name not in arrays:
            raise InputError(str(path), expected=f"an array {name!r}", found=sorted(arrays))
    return arrays


def _texts(path: Path, label: str, array: NDArray[Any], count: int) -> list[str]:
    """Return an array of ``count`` texts as a list."""
    if array.ndim != 1 or array.dtype.kind != "U":
        found = Plain(f"{array.ndim} dimension(s) of {array.dtype}")
        raise InputError(f"{path}: {label}", expected="a list of texts", found=found)
    if len(array) != count:
        raise InputError(
            f"{path}: {label}", expected=f"{count} texts, since Q has as many", found=Plain(f"{len(array)}")
        )
    return [str(text) for text in array]


def _problem(
    prompts: Sequence[Answers],
    absent: dict[str, str],
    names: Sequence[str],
    files: Sequence[Path],
    options: ImportOptions,
) -> Imported:
    """Return the problem of qualities and what the table of experts, if there is one, says."""
    if not prompts:
        raise InputError(str(files[0]), expected="at least one prompt", found=Plain("none"))
    kept, notes = drop_incomplete(prompts, absent, options=options, file=str(files[0]))
    facts = read_experts(files[1]) if len(files) == 2 else {}
    categories = list(dict.fromkeys(prompt.category for prompt in kept))
    experts = []
    for name in names:
        with told_of(facts[name].where if name in facts else files[0]):
            experts.append(
                make_expert(
                    name,
                    facts.get(name),
                    categories=categories,
                    device=options.device,
                    source=f"table {files[-1].name}",
                )
            )
    with told_of(files[0]):
        problem = SelectionProblem(
            name=options.title(files),
            devices=tuple(Device(name=name) for name in dict.fromkeys(expert.device for expert in experts)),
            categories=tuple(Category(name=name) for name in categories),
            experts=tuple(experts),
            prompts=tuple(Prompt(name=prompt.name, category=prompt.category) for prompt in kept),
            quality=quality_matrix(kept, names),
            budgets=options.budgets(),
            gate=options.gate,
        )
    return Imported(problem=problem, notes=(*notes, *remarks(facts, names, categories)))
