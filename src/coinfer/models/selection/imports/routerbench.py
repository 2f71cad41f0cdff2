"""Import of RouterBench tables (``withmartian/routerbench``): one row per prompt, quality and cost of every model.

Columns: ``sample_id``, ``prompt``, ``eval_name``, and for each model ``<model>`` (quality) and ``<model>|total_cost``
(USD). A model is whatever has both. ``<model>|model_response``, ``prompt`` and ``oracle_model_to_route_to`` are left
out, and so is any other column, which is told. ``eval_name`` becomes the category; the price of a model in a category
is the mean over its rows. The table says nothing of latency or energy, so both stay absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from coinfer.errors import InputError, Plain
from coinfer.models.selection.imports.result import (
    Answers,
    Imported,
    ImportOptions,
    drop_incomplete,
    need_files,
    routing_problem,
    told_of,
)
from coinfer.models.selection.imports.table import Table, read_table

_COST = "|total_cost"
_RESPONSE = "|model_response"
_KNOWN = frozenset({"sample_id", "prompt", "eval_name", "oracle_model_to_route_to"})


def import_routerbench(files: Sequence[Path], options: ImportOptions) -> Imported:
    """Return the problem of one or more RouterBench tables with the same models.

    Parameters
    ----------
    files
        CSV files; pickles are refused.
    options
        What the tables do not say.

    Raises
    ------
    InputError
        With file, line and column: what is no number, a sample twice, a cell that is absent unless ``missing`` is
        ``drop``.
    """
    need_files(files)
    tables = [read_table(path) for path in files]
    models = _models(tables[0])
    prompts: dict[str, Answers] = {}
    absent: dict[str, str] = {}
    for table in tables:
        table.need([*models, *(model + _COST for model in models)])
        if set(_models(table)) != set(models):
            raise InputError(f"{table.path}: line 1", expected=f"the models of {files[0]}", found=_models(table))
        for prompt, lacks in _prompts(table, models):
            if prompt.name in prompts:
                expected = f"a sample that is not also at {prompts[prompt.name].where}"
                raise InputError(f"{prompt.where}: sample_id", expected=expected, found=prompt.name)
            prompts[prompt.name] = prompt
            if lacks is not None:
                absent[prompt.name] = lacks
    kept, notes = drop_incomplete(list(prompts.values()), absent, options=options, file=str(files[0]))
    ignored = sorted({column for table in tables for column in table.columns if not _is_used(column, models)})
    if ignored:
        notes.append(f"columns left out: {', '.join(ignored)}")
    notes.append("latency and energy stay absent: the table has neither")
    with told_of(files[0]):
        problem = routing_problem(
            kept, models, files=files, options=options, source=f"RouterBench table {files[0].name}"
        )
    return Imported(problem=problem, notes=tuple(notes))


def _models(table: Table) -> list[str]:
    """Return the models of a table: columns with a column of costs beside them."""
    table.need(["sample_id", "eval_name"])
    models = [column for column in table.columns if column + _COST in table.columns]
    if not models:
        expected = "a column of quality and a column '<model>|total_cost' for each model"
        raise InputError(f"{table.path}: line 1", expected=expected, found=Plain("none"))
    return models


def _is_used(column: str, models: Sequence[str]) -> bool:
    base = column.removesuffix(_COST).removesuffix(_RESPONSE)
    return column in _KNOWN or base in models


def _prompts(table: Table, models: Sequence[str]) -> Iterator[tuple[Answers, str | None]]:
    """Yield each prompt with the first column it lacks."""
    for row in table.rows:
        quality = {model: row.number(model, truth=True) for model in models}
        price = {model: row.number(model + _COST, least=0.0) for model in models}
        lacks = [model for model in models if quality[model] is None]
        lacks += [model + _COST for model in models if price[model] is None]
        yield (
            Answers(
                name=row.text("sample_id"),
                category=row.text("eval_name"),
                where=row.where,
                quality={model: number for model, number in quality.items() if number is not None},
                price_usd={model: number for model, number in price.items() if number is not None},
                latency_s={},
            ),
            lacks[0] if lacks else None,
        )
