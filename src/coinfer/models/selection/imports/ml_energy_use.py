"""The two selection problems that the ML.ENERGY leaderboard gives: serve every model with least energy, or route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coinfer.errors import InputError, Plain
from coinfer.models.selection.data import Category, Prompt, SelectionProblem
from coinfer.models.selection.imports.ml_energy import (
    GpuBudget,
    Measured,
    devices,
    model_names,
    read_configurations,
    within_pools,
)
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
from coinfer.models.selection.validate import amount
from coinfer.records import Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyOptions:
    """What an import of the leaderboard needs beside :class:`ImportOptions`.

    Attributes
    ----------
    latency_statistic
        Statistic of the inter-token latency: ``p50``, ``p90``, ``p95`` or ``p99``.
    itl_s
        Promise: longest inter-token latency, seconds per token; absent: none, and refused with ``serve``.
    serve
        Models that must all be served, by id or nickname, or ``("all",)``; absent with ``quality``.
    quality
        CSV file ``model,quality[,category]``; absent with ``serve``.
    levels
        Most configurations of one model; absent: all.
    gpus
        GPUs there are; empty: not counted.
    """

    latency_statistic: str = "p50"
    itl_s: float | None = None
    serve: tuple[str, ...] | None = None
    quality: Path | None = None
    levels: int | None = None
    gpus: tuple[GpuBudget, ...] = ()


def import_ml_energy(files: Sequence[Path], options: ImportOptions, energy: EnergyOptions) -> Imported:
    """Return the problem of one task of the leaderboard.

    With ``serve`` every named model is one category, and only its own configurations can answer that: the plan takes
    one configuration of each, with the least energy that keeps the promise (and the GPUs). With ``quality`` prompts
    are routed to models of that quality.

    Raises
    ------
    InputError
        With the file and its field or line; for options that do not fit together.
    """
    need_files(files, most=1)
    if (energy.serve is None) == (energy.quality is None):
        found = Plain("neither" if energy.serve is None else "both")
        raise InputError("arguments", expected="--serve MODELS or --quality FILE", found=found)
    if energy.levels is not None and energy.levels < 1:
        raise InputError("--levels", expected="an integer, at least 1", found=energy.levels)
    amount("--itl-s", energy.itl_s)
    pools = {pool.gpu: pool for pool in energy.gpus}
    if len(pools) < len(energy.gpus):
        raise InputError("--gpus", expected="each type of GPU once", found=[pool.gpu for pool in energy.gpus])
    measured, alike = read_configurations(files[0], statistic=energy.latency_statistic)
    if energy.quality is not None:
        quality = _qualities(energy.quality, measured)
        with told_of(files[0]):
            made = _route(measured, pools, files, options, energy, quality)
    else:
        with told_of(files[0]):
            made = _serve(measured, pools, files, options, energy)
    twice = [expert.name for expert in made.problem.experts if expert.name in alike]
    note = f"measured more than once, and kept under a number: {'; '.join(twice)}"
    return Imported(problem=made.problem, notes=(*made.notes, note) if twice else made.notes)


def _serve(
    measured: Sequence[Measured],
    pools: Mapping[str, GpuBudget],
    files: Sequence[Path],
    options: ImportOptions,
    energy: EnergyOptions,
) -> Imported:
    """Return the problem of serving every named model with the least energy."""
    if energy.itl_s is None:
        raise InputError("--itl-s", expected="the longest inter-token latency, since models are served", found=None)
    models = _models(measured, energy.serve or ())
    kept, notes = within_pools([part for part in measured if part.model in models], pools)
    kept, cut = _levels(kept, energy)
    lost = [model for model in models if model not in {part.model for part in kept}]
    if lost:
        expected = f"a configuration of {lost[0]} that the GPUs can hold"
        raise InputError("--gpus", expected=expected, found=Plain("none"))
    source = f"ML.ENERGY leaderboard, {files[0].name}"
    problem = SelectionProblem(
        name=options.title(files),
        description="Serve every model. Latencies are inter-token latencies, seconds per token. Quality is 1 where a "
        "configuration is of the model asked for.",
        devices=devices(kept, pools),
        categories=tuple(Category(name=model, latency_budget_s=energy.itl_s) for model in models),
        experts=tuple(part.expert([part.model], pools, source) for part in kept),
        prompts=tuple(Prompt(name=model, category=model) for model in models),
        quality=Matrix([[float(part.model == model) for part in kept] for model in models]),
        budgets=options.budgets(),
        gate="category",
        objective="energy_j",
        latency_statistic=energy.latency_statistic,
    )
    return Imported(problem=problem, notes=(*notes, *cut))


def _models(measured: Sequence[Measured], wanted: Sequence[str]) -> list[str]:
    """Return the ids of the models asked for, in the order of the file."""
    known = dict.fromkeys(part.model for part in measured)
    if list(wanted) == ["all"]:
        return list(known)
    names = model_names(measured)
    for name in wanted:
        if name not in names:
            raise InputError("--serve", expected=f"all, or some of {', '.join(known)}", found=name)
    chosen = {names[name] for name in wanted}
    return [model for model in known if model in chosen]


def _levels(measured: Sequence[Measured], energy: EnergyOptions) -> tuple[list[Measured], list[str]]:
    """Return at most ``levels`` configurations of each model, in turn over the kinds of machine.

    On each kind of machine the one that keeps the promise with the least energy comes first. So where there are as many
    levels as kinds, the least energy of the whole is still among what is kept.
    """
    if energy.levels is None:
        return list(measured), []
    limit = energy.itl_s
    order = sorted(measured, key=lambda part: (limit is not None and part.itl_s > limit, part.energy_j))
    turns: dict[tuple[str, str, int], int] = {}
    ranked = []
    for part in order:
        key = (part.model, part.gpu, part.gpus)
        turns[key] = turns.get(key, 0) + 1
        ranked.append((limit is not None and part.itl_s > limit, turns[key], part.energy_j, part))
    taken: dict[str, int] = {}
    names = set()
    for *_, part in sorted(ranked, key=lambda item: item[:3]):
        taken[part.model] = taken.get(part.model, 0) + 1
        if taken[part.model] <= energy.levels:
            names.add(part.name)
    kept = [part for part in measured if part.name in names]
    count = len(measured) - len(kept)
    note = f"{count} configurations left out, more than {energy.levels} of their model: an optimum is one of the rest"
    return kept, [note] if count else []


def _route(
    measured: Sequence[Measured],
    pools: Mapping[str, GpuBudget],
    files: Sequence[Path],
    options: ImportOptions,
    energy: EnergyOptions,
    quality: Mapping[str, Mapping[str, float]],
) -> Imported:
    """Return the problem of routing to models whose quality is known by category and model."""
    kept, notes = within_pools([part for part in measured if any(part.model in row for row in quality.values())], pools)
    kept, cut = _levels(kept, energy)
    unknown = sorted({part.model for part in measured} - {model for row in quality.values() for model in row})
    notes += cut
    if unknown:
        notes.append(f"models without a quality left out: {', '.join(unknown)}")
    if not kept:
        raise InputError(str(energy.quality), expected="a model that the GPUs can hold", found=Plain("none"))
    rows = [
        Answers(
            name=category,
            category=category,
            where=str(energy.quality),
            quality={part.name: row[part.model] for part in kept if part.model in row},
            price_usd={},
            latency_s={},
        )
        for category, row in quality.items()
    ]
    absent = {
        row.name: f"quality of {part.model} in {row.name}"
        for row in rows
        for part in kept
        if part.name not in row.quality
    }
    prompts, dropped = drop_incomplete(rows, absent, options=options, file=str(energy.quality))
    names = [prompt.name for prompt in prompts]
    problem = SelectionProblem(
        name=options.title(files),
        description="Latencies are inter-token latencies, seconds per token.",
        devices=devices(kept, pools),
        categories=tuple(Category(name=name, latency_budget_s=energy.itl_s) for name in names),
        experts=tuple(part.expert(names, pools, f"ML.ENERGY leaderboard, {files[0].name}") for part in kept),
        prompts=tuple(Prompt(name=name, category=name) for name in names),
        quality=quality_matrix(prompts, [part.name for part in kept]),
        budgets=options.budgets(),
        gate=options.gate,
        latency_statistic=energy.latency_statistic,
    )
    return Imported(problem=problem, notes=(*notes, *dropped))


def _qualities(path: Path, measured: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Return quality by category and model id; models may be given by nickname."""
    table = read_table(path)
    table.need(["model", "quality"])
    names = model_names(measured)
    found: dict[str, dict[str, float]] = {}
    for row in table.rows:
        model = names.get(row.text("model"))
        if model is None:
            raise InputError(f"{row.where}: model", expected="a model of the leaderboard", found=row.cells["model"])
        category = row.text("category") if "category" in table.columns else "all"
        quality = row.number("quality")
        if quality is None:
            continue
        if model in found.setdefault(category, {}):
            raise InputError(row.where, expected=f"one quality for each model in {category!r}", found=model)
        found[category][model] = quality
    if not any(found.values()):
        raise InputError(str(path), expected="a quality", found=Plain("none"))
    return found
