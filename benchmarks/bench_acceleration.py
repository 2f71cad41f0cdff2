"""A GPU type that nobody measured: figures predicted from its data sheet and the measurements of another type.

python -m benchmarks.bench_acceleration [--quick] [--json FILE]

Reads the ML.ENERGY leaderboard's file from ../shared/data; the leaderboard has no licence and is not shipped. Anchors
are random rows of the held-out type, each draw a different set. The target is for the chosen predictor without anchors.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np

from benchmarks.common import Row, options, show
from coinfer.models.acceleration import AccelerationProblem, choose, compare, read_ml_energy
from coinfer.models.acceleration.data import Ceilings, MeasuredFigure
from coinfer.models.acceleration.intervals import predict_intervals
from coinfer.models.acceleration.predict import PREDICTORS, Predictor, fit
from coinfer.models.acceleration.table import cell_of, design

DATA = Path(__file__).parents[2] / "shared" / "data" / "ml_energy_lm_arena_chat.json"
TARGET_PERCENT = 25.0
CHOSEN: Predictor = "roofline+trees"


def split(device: np.ndarray, kept: str, anchors: int, seed: int) -> np.ndarray:
    """Return which rows are seen: all of one GPU type and a few, at random, of the other."""
    seen = device == kept
    if anchors:
        seen[np.random.default_rng(seed).choice(np.flatnonzero(~seen), anchors, replace=False)] = True
    return seen


def error_rows(problem: AccelerationProblem, figure: MeasuredFigure, draws: int) -> list[Row]:
    """Return the mean absolute error in percent on the held-out type, in both directions."""
    device = np.array([row.device for row in problem.history])
    truth = np.array([getattr(row, figure) for row in problem.history])
    table = design(problem, [cell_of(row) for row in problem.history], figure)
    rows = []
    for kept, held in (("H100", "B200"), ("B200", "H100")):
        for anchors in (0, 4, 8):
            for predictor in PREDICTORS:
                began = time.perf_counter()
                errors = []
                for seed in range(draws if anchors else 1):
                    seen = split(device, kept, anchors, seed)
                    fitted = fit(table, np.flatnonzero(seen), np.log(truth[seen]), predictor=predictor)
                    made = np.exp(fitted.predict(table, np.flatnonzero(~seen)))
                    errors.append(float(100.0 * np.mean(np.abs(made / truth[~seen] - 1.0))))
                mean = float(np.mean(errors))
                held_to_it = predictor == CHOSEN and anchors == 0
                rows.append(
                    Row(
                        claim=f"{figure}, {anchors} anchors",
                        instance=f"{kept} -> {held}",
                        figure=mean,
                        unit="%",
                        target=TARGET_PERCENT if held_to_it else None,
                        holds=mean <= TARGET_PERCENT if held_to_it else None,
                        peer=predictor + (f" (worst draw {max(errors):.1f} %)" if anchors else ""),
                        seconds=time.perf_counter() - began,
                    )
                )
    return rows


def coverage_rows(problem: AccelerationProblem, figure: MeasuredFigure, draws: int) -> list[Row]:
    """Return how often the intervals of the held-out type hold, with 8 anchors, against the level they state."""
    device = np.array([row.device for row in problem.history])
    logs = np.log([getattr(row, figure) for row in problem.history])
    table = design(problem, [cell_of(row) for row in problem.history], figure)
    rows = []
    for kept, held in (("H100", "B200"), ("B200", "H100")):
        began = time.perf_counter()
        inside, level, width = [], [], []
        for seed in range(draws):
            seen = split(device, kept, 8, seed)
            made = predict_intervals(
                table, np.flatnonzero(seen), logs[seen], np.flatnonzero(~seen), level=0.9, predictor=CHOSEN, seed=seed
            )
            known = ~np.isnan(made.level)
            truth = logs[~seen]
            inside.append(np.mean(((made.low <= truth) & (truth <= made.high))[known]))
            level.append(np.mean(made.level[known]))
            width.append(np.median(np.exp((made.high - made.low)[known])))
        share, stated = float(100 * np.mean(inside)), float(100 * np.mean(level))
        rows.append(
            Row(
                claim=f"{figure}, intervals that hold, 8 anchors",
                instance=f"{kept} -> {held}",
                figure=share,
                unit="%",
                target=stated,
                holds=share >= stated,
                peer=f"level stated on average; median high/low {np.mean(width):.2f}",
                seconds=time.perf_counter() - began,
            )
        )
    return rows


def choice_row(problem: AccelerationProblem, kept: str, held: str, limit_s: float) -> Row:
    """Return what the choices on an unmeasured type truly cost, against the oracle that measured everything."""
    began = time.perf_counter()
    ways: dict[str, list[str]] = {}
    for row in problem.history:
        ways.setdefault(row.task, []).append(row.method)
    seen = {row.model for row in problem.history if row.device == kept}
    quick = {
        row.task
        for row in problem.history
        if row.device == held and row.model in seen and (row.token_latency_s or 1.0) <= limit_s
    }
    tasks = tuple(
        msgspec.structs.replace(task, methods=tuple(ways[task.name]), limits=Ceilings(token_latency_s=limit_s))
        if task.name in quick
        else msgspec.structs.replace(task, models=())
        for task in problem.tasks
    )
    history = tuple(row for row in problem.history if row.device == kept)
    asked = msgspec.structs.replace(problem, tasks=tasks, history=history)
    found = compare(asked, choose(asked), [row for row in problem.history if row.device == held])
    return Row(
        claim=f"energy of the choice over the oracle's, {1e3 * limit_s:.0f} ms a token",
        instance=f"{kept} -> {held}",
        figure=found.chosen / found.oracle,
        unit="x",
        target=None,
        holds=None,
        peer=f"{len(quick)} models; every latency limit {'kept' if found.kept else 'NOT kept'}",
        seconds=time.perf_counter() - began,
    )


def main() -> None:
    """Run the benchmark."""
    chosen = options(__doc__ or "")
    if not DATA.is_file():
        print(f"{DATA.name} is absent: nothing to measure on", file=sys.stderr)
        show([], chosen.json)
        return
    problem = read_ml_energy(DATA)
    draws = 2 if chosen.quick else 10
    rows = [row for figure in get_args(MeasuredFigure) for row in error_rows(problem, figure, draws)]
    covered: tuple[MeasuredFigure, ...] = ("token_latency_s",) if chosen.quick else ("energy_j", "token_latency_s")
    rows += [row for figure in covered for row in coverage_rows(problem, figure, 1 if chosen.quick else 5)]
    rows += [choice_row(problem, kept, held, 0.1) for kept, held in (("H100", "B200"), ("B200", "H100"))]
    show(rows, chosen.json)


if __name__ == "__main__":
    main()
