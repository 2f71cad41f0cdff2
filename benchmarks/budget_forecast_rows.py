"""Coverage at 10,000 samples forecast from 100, on recorded outcomes; rows of the budget benchmark.

Series: 7 Pythia models on 128 MATH problems and 5 models on 140 CodeContests problems, 10,000 outcomes each. The truth
is the share of the problems with a right one among the 10,000; a forecast sees a random 100 of each problem's. What was
chosen (the method by its error, the temper of the interval by its share over 30 to 1,000 samples drawn) is chosen again
here for each series from the other eleven: see the rows that say so. Reading the outcomes needs ``pyarrow``.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.budget_forecast_joint import COVERED, DRAWN, GOAL, joint_rows
from benchmarks.common import Row
from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.curves.prior import fit_beta_prior
from coinfer.models.budget.forecast import forecast, intervals, power_law
from coinfer.models.budget.forecast.curves import GRID_POINTS, Curve, curve, failing

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = {"Pythia MATH": "pythia_math_outcomes.parquet", "CodeContests": "codecontests_outcomes.parquet"}
SIZES = (30, 100, 300, 1_000)
TEMPERS = (1.0, 2.0, 3.0, 4.0, 6.0)
PLAIN = ("exponentiated power law", "Beta-binomial", "power-law tail", "posterior median", "plug-in rate")
BLENDS = (0.1, 0.25, 0.5)


def series(folder: Path) -> dict[str, tuple[str, Counts]]:
    """Return the right samples of each problem, of 10,000, by model; with the name of the data set."""
    import pyarrow.parquet as pq

    found = {}
    for name, file in FILES.items():
        table = pq.read_table(folder / file, columns=["Problem Idx", "Score", "Model"])
        models = table["Model"].dictionary_encode().combine_chunks()
        problem = table["Problem Idx"].to_numpy()
        size = int(problem.max()) + 1
        cell = models.indices.to_numpy() * size + problem
        names = models.dictionary.to_pylist()
        right = np.bincount(cell, weights=table["Score"].to_numpy().astype(np.float64), minlength=len(names) * size)
        asked = np.flatnonzero(np.bincount(problem))
        for model, counts in zip(names, right.astype(np.int64).reshape(len(names), size), strict=True):
            found[f"{name}, {model}"] = (name, counts[asked])
    return found


def estimates(right: Counts) -> dict[str, float]:
    """Return coverage at the goal by every method, from ``DRAWN`` samples of each problem."""
    drawn = np.full(len(right), DRAWN)
    counted = curve(right, drawn)
    start = float(counted.failing[-1])
    rates = fit_beta_prior(right, drawn)
    laws = intervals.posterior(counted)
    later = 1.0 - laws.failing(np.array([DRAWN, GOAL]))
    chance = 1.0 - (1.0 - later[:, 1]) / (1.0 - later[:, 0])
    middle = float(chance[np.argsort(chance)][np.searchsorted(np.cumsum(laws.weight[np.argsort(chance)]), 0.5)])
    law = power_law.fit(counted)
    fitted = middle if law is None else 1.0 - float(law.failing(np.array(GOAL)) / law.failing(np.array(DRAWN)))
    found = {
        "exponentiated power law": 1.0 - start * (1.0 - fitted),
        "Beta-binomial": float(expected_coverage(rates.alpha, rates.beta, [GOAL])[0]),
        "power-law tail": 1.0 - start * (GOAL / DRAWN) ** -(power_law.tail(counted) or 0.0),
        "posterior median": 1.0 - start * (1.0 - middle),
        "plug-in rate": float(np.mean(1.0 - (1.0 - right / DRAWN) ** GOAL)),
    }
    for share in BLENDS:
        for other in ("Beta-binomial", "power-law tail", "posterior median"):
            one, two = (_stretched(found[name]) for name in ("exponentiated power law", other))
            found[f"power law and {share:g} of {other}"] = _coverage((1.0 - share) * one + share * two)
    return found


def rows(quick: bool) -> list[Row]:
    """Return the rows; none where the outcomes or ``pyarrow`` are absent."""
    if find_spec("pyarrow") is None or not all((DATA / file).is_file() for file in FILES.values()):
        return []
    began = time.perf_counter()
    found = series(DATA)
    truths = np.array([np.mean(counts > 0) for _, counts in found.values()])
    draws = _draws([counts for _, counts in found.values()], 5 if quick else 40)
    label = f"12 series x {len(draws[0])} of {DRAWN}"
    by_name: dict[str, list[list[float]]] = {}
    for group in draws:
        results = [estimates(right) for right in group]
        for name in results[0]:
            by_name.setdefault(name, []).append([each[name] for each in results])
    errors = {name: np.abs(np.array(value) - truths[:, None]) for name, value in by_name.items()}
    table = joint_rows([name for name, _ in found.values()], draws, [counts for _, counts in found.values()], truths)
    table.append(_row("alone, at 10,000: error, chosen on others", label, _held_out(errors), None, began))
    table += [_row("alone, at 10,000: mean error", name, float(errors[name].mean()), None, began) for name in PLAIN]
    table += _sets(errors["exponentiated power law"], [name for name, _ in found.values()], began)
    known = _known_curve([counts for _, counts in found.values()], truths)
    table.append(_row("... with the first 100 known exactly", "exponentiated power law", known, None, began))
    return table + _interval_rows([counts for _, counts in found.values()], draws, truths, label)


def _interval_rows(counts: list[Counts], draws: list[list[Counts]], truths: Floats, label: str) -> list[Row]:
    """Return the rows of the 90 % interval: as it is, and with its temper chosen on the other series."""
    hits, widths, seconds = _intervals(draws, truths, cautious=False)
    few = [group[:5] for group in draws]
    held, wide, _ = _intervals(few, truths, cautious=True)
    sizes = {drawn: _draws(counts, min(len(draws[0]), 12), drawn) for drawn in SIZES}
    tempered = {
        temper: np.array([_covered(each, truths, drawn, temper) for drawn, each in sizes.items()]) for temper in TEMPERS
    }
    chosen = []
    for index in range(len(truths)):
        gap = {temper: abs(np.delete(found, index, axis=1).mean() - 0.9) for temper, found in tempered.items()}
        chosen.append(tempered[min(gap, key=lambda temper: gap[temper])][SIZES.index(DRAWN), index])
    by_size = zip(SIZES, tempered[intervals.TEMPER].mean(axis=1), strict=True)
    return [
        _share("90 % interval holds the truth", label, float(np.mean(hits)), sum(seconds)),
        _share("90 % interval, temper chosen on others", label, float(np.mean(chosen)), sum(seconds)),
        *(
            _row("... holds it, by samples", f"{n} drawn", float(share), None, time.perf_counter())
            for n, share in by_size
        ),
        _row("90 % interval: share of the worst series", label, _least(hits, len(truths)), None, time.perf_counter()),
        _row("90 % interval: mean width", label, float(np.mean(widths)), None, time.perf_counter()),
        _row("cautious 90 % interval holds the truth", "5 of them", float(np.mean(held)), None, time.perf_counter()),
        _row("cautious 90 % interval: mean width", "5 of them", float(np.mean(wide)), None, time.perf_counter()),
        Row(
            claim="forecast with interval: most wall time",
            instance=label,
            figure=max(seconds),
            unit="s",
            target=1.0,
            holds=max(seconds) <= 1.0,
            peer="-",
            seconds=sum(seconds),
        ),
    ]


def _intervals(
    draws: list[list[Counts]], truths: Floats, *, cautious: bool
) -> tuple[list[bool], list[float], list[float]]:
    """Return for each forecast whether its interval holds the truth, its width and its wall seconds."""
    hits, widths, seconds = [], [], []
    for group, truth in zip(draws, truths, strict=True):
        for right in group:
            began = time.perf_counter()
            made = forecast(right, np.full(len(right), DRAWN), [GOAL], cautious=cautious)
            seconds.append(time.perf_counter() - began)
            hits.append(bool(made.lower[0] <= truth <= made.upper[0]))
            widths.append(float(made.upper[0] - made.lower[0]))
    return hits, widths, seconds


def _least(hits: list[bool], count: int) -> float:
    return float(np.array(hits).reshape(count, -1).mean(axis=1).min())


def _covered(draws: list[list[Counts]], truths: Floats, drawn: int, temper: float) -> Floats:
    """Return how often the truth of each series lies in the interval of a posterior with that temper, (series,)."""
    ends = np.array([0.05, 0.95])
    shares = []
    for group, truth in zip(draws, truths, strict=True):
        inside = 0
        for right in group:
            counted = curve(right, np.full(len(right), drawn))
            laws = intervals.posterior(counted, temper=temper)
            share = laws.failing(np.array([drawn, GOAL]))
            chance, left = 1.0 - share[:, 1] / share[:, 0], float(counted.failing[-1])
            mean, variance = 1.0 - left * (1.0 - chance), left * chance * (1.0 - chance) / len(right)
            low, high = intervals.quantiles(laws.weight, mean, variance, ends)
            inside += bool(low <= truth <= high)
        shares.append(inside / len(group))
    return np.array(shares)


def _draws(counts: list[Counts], repeats: int, drawn: int = DRAWN) -> list[list[Counts]]:
    random = np.random.default_rng(11)
    return [[random.hypergeometric(each, GOAL - each, drawn) for _ in range(repeats)] for each in counts]


def _held_out(errors: dict[str, Floats]) -> float:
    """Return the mean error where each series has the method that is best on the other series."""
    means = {name: value.mean(axis=1) for name, value in errors.items()}
    kept = []
    for index in range(len(next(iter(means.values())))):
        best = min(means, key=lambda name: float(np.delete(means[name], index).mean()))
        kept.append(means[best][index])
    return float(np.mean(kept))


def _known_curve(counts: list[Counts], truths: Floats) -> float:
    """Return the error of the law fitted to the first 100 points of the curve of all 10,000 samples: none is noise."""
    away = []
    points = np.unique(np.round(np.geomspace(1, DRAWN, GRID_POINTS)).astype(np.int64))
    for right, truth in zip(counts, truths, strict=True):
        share = failing(right, np.full(len(right), GOAL), points).mean(axis=0)
        nothing = np.zeros(len(points))
        exact = Curve(samples=points, failing=share, first_passed=nothing, unpassed=nothing)
        law = power_law.fit(exact)
        assert law is not None
        left = law.failing(np.array(GOAL)) / law.failing(np.array(DRAWN)) * share[-1]
        away.append(abs(1.0 - float(left) - truth))
    return float(np.mean(away))


def _sets(errors: Floats, names: list[str], began: float) -> list[Row]:
    claim = "... exponentiated power law, by data set"
    return [_row(claim, name, float(errors[np.array(names) == name].mean()), None, began) for name in FILES]


def _row(claim: str, instance: str, figure: float, target: float | None, began: float) -> Row:
    holds = None if target is None else figure <= target
    seconds = time.perf_counter() - began
    return Row(
        claim=claim, instance=instance, figure=figure, unit="", target=target, holds=holds, peer="-", seconds=seconds
    )


def _share(claim: str, instance: str, figure: float, seconds: float) -> Row:
    """Return the row of an interval: it may cover neither too little nor too much."""
    return Row(
        claim=claim,
        instance=instance,
        figure=figure,
        unit="",
        target=0.9,
        holds=COVERED[0] <= figure <= COVERED[1],
        peer="-",
        seconds=seconds,
    )


def _stretched(coverage: float) -> float:
    return float(np.log(-np.log(np.clip(coverage, 1e-6, 1.0 - 1e-9))))


def _coverage(stretched: float) -> float:
    return float(np.exp(-np.exp(stretched)))
