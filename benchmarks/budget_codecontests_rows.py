"""CodeContests outcomes: choice of (model, samples), planned on one half of the samples and scored on the other.

5 models x 140 problems x 10,000 outcomes (Large Language Monkeys, arXiv 2407.21787). Cost: billions of parameters times
samples. Each figure says how many times its budget the best fixed (model, samples) needs for the same coverage; fixed
choices may be mixed over problems (their convex frontier, chosen on the planning half). Reading the data needs pyarrow;
without it, or without the data, there are no rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.budget_measured import RESOURCE, curve, row
from benchmarks.common import Row, options, show
from coinfer.models.budget.difficulty.frontier import budget_ratio
from coinfer.models.budget.difficulty.measured import option_values
from coinfer.models.budget.difficulty.menus import options_of, stratum_problem
from coinfer.models.budget.difficulty.shrink import Shrinkage
from coinfer.models.budget.difficulty.strata import Partition, by_history, by_oracle, pooled
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount
from coinfer.solver.program import FloatArray, IntArray

DATA = Path(__file__).parents[2] / "shared" / "data" / "codecontests_outcomes.parquet"
SIZE_B = {
    "Llama 3 8B": 8.0,
    "Llama 3 8B Instruct": 8.0,
    "Llama 3 70B Instruct": 70.0,
    "Gemma 2B": 2.0,
    "Gemma 7B": 7.0,
}
BUDGETS_B = (70.0, 280.0, 1120.0, 4480.0, 17920.0)
DRAWN = 10_000
COUNTS = tuple(sorted({*(round(2 ** (step / 2)) for step in range(25)), 5000}))
PILOT = "Llama 3 8B Instruct"
PILOT_RUNS = 2
GRID = np.unique([0.0, *np.geomspace(1.0, 70.0 * 5000.0, 3000), *BUDGETS_B])
RAW = Shrinkage()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Halves:
    """Samples to plan with, samples to score by, and those of a pilot, (problems, arms) each."""

    plan: Outcomes
    score: Outcomes
    pilot: IntArray


def outcomes() -> FloatArray:
    """Return (problems, models, samples) outcomes, 0 or 1, with the models in the order of ``SIZE_B``."""
    import pyarrow.parquet as parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]

    table = parquet.read_table(DATA, columns=["Problem Idx", "Attempt Idx", "Score", "Model"])
    model = table["Model"].combine_chunks().dictionary_encode()
    place = np.array([list(SIZE_B).index(str(name)) for name in model.dictionary])
    problems, place_of = np.unique(table["Problem Idx"].to_numpy(), return_inverse=True)
    bits = np.zeros((len(problems), len(SIZE_B), DRAWN))
    bits[place_of, place[model.indices.to_numpy()], table["Attempt Idx"].to_numpy() - 1] = table["Score"].to_numpy()
    return bits


def halves(bits: FloatArray, seed: int) -> Halves:
    """Split the samples at random; the pilot is drawn from the planning half."""
    order = np.random.default_rng(seed).permutation(DRAWN)
    first, second = order[: DRAWN // 2], order[DRAWN // 2 :]
    return Halves(
        plan=_counts(bits[:, :, first]),
        score=_counts(bits[:, :, second]),
        pilot=_successes(bits[:, :, first[:PILOT_RUNS]]),
    )


def rows(quick: bool) -> list[Row]:
    """Return the rows: an oracle's five bins, no information, and a pilot that is paid."""
    if not DATA.exists() or find_spec("pyarrow") is None:
        return []
    began = time.process_time()
    bits = outcomes()
    curves: dict[str, list[FloatArray]] = {}
    told: dict[str, str] = {}
    for seed in range(2 if quick else 10):
        split = halves(bits, seed)
        for name, own in partitions(split).items():
            problem = stratum_problem(split.plan, own, COUNTS, name=name, shrinkage=RAW)
            _, pairs = options_of(split.plan, COUNTS)
            curves.setdefault(name, []).append(curve(problem, own, option_values(split.score, pairs), GRID))
            told[name] = own.information.description or own.information.source
    mean = {name: np.mean(found, axis=0) for name, found in curves.items()}
    return _rows(mean, told, time.process_time() - began)


def partitions(split: Halves) -> dict[str, Partition]:
    """Return what the plans may know."""
    arm = split.plan.arms.index(PILOT)
    pilot = by_history(
        split.pilot[:, [arm]],
        np.full((len(split.pilot), 1), PILOT_RUNS),
        models=[PILOT],
        cost=(Amount(resource=RESOURCE, amount=PILOT_RUNS * SIZE_B[PILOT]),),
    )
    return {"nothing": pooled(len(split.pilot)), "oracle": by_oracle(split.plan, bins=5), "pilot": pilot}


def _rows(mean: dict[str, FloatArray], told: dict[str, str], seconds: float) -> list[Row]:
    made = []
    base = mean["nothing"]
    peer = {name: f"best fixed (model, k); knows {text}" for name, text in told.items()}
    ratios = {name: [budget_ratio(GRID, found, base, budget) for budget in BUDGETS_B] for name, found in mean.items()}
    for name, found in ratios.items():
        target = 3.3 if name == "oracle" else None
        for budget, ratio in zip(BUDGETS_B, found, strict=True):
            made.append(row(f"less budget, {name}", f"CodeContests {budget:g} B", ratio, target, peer[name], seconds))
    high = float(sum(ratio >= 4.0 for ratio in ratios["oracle"]))
    made.append(row("budgets with 4x and more, oracle", "CodeContests", high, 3.0, peer["oracle"], seconds, "of 5"))
    return made


def _successes(bits: FloatArray) -> IntArray:
    counts: IntArray = bits.sum(axis=2).astype(np.int64)
    return counts


def _counts(bits: FloatArray) -> Outcomes:
    problems, models, samples = bits.shape
    return Outcomes(
        prompts=tuple(f"problem {number}" for number in range(problems)),
        arms=tuple(SIZE_B),
        successes=_successes(bits),
        samples=np.full((problems, models), samples),
        resources=(RESOURCE,),
        sample_cost=np.broadcast_to(np.array(list(SIZE_B.values())), (1, problems, models)).copy(),
    )


if __name__ == "__main__":
    asked = options(__doc__ or "")
    show(rows(asked.quick), asked.json)
