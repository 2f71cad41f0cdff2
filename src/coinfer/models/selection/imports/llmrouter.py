"""Import of LLMRouter records (``ulab-uiuc/LLMRouter``): routing rows, the candidates, and optionally queries.

Files are told apart by what stands in them:

- routing rows (JSON Lines): ``task_name``, ``model_name``, ``performance``, and where known ``query``,
  ``embedding_id``, ``token_num``, ``input_tokens``, ``output_tokens``, ``response_time`` (seconds);
- candidates (one JSON object by model name): ``input_price`` and ``output_price`` in USD per million tokens, ``size``,
  ``model``, ``api_endpoint``;
- queries (JSON Lines): ``task_name`` and ``query``; where given, only these queries are taken.

``task_name`` becomes the category. Rows without a query are averages of a task, and the task becomes one prompt. A
price needs the candidate's prices and the row's ``input_tokens`` and ``output_tokens``, or its ``token_num`` where both
prices are equal; else it stays absent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.imports.result import (
    Answers,
    Imported,
    ImportOptions,
    drop_incomplete,
    need_files,
    routing_problem,
    told_of,
)
from coinfer.models.selection.validate import amount

_TOKENS_PER_PRICE = 1e6


class RoutingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model's answer to one query; other fields of the file are not read."""

    task_name: str
    model_name: str
    performance: float | None = None
    query: str | None = None
    embedding_id: int | str | None = None
    token_num: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    response_time: float | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One query; other fields of the file are not read."""

    task_name: str
    query: str


class CandidateModel(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate; other fields of the file are not read. Prices are USD per million tokens."""

    size: str | None = None
    input_price: float | None = None
    output_price: float | None = None
    model: str | None = None
    api_endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the files hold together: rows and queries with their places, candidates by name."""

    rows: list[tuple[str, RoutingRow]] = field(default_factory=list)
    queries: list[tuple[str, Query]] = field(default_factory=list)
    candidates: dict[str, CandidateModel] = field(default_factory=dict)


def import_llmrouter(files: Sequence[Path], options: ImportOptions, *, latency_statistic: str = "mean") -> Imported:
    """Return the problem of LLMRouter records.

    Parameters
    ----------
    files
        Routing rows, candidates and queries, in any order.
    options
        What the records do not say.
    latency_statistic
        ``mean``, ``p50`` or ``p95`` of the response times of a category.

    Raises
    ------
    InputError
        With file, line and field.
    """
    if latency_statistic not in ("mean", "p50", "p95"):
        raise InputError("--latency-statistic", expected="mean, p50 or p95", found=latency_statistic)
    need_files(files)
    records = _read(files)
    if not records.rows:
        raise InputError(
            str(files[0]), expected="routing rows (with 'model_name') in one of the files", found=Plain("none")
        )
    seen = dict.fromkeys(row.model_name for _, row in records.rows)
    experts = [
        *(name for name in records.candidates if name in seen),
        *(n for n in seen if n not in records.candidates),
    ]
    prompts, notes = _prompts(records, options)
    absent = {
        prompt.name: f"performance of {name}"
        for prompt in prompts
        for name in reversed(experts)
        if name not in prompt.quality
    }
    kept, dropped = drop_incomplete(prompts, absent, options=options, file=str(files[0]))
    notes += [*dropped, *_remarks(records, seen, kept)]
    with told_of(files[0]):
        problem = routing_problem(
            kept, experts, files=files, options=options, source="LLMRouter records", statistic=latency_statistic
        )
        reachable = tuple(
            msgspec.structs.replace(expert, endpoint=_endpoint(records.candidates.get(expert.name)))
            for expert in problem.experts
        )
        problem = msgspec.structs.replace(problem, experts=reachable)
    return Imported(problem=problem, notes=tuple(notes))


def _remarks(records: Records, seen: Mapping[str, None], kept: Sequence[Answers]) -> Iterator[str]:
    """Yield what was left out, or could not be known."""
    without = [name for name in records.candidates if name not in seen]
    if without:
        yield f"candidates without rows left out: {', '.join(without)}"
    for what in ("price_usd", "latency_s"):
        count = sum(len(prompt.quality) - len(getattr(prompt, what)) for prompt in kept)
        if count:
            yield f"{what} is absent for {count} answers; means are over the others"


def _read(files: Sequence[Path]) -> Records:
    """Read every file and sort its content."""
    records = Records()
    for path in files:
        text = jsonfile.read_text(path)
        if path.suffix.lower() == ".json":
            data = jsonfile.parse(text, where=str(path))
            if isinstance(data, dict):
                records.candidates.update(_candidates(path, data))
                continue
            if not isinstance(data, list):
                raise InputError(str(path), expected="an object of candidates or a list of rows", found=data)
            items = [(f"{path}: [{i}]", item) for i, item in enumerate(data)]
        else:
            lines = enumerate(text.split("\n"), start=1)
            items = [
                (f"{path}: line {i}", jsonfile.parse(line, where=f"{path}: line {i}"))
                for i, line in lines
                if line.strip()
            ]
        for where, item in items:
            if isinstance(item, dict) and "model_name" in item:
                records.rows.append((where, jsonfile.convert(item, RoutingRow, where=where)))
            else:
                records.queries.append((where, jsonfile.convert(item, Query, where=where)))
    return records


def _candidates(path: Path, data: dict[str, Any]) -> dict[str, CandidateModel]:
    made = {}
    for name, fields in data.items():
        where = f"{path}: {name}"
        made[name] = jsonfile.convert(fields, CandidateModel, where=where)
        with told_of(where):
            amount("input_price", made[name].input_price)
            amount("output_price", made[name].output_price)
    return made


def _prompts(records: Records, options: ImportOptions) -> tuple[list[Answers], list[str]]:
    """Return the prompts that the rows speak of, only the asked-for ones where there is a file of queries."""
    wanted = {(query.task_name, query.query) for _, query in records.queries}
    answers: dict[str, Answers] = {}
    found: set[tuple[str, str]] = set()
    for where, row in records.rows:
        if wanted and row.query is None:
            raise InputError(
                f"{where}: query", expected="the query, since there is a file of queries", found=Plain("none")
            )
        if wanted and (row.task_name, row.query) not in wanted:
            continue
        found.add((row.task_name, row.query or ""))
        _add(answers, row, where, records.candidates)
    lost = [(where, query) for where, query in records.queries if (query.task_name, query.query) not in found]
    if lost and (options.missing == "refuse" or not answers):
        expected = "a routing row for every query, or --missing drop to leave such queries out"
        raise InputError(lost[0][0], expected=expected, found=Plain("none"))
    notes = [f"{len(lost)} queries without a routing row left out (first: {lost[0][0]})"] if lost else []
    return list(answers.values()), notes


def _add(answers: dict[str, Answers], row: RoutingRow, where: str, candidates: Mapping[str, CandidateModel]) -> None:
    """Put one row to the answers of its prompt."""
    with told_of(where):
        for name in ("token_num", "input_tokens", "output_tokens", "response_time"):
            amount(name, getattr(row, name))
    prompt = answers.setdefault(
        _name(row),
        Answers(name=_name(row), category=row.task_name, where=where, quality={}, price_usd={}, latency_s={}),
    )
    if row.performance is None:
        return
    if row.model_name in prompt.quality:
        expected = f"one row for each query and model (the query's first row: {prompt.where})"
        raise InputError(where, expected=expected, found=row.model_name)
    prompt.quality[row.model_name] = row.performance
    price = _price(row, candidates.get(row.model_name))
    if price is not None:
        prompt.price_usd[row.model_name] = price
    if row.response_time is not None:
        prompt.latency_s[row.model_name] = row.response_time


def _name(row: RoutingRow) -> str:
    """Return the name of a row's prompt: LLMRouter's own number, a hash of the query, or the task itself."""
    if row.embedding_id is not None:
        return f"{row.task_name}/{row.embedding_id}"
    if row.query is None:
        return row.task_name
    return f"{row.task_name}/{hashlib.sha256(row.query.encode()).hexdigest()[:16]}"


def _price(row: RoutingRow, candidate: CandidateModel | None) -> float | None:
    """Return what the answer cost in USD; ``None`` where that cannot be known."""
    if candidate is None or candidate.input_price is None or candidate.output_price is None:
        return None
    if row.input_tokens is not None and row.output_tokens is not None:
        whole = row.input_tokens * candidate.input_price + row.output_tokens * candidate.output_price
        return whole / _TOKENS_PER_PRICE
    if row.token_num is None or candidate.input_price != candidate.output_price:
        return None
    return row.token_num * candidate.input_price / _TOKENS_PER_PRICE


def _endpoint(candidate: CandidateModel | None) -> Endpoint | None:
    """Return where a candidate is reached; its key is not in the file."""
    if candidate is None or candidate.model is None or not (candidate.api_endpoint or "").startswith("http"):
        return None
    return Endpoint(backend="openai", model=candidate.model, url=candidate.api_endpoint, chat=True)
