"""Benchmark files as workloads: requests with their checkers; and what recorded samples of them are worth."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, RequestError
from coinfer.executor.checkers import CHECKERS
from coinfer.executor.grade import check_gradable, grades
from coinfer.executor.layouts import COLUMNS, KINDS, Row, prompt_and_reference
from coinfer.executor.request import Request
from coinfer.models.budget.imports.gather import Gathered
from coinfer.models.budget.imports.lines import csv_lines, json_lines
from coinfer.models.budget.outcomes import Outcomes

SAMPLE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "task_id", "question_id", "request"),
    "text": ("text", "texts", "completion", "completions", "samples", "response", "generated_answer", "output"),
    "arm": ("arm", "model"),
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "s": ("seconds", "latency_s"),
    "usd": ("usd", "cost_usd"),
    "j": ("joules", "energy_j"),
}
"""Names under which the fields of recorded samples are looked for."""
_COSTS = ("input_tokens", "output_tokens", "s", "usd", "j")
_ROW_COSTS = {"s": "seconds", "j": "joules"}
_ARM = "model"
_CHOICES = frozenset("ABCDEFGHIJ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Requests that can be graded.

    Attributes
    ----------
    name
        Of the file.
    requests
        Each with checker and reference, in the order of the file.
    """

    name: str
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSample:
    """A completion that was recorded.

    Attributes
    ----------
    id
        Of the request.
    text
        The completion.
    arm
        Who wrote it.
    cost
        What it took, by resource: ``input_tokens``, ``output_tokens``, ``s``, ``usd``, ``j``; absent: not measured.
    where
        File and line.
    """

    id: str
    text: str
    arm: str
    cost: Mapping[str, float]
    where: str


def read_workload(
    path: str | os.PathLike[str], *, kind: str, columns: Mapping[str, str] | None = None, max_tokens: int = 512
) -> Workload:
    """Read a benchmark file, ``.csv`` or else JSON Lines.

    Parameters
    ----------
    path
        The file.
    kind
        How answers are graded: a checker of :data:`coinfer.executor.checkers.CHECKERS`.
    columns
        Names of the file's columns by field (``prompt``, ``answer``, ``id``, ``category``, ``choices``, ``tests``,
        ``setup``, ``entry_point``, ``inputs``, ``outputs``); for the others those of
        :data:`coinfer.executor.layouts.COLUMNS` are looked for. Without a column ``id`` requests are named by file and
        line, without ``category`` by file.
    max_tokens
        Most tokens of one answer.

    Raises
    ------
    InputError
        With file, line and column.
    """
    file, named = Path(path), dict(columns or {})
    if kind not in KINDS:
        raise InputError("kind", expected=f"one of {', '.join(KINDS)}", found=kind)
    _check_columns(named, COLUMNS)
    name = "".join(mark for mark in file.stem if mark.isprintable()).strip() or "workload"
    places: dict[str, str] = {}
    requests = []
    for number, (where, data) in enumerate(_rows(file, named, COLUMNS), start=1):
        row = Row(where=where, data=data, columns=named)
        prompt, reference = prompt_and_reference(kind, row)
        made = _request(
            row,
            id=row.text("id", absent=f"{name}/{number}"),
            prompt=prompt,
            category=row.text("category", absent=name),
            answer=reference,
            checker=kind,
            max_tokens=max_tokens,
        )
        if made.id in places:
            raise InputError(f"{where}: id", expected="an id that stands once", found=Plain(f"{made.id!r} again"))
        places[made.id] = where
        requests.append(made)
    if not requests:
        raise InputError(str(file), expected="at least one row", found=Plain("none"))
    return Workload(name=name, requests=tuple(requests))


def write_workload(path: str | os.PathLike[str], workload: Workload) -> None:
    """Write a workload as a file of requests, which :func:`coinfer.executor.request.read_requests` reads."""
    jsonfile.write_text(Path(path), "".join(f"{msgspec.json.encode(each).decode()}\n" for each in workload.requests))


def read_samples(
    path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None
) -> tuple[RecordedSample, ...]:
    """Read recorded completions, ``.csv`` or else JSON Lines; a line with a list of texts is one sample for each.

    Parameters
    ----------
    path
        The file.
    columns
        Names of the file's columns by field; for the others those of :data:`SAMPLE_COLUMNS` are looked for. Amounts
        are those of one sample; without ``arm`` all samples are of one model.

    Raises
    ------
    InputError
        With file, line and column.
    """
    file, named = Path(path), dict(columns or {})
    _check_columns(named, SAMPLE_COLUMNS)
    found: list[RecordedSample] = []
    for where, data in _rows(file, named, SAMPLE_COLUMNS):
        row = Row(where=where, data=data, columns=named, known=SAMPLE_COLUMNS)
        name, arm = row.text("id"), row.text("arm", absent=_ARM)
        cost = {field: amount for field in _COSTS if (amount := row.amount(field)) is not None}
        texts = row.texts("text")
        found += [RecordedSample(id=name, text=text, arm=arm, cost=cost, where=where) for text in texts]
    if not found:
        raise InputError(str(file), expected="at least one sample", found=Plain("none"))
    return tuple(found)


