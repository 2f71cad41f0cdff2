"""What every importer takes and gives, and how figures become a selection problem."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.records import Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the foreign file does not say.

    Attributes
    ----------
    name
        Name of the problem; absent: the first file's name without its suffix.
    device
        Name of the one device, where the format names none.
    experts_budget, energy_budget_j, price_budget_usd
        Budgets of the problem; absent ones do not bind.
    gate
        Gate of the problem; ``category`` can be deployed as it stands, ``oracle`` is an upper limit.
    missing
        What to do with a prompt that lacks a cell: ``refuse`` the file with line and column, or ``drop`` the prompt.
        An absent cell is never read as 0.
    """

    name: str | None = None
    device: str = "hosted"
    experts_budget: int | None = None
    energy_budget_j: float | None = None
    price_budget_usd: float | None = None
    gate: Literal["oracle", "category"] = "category"
    missing: Literal["refuse", "drop"] = "refuse"

    def budgets(self) -> Budgets:
        """Return the budgets as a problem has them."""
        return Budgets(energy_j=self.energy_budget_j, price_usd=self.price_budget_usd, experts=self.experts_budget)

    def title(self, files: Sequence[Path]) -> str:
        """Return the name of the problem made from ``files``."""
        return self.name if self.name is not None else files[0].stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A problem made from foreign files.

    Attributes
    ----------
    problem
        The problem.
    notes
        What was left out, and how figures were taken, one sentence each.
    """

    problem: SelectionProblem
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is known of one prompt.

    Attributes
    ----------
    name, category
        Its name and its category.
    where
        Where it stands, as in ``table.csv: line 7``.
    quality, price_usd, latency_s
        Figures by expert; a figure that is absent from the file is absent here.
    """

    name: str
    category: str
    where: str
    quality: dict[str, float]
    price_usd: dict[str, float]
    latency_s: dict[str, float]


def need_files(files: Sequence[Path], most: int | None = None) -> None:
    """Refuse no file, and more than ``most`` of them."""
    if not files or (most is not None and len(files) > most):
        expected = "at least one file" if most is None else f"1 to {most} files" if most > 1 else "one file"
        raise InputError("files", expected=expected, found=Plain(f"{len(files)}"))


def quality_matrix(prompts: Sequence[Answers], experts: Sequence[str]) -> Matrix:
    """Return the (prompts, experts) matrix of prompts that lack no quality."""
    rows: NDArray[np.float64] = np.array([[prompt.quality[name] for name in experts] for prompt in prompts])
    return Matrix(rows)


def by_category(
    prompts: Sequence[Answers], field: Literal["price_usd", "latency_s"], expert: str, statistic: str = "mean"
) -> dict[str, float]:
    """Return the mean, ``p50`` or ``p95`` of a figure by category; categories without one stay absent."""
    figures: dict[str, list[float]] = {}
    for prompt in prompts:
        figure = getattr(prompt, field).get(expert)
        if figure is not None:
            figures.setdefault(prompt.category, []).append(figure)
    return {category: _statistic(numbers, statistic) for category, numbers in figures.items()}


def _statistic(numbers: list[float], statistic: str) -> float:
    if statistic == "mean":
        return math.fsum(number / len(numbers) for number in numbers)
    return float(np.quantile(numbers, {"p50": 0.5, "p95": 0.95}[statistic]))


def drop_incomplete(
    prompts: Sequence[Answers], absent: Mapping[str, str], *, options: ImportOptions, file: str
) -> tuple[list[Answers], list[str]]:
    """Return the prompts that lack nothing, and a note on the others; or refuse the first that does.

    Parameters
    ----------
    prompts
        All prompts.
    absent
        By name of a prompt, the first cell it lacks.
    options
        Whether to refuse or to drop.
    file
        Named in the error when nothing is left.
    """
    kept = [prompt for prompt in prompts if prompt.name not in absent]
    if len(kept) == len(prompts):
        return kept, []
    first = next(prompt for prompt in prompts if prompt.name in absent)
    if options.missing == "refuse":
        place = f"{first.where}: {absent[first.name]}"
        raise InputError(place, expected="a number, or --missing drop to leave such prompts out", found=Plain("none"))
    if not kept:
        raise InputError(file, expected="a prompt that lacks no cell", found=Plain("none"))
    count = len(prompts) - len(kept)
    example = f"{first.where}: {absent[first.name]}"
    return kept, [f"{count} of {len(prompts)} prompts dropped, because a cell is absent (first: {example})"]


def routing_problem(
    prompts: Sequence[Answers],
    experts: Sequence[str],
    *,
    files: Sequence[Path],
    options: ImportOptions,
    source: str,
    statistic: str = "mean",
) -> SelectionProblem:
    """Return the problem of experts on one device, with price and latency by category as the prompts have them."""
    made = []
    for name in experts:
        price = by_category(prompts, "price_usd", name)
        latency_s = by_category(prompts, "latency_s", name, statistic)
        made.append(
            Expert(name=name, device=options.device, latency_s=latency_s, price_usd=price or None, source=source)
        )
    return SelectionProblem(
        name=options.title(files),
        devices=(Device(name=options.device),),
        categories=tuple(Category(name=name) for name in dict.fromkeys(prompt.category for prompt in prompts)),
        experts=tuple(made),
        prompts=tuple(Prompt(name=prompt.name, category=prompt.category) for prompt in prompts),
        quality=quality_matrix(prompts, experts),
        budgets=options.budgets(),
        gate=options.gate,
        latency_statistic=statistic,
    )


@contextmanager
def told_of(where: object) -> Iterator[None]:
    """Put ``where`` before the path of every error from the block: a problem's check does not know the file."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{where}: {error.where}", expected=error.expected, found=error.found) from error
