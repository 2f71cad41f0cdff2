"""The menu: every way to serve every task, with figures measured or predicted."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from coinfer.models.acceleration.data import AccelerationProblem, Figure, MeasuredFigure, Task
from coinfer.models.acceleration.decision import Estimate
from coinfer.models.acceleration.intervals import predict_intervals
from coinfer.models.acceleration.predict import Predictor
from coinfer.models.acceleration.table import Cell, cell_of, design, fits

MEASURED: tuple[MeasuredFigure, ...] = ("runtime_s", "energy_j", "token_latency_s")
_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to serve one task, and what is known of it per request. A figure that is not known is absent."""

    cell: Cell
    figures: dict[Figure, Estimate]


def menu(problem: AccelerationProblem) -> tuple[list[Cell], list[str]]:
    """Return every way to serve every task, and sentences on what left the menu."""
    cells: list[Cell] = []
    notes: list[str] = []
    for task in problem.tasks:
        names = (
            [record.name for record in records] if allowed is None else list(dict.fromkeys(allowed))
            for allowed, records in (
                (task.models, problem.models),
                (task.devices, problem.devices),
                (task.methods, problem.methods),
            )
        )
        cells += [Cell(task.name, *combination) for combination in itertools.product(*names)]
    measured = {cell_of(row) for row in problem.history}
    fitting = [cell for cell in cells if cell in measured or fits(problem, cell)]
    if len(fitting) < len(cells):
        count = len(cells) - len(fitting)
        notes.append(f"{count} of {len(cells)} ways to serve a task have too little memory for the weights")
    return fitting, notes


def needed(problem: AccelerationProblem, task: Task) -> set[Figure]:
    """Return the figures that decide what may serve ``task``."""
    return {problem.objective, *problem.budgets, *task.limits}


def estimate(
    problem: AccelerationProblem, *, predictor: Predictor = "roofline+trees", seed: int = 0
) -> tuple[list[Option], list[str]]:
    """Return the menu with its figures, and sentences on what left it.

    A measured figure is the mean of its measurements and is never replaced by a prediction. Figures that decide
    nothing are shown where they were measured, and not predicted.

    Raises
    ------
    BackendMissing
        If trees are wanted and scikit-learn is not installed.
    """
    return _estimate(problem, predictor, seed)


def measured_options(problem: AccelerationProblem) -> list[Option]:
    """Return the menu with measured figures alone."""
    return _estimate(problem, None, 0)[0]


def _estimate(problem: AccelerationProblem, predictor: Predictor | None, seed: int) -> tuple[list[Option], list[str]]:
    """Return the menu with its figures; without a predictor, unmeasured figures are absent."""
    cells, notes = menu(problem)
    figures: list[dict[Figure, Estimate]] = [{} for _ in cells]
    wanted = set().union(*(needed(problem, task) for task in problem.tasks))
    for figure in MEASURED:
        predicted = figure in wanted or (figure == "runtime_s" and "price_usd" in wanted)
        estimates = _figure(problem, cells, figure, predictor=predictor if predicted else None, seed=seed)
        for known, found in zip(figures, estimates, strict=True):
            if found is not None:
                known[figure] = found
    prices = {record.name: record.price_usd_per_hour for record in problem.devices}
    counts = {record.name: record.accelerators for record in problem.methods}
    for cell, known in zip(cells, figures, strict=True):
        price, count = prices[cell.device], counts[cell.method]
        if "runtime_s" in known and price is not None and count is not None:
            known["price_usd"] = _times(known["runtime_s"], price * count / _SECONDS_PER_HOUR)
    return [Option(cell=cell, figures=known) for cell, known in zip(cells, figures, strict=True)], notes


def _figure(
    problem: AccelerationProblem, cells: list[Cell], figure: MeasuredFigure, *, predictor: Predictor | None, seed: int
) -> list[Estimate | None]:
    """Return one figure of every cell: measured, predicted, or ``None``."""
    measured: dict[Cell, list[float]] = defaultdict(list)
    for row in problem.history:
        number = getattr(row, figure)
        if number is not None:
            measured[cell_of(row)].append(number)
    found: list[Estimate | None] = [_measured(measured[cell]) if cell in measured else None for cell in cells]
    missing = [i for i, known in enumerate(found) if known is None]
    if predictor is None or not missing or len(measured) < 2:
        return found
    rows = list(measured)
    table = design(problem, [*rows, *(cells[i] for i in missing)], figure)
    made = predict_intervals(
        table,
        np.arange(len(rows)),
        np.log([math.fsum(measured[cell]) / len(measured[cell]) for cell in rows]),
        np.arange(len(rows), len(rows) + len(missing)),
        level=problem.level,
        predictor=predictor,
        seed=seed,
    )
    for i, value, low, high, level in zip(missing, made.value, made.low, made.high, made.level, strict=True):
        ends = None if math.isnan(level) else (_exp(low), _exp(high))
        found[i] = Estimate(
            value=_exp(value),
            basis="predicted",
            low=ends[0] if ends else None,
            high=ends[1] if ends else None,
            level=float(level) if ends else None,
        )
    return found


def _measured(numbers: list[float]) -> Estimate:
    value = numbers[0] if len(numbers) == 1 else math.fsum(numbers) / len(numbers)
    return Estimate(value=value, basis="measured", low=value, high=value)


def _exp(logarithm: float) -> float:
    """Return the figure of a logarithm; what is beyond every real figure stays finite."""
    return math.exp(min(max(float(logarithm), -120.0), 120.0))


def _times(known: Estimate, factor: float) -> Estimate:
    return Estimate(
        value=known.value * factor,
        basis=known.basis,
        low=None if known.low is None else known.low * factor,
        high=None if known.high is None else known.high * factor,
        level=known.level,
    )