def count_successes(workload: Workload, samples: Sequence[RecordedSample], *, workers: int = 2) -> Outcomes:
    """Return how often each arm was right on each request: what a budget is planned from.

    A sample is a success where its grade is 1; part of a grade (of steps, of cases) is none. Requests without any
    sample are absent, never wrong. Categories are labels. The order of the samples does not matter.

    Parameters
    ----------
    workload
        The requests.
    samples
        Completions of them, at least one.
    workers
        How many are graded at once.

    Raises
    ------
    RequestError
        If a request cannot be graded on this machine (its checker needs the sandbox).
    InputError
        If a sample is of no request, or an amount is no amount.
    """
    gathered = Gathered()
    for sample, request, right in _graded(workload, samples, workers):
        gathered.add(
            sample.where,
            prompt=sample.id,
            arm=sample.arm,
            right=int(right),
            drawn=1,
            cost=_cost(sample.cost),
            label=request.category,
        )
    return gathered.outcomes(workload.name)[0]


def write_outcomes(
    path: str | os.PathLike[str], workload: Workload, samples: Sequence[RecordedSample], *, workers: int = 2
) -> tuple[int, int]:
    """Write a row for each sample, right or wrong, which ``coinfer import outcomes`` reads; atomically.

    Returns
    -------
    tuple of int
        Right samples, and all samples.

    Raises
    ------
    RequestError, InputError
        As :func:`count_successes`.
    """
    rows = []
    for sample, request, right in _graded(workload, samples, workers):
        cost = {_ROW_COSTS.get(name, name): amount for name, amount in sample.cost.items()}
        rows.append({"prompt": sample.id, "arm": sample.arm, "correct": right, "label": request.category, **cost})
    jsonfile.write_text(Path(path), "".join(f"{msgspec.json.encode(row).decode()}\n" for row in rows))
    return sum(row["correct"] is True for row in rows), len(rows)


def _graded(
    workload: Workload, samples: Sequence[RecordedSample], workers: int
) -> Iterator[tuple[RecordedSample, Request, bool]]:
    """Yield each sample, in the order of the requests, with its request and whether it is right."""
    places = {request.id: at for at, request in enumerate(workload.requests)}
    for sample in samples:
        if sample.id not in places:
            expected = f"the id of a request of {workload.name!r}"
            raise InputError(f"{sample.where}: id", expected=expected, found=sample.id)
    ordered = sorted(samples, key=lambda sample: places[sample.id])
    requests = [workload.requests[places[sample.id]] for sample in ordered]
    check_gradable(list({request.id: request for request in requests}.values()))
    found = grades(requests, [sample.text for sample in ordered], workers=workers)
    for sample, request, graded in zip(ordered, requests, found, strict=True):
        yield sample, request, graded == 1.0


def _cost(cost: Mapping[str, float]) -> dict[str, float]:
    """Return what a sample took by the resources of a budget; ``tokens`` needs both kinds."""
    made = dict(cost)
    if "input_tokens" in made and "output_tokens" in made:
        made["tokens"] = made.pop("input_tokens") + made.pop("output_tokens")
    return made


def _check_columns(named: Mapping[str, str], known: Mapping[str, tuple[str, ...]]) -> None:
    for field in named:
        if field not in known:
            raise InputError("columns", expected=f"fields out of {', '.join(known)}", found=field)


def _rows(
    file: Path, named: Mapping[str, str], known: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place and columns of each row; cells of CSV stay text, as they stand."""
    if file.suffix.lower() != ".csv":
        return json_lines(file)
    texts = {name for names in known.values() for name in names} | set(named.values()) | _CHOICES
    return csv_lines(file, frozenset(texts))


def _request(row: Row, **fields: Any) -> Request:
    """Return a request that can be graded, or an error with its line."""
    try:
        made = Request(**fields)
    except RequestError as error:
        raise RequestError(f"{row.where}: {error.where}", expected=error.expected, found=error.found) from error
    for name in ("id", "category"):
        if not getattr(made, name).isprintable() or not getattr(made, name).strip():
            raise InputError(f"{row.where}: {name}", expected="printable text", found=getattr(made, name))
    expected = CHECKERS[fields["checker"]].expected(made.answer or "")
    if expected is not None:
        raise InputError(f"{row.where}: answer", expected=expected, found=made.answer)
    return made
