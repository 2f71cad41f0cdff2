"""LiveCodeBench outcomes: plans for problems that were not seen, by what is known of them beforehand.

45 models x 400 problems x 10 samples; the menus are 15 open models of 1.3 to 34 B with 1 to 10 samples each. Values are
learned on one half of the problems; the plan for the other half knows only its labels or past runs of other models on
it. Each figure says how many times its budget the best fixed (model, samples) needs for the same coverage, from means
over many random splits. Fixed choices are those of the learning half for the rows of the label, which must not lose
against them; and those of the scored half itself, which nobody knows beforehand, for past runs: the learned ones stop
gaining near 70 B, which would flatter. Where no fixed choice ever gets there, the figure is that of 400 B, the largest
compared, and so a least one; menus end at 10 samples, so figures at 80 B say little. GPT-3.5-Turbo was picked by its
figures on these data; beside it stand the median over 30 models, and a model chosen on the learning half alone.

Repair: the same 400 problems after one repair of each failed first try. Only three models are in both files; one is
left out, since its name, mistral-large-latest, may mean another model in each.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.budget_measured import RESOURCE, curve, row
from benchmarks.common import Row, options, show
from coinfer.models.budget.difficulty.frontier import budget_ratio, frontier
from coinfer.models.budget.difficulty.measured import option_values
from coinfer.models.budget.difficulty.menus import options_of, stratum_problem
from coinfer.models.budget.difficulty.repair import repair_problem, repair_table
from coinfer.models.budget.difficulty.shrink import Shrinkage, chosen_shrinkage, mean_per_stratum
from coinfer.models.budget.difficulty.strata import Partition, by_history, by_label, crossed, pooled
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Budget
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.program import FloatArray, IntArray

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZE_B = {
    "DSCoder-33b-Ins": 33.0,
    "DSCoder-6.7b-Ins": 6.7,
    "DSCoder-1.3b-Ins": 1.3,
    "Cllama-34b-Ins": 34.0,
    "Cllama-13b-Ins": 13.0,
    "Cllama-7b-Ins": 7.0,
    "WCoder-34B-V1": 34.0,
    "WCoder-33B-V1.1": 33.0,
    "Phind-34B-V2": 34.0,
    "CodeQwen15-7B-Chat": 7.0,
    "MagiCoderS-DS-6.7B": 6.7,
    "MagiCoderS-CL-7B": 7.0,
    "OC-DS-33B": 33.0,
    "OC-DS-6.7B": 6.7,
    "OC-DS-1.3B": 1.3,
}
HISTORY = "GPT-3.5-Turbo-0125"
PILOT, PILOT_B, PILOT_RUNS = "DSCoder-1.3b-Base", 1.3, 2
REPAIRED = ("GPT-4-Turbo-2024-04-09", "Claude-3-Haiku")
BUDGETS_B = (5.0, 10.0, 20.0, 40.0, 80.0)
GRID = np.unique([*np.arange(0.0, 60.0, 0.5), *np.arange(60.0, 401.0, 2.0)])
COUNTS = tuple(range(1, 11))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """The menus' arms and the other models, on the same problems."""

    arms: Outcomes
    others: Outcomes


def load(name: str) -> Outcomes:
    """Return the outcomes of a published file; names that end in (N=1) have one sample, others ten."""
    found = json.loads((DATA / name).read_text(encoding="utf-8"))["performances"]
    problems = sorted({(each["platform"], each["question_id"]) for each in found})
    models = sorted({each["model"] for each in found})
    rows, columns = {key: i for i, key in enumerate(problems)}, {name: i for i, name in enumerate(models)}
    samples = np.tile([1 if model.lower().endswith("(n=1)") else 10 for model in models], (len(problems), 1))
    successes, labels = np.zeros_like(samples), [""] * len(problems)
    for each in found:
        at = rows[each["platform"], each["question_id"]], columns[each["model"]]
        successes[at] = round(each["pass@1"] / 100.0 * samples[at])
        labels[at[0]] = each["difficulty"]
    size = np.array([SIZE_B.get(model, np.nan) for model in models])
    return Outcomes(
        prompts=tuple(f"{platform} {question}" for platform, question in problems),
        arms=tuple(models),
        successes=successes,
        samples=samples,
        resources=(RESOURCE,),
        sample_cost=np.broadcast_to(size, (1, *samples.shape)).copy(),
        labels=tuple(labels),
    )


def partitions(data: Data) -> dict[str, Partition]:
    """Return what the plans may know: by name, strata of all problems."""
    label, others = by_label(data.arms), data.others
    made = {"nothing": pooled(len(label.of_prompt)), "label": label}
    for column, name in enumerate(others.arms):
        runs = by_history(others.successes[:, [column]], others.samples[:, [column]], models=[name], past=True)
        made[name] = crossed(label, runs)
    every = by_history(others.successes, others.samples, models=others.arms, past=True, bins=40)
    made[f"{len(others.arms)} models"] = crossed(label, every)
    column = others.arms.index(PILOT)
    some, _ = others.thinned(PILOT_RUNS, seed=0)
    price = (Amount(resource=RESOURCE, amount=PILOT_B * PILOT_RUNS),)
    runs = by_history(some.successes[:, [column]], some.samples[:, [column]], models=[PILOT], cost=price)
    made["pilot"] = crossed(label, runs)
    return made


def rows(quick: bool) -> list[Row]:
    """Return the rows on unseen problems, then those on repair."""
    if not (DATA / "livecodebench_generation_45x400.json").exists():
        return []
    generation = load("livecodebench_generation_45x400.json")
    made = _unseen(generation, (60, 6) if quick else (400, 100))
    if (DATA / "livecodebench_repair_17x713.json").exists():
        made += _repair(generation, load("livecodebench_repair_17x713.json"), 20 if quick else 200)
    return made


def _unseen(generation: Outcomes, splits: tuple[int, int]) -> list[Row]:
    """Return the rows on unseen problems; what is slow is done for the second number of splits only."""
    began = time.process_time()
    data = Data(
        arms=_columns(generation, [generation.arms.index(name) for name in SIZE_B]),
        others=_columns(generation, [i for i, name in enumerate(generation.arms) if name not in SIZE_B]),
    )
    known = partitions(data)
    _, pairs = options_of(data.arms, COUNTS)
    table = option_values(data.arms, pairs)
    curves: dict[str, list[FloatArray]] = {}
    for seed in range(splits[0]):
        order = np.random.default_rng(seed).permutation(len(table))
        learn, score = order[: len(order) // 2], order[len(order) // 2 :]
        scored = partial(_scored, data.arms, table, learn, score)
        slow = seed < splits[1]
        for name, own in known.items():
            if slow or name not in data.others.arms or name == HISTORY:
                curves.setdefault(name, []).append(scored(own))
        best_fixed = np.append(0.0, table[score].mean(axis=0))[None]
        hindsight = frontier(best_fixed, np.append(0.0, _costs(pairs))[None], np.ones(1))
        curves.setdefault("hindsight", []).append(hindsight.at(GRID))
        kept = chosen_shrinkage(table[learn], _costs(pairs), known[HISTORY].only(learn), np.array(BUDGETS_B))
        curves.setdefault("cross-validated", []).append(scored(known[HISTORY], kept))
        if slow:
            best = _best(data, table, known, learn)
            curves.setdefault("chosen", []).append(curves[best][-1])
    return _unseen_rows(curves, known, data.others.arms, time.process_time() - began)


def _scored(
    arms: Outcomes,
    table: FloatArray,
    learn: IntArray,
    score: IntArray,
    own: Partition,
    shrinkage: Shrinkage | None = None,
) -> FloatArray:
    """Return the coverage on the problems ``score`` of plans that learned from the problems ``learn``."""
    problem = stratum_problem(
        arms.only(learn),
        own.only(learn),
        COUNTS,
        name="LiveCodeBench",
        prompts=own.only(score).prompts,
        shrinkage=shrinkage,
    )
    return curve(problem, own.only(score), table[score], GRID)


def _best(data: Data, table: FloatArray, known: dict[str, Partition], learn: IntArray) -> str:
    """Return the other model whose history gains most inside the learning half, by plans for one half of it."""
    gained = dict.fromkeys(data.others.arms, 0.0)
    places = np.searchsorted(GRID, BUDGETS_B[1:4])
    for part in range(2):
        rest, out = learn[np.arange(len(learn)) % 2 != part], learn[np.arange(len(learn)) % 2 == part]
        for name in gained:
            gained[name] += float(_scored(data.arms, table, rest, out, known[name])[places].sum())
    return max(gained, key=gained.__getitem__)


def _unseen_rows(
    curves: dict[str, list[FloatArray]], known: dict[str, Partition], others: tuple[str, ...], seconds: float
) -> list[Row]:
    made = []
    told = {name: own.information.description or "" for name, own in known.items()}
    told["cross-validated"] = f"{told[HISTORY]}; shrinkage cross-validated on the learning half"
    told["chosen"] = "a label and past run(s) of one model, chosen on the learning half; not charged"
    learned = ("nothing", "label")  # a label must not lose against the plan without it, learned in the same way
    base = {name: curves["nothing" if name in learned else "hindsight"] for name in curves}
    ratio = {name: [_ratio(found, base[name], at) for at in BUDGETS_B] for name, found in curves.items()}
    ratio["median"] = np.median([ratio[name] for name in others], axis=0).tolist()
    told["median"] = f"a label and past run(s) of one model: median over {len(others)} models; not charged"
    shown = ("nothing", "label", HISTORY, "cross-validated", "chosen", "median", f"{len(others)} models", "pilot")
    for name in shown:
        for budget, figure in zip(BUDGETS_B, ratio[name], strict=True):
            target = 0.97 if name == "label" else None
            if name in (HISTORY, "cross-validated") and 10.0 <= budget <= 40.0:
                target = 1.5
            fixed = "learned" if name in learned else "in hindsight"
            claim, peer = f"less budget, {name}", f"best fixed (model, k), {fixed}; knows {told[name]}"
            made.append(row(claim, f"LiveCodeBench {budget:g} B", figure, target, peer, seconds))
    low, high = BUDGETS_B[0], BUDGETS_B[-1]
    every = [budget for budget in GRID.tolist() if low <= budget <= high]
    least = min(_ratio(curves["label"], curves["nothing"], budget) for budget in every)
    claim, at = "less budget, label, the least of all", f"LiveCodeBench {low:g}..{high:g} B"
    made.append(row(claim, at, least, 0.97, f"best fixed (model, k), learned; knows {told['label']}", seconds))
    return made


def _ratio(plan: list[FloatArray], base: list[FloatArray], budget: float) -> float:
    """Return the ratio of budgets by mean curves; where the base never gets there, that of the largest budget."""
    planned, fixed = np.mean(plan, axis=0), np.mean(base[: len(plan)], axis=0)
    return min(budget_ratio(GRID, planned, fixed, budget), float(GRID[-1]) / budget)


def _repair(generation: Outcomes, repair: Outcomes, splits: int) -> list[Row]:
    """Return rows on what the planner chooses by label, and what that gains on problems not seen."""
    began = time.process_time()
    place = {prompt: i for i, prompt in enumerate(repair.prompts)}
    shared = np.array([i for i, prompt in enumerate(generation.prompts) if prompt in place])
    first = generation.only(shared)
    after = repair.only(np.array([place[prompt] for prompt in first.prompts]))
    label = by_label(first)
    gains, follows = [], []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(first.prompts))
        learn, score = order[: len(order) // 2], order[len(order) // 2 :]
        right, fixed = 0.0, np.zeros(2)
        for arm in REPAIRED:
            taken = _choice(first.only(learn), after.only(learn), arm, label.only(learn), label.only(score))
            truth, _ = repair_table(first.only(score), after.only(score), arm)
            worth = mean_per_stratum(truth, label.only(score)) * label.only(score).prompts[:, None]
            right += float(worth[np.arange(len(taken)), taken].sum())
            fixed += worth[:, 1:].sum(axis=0)
            follows.append([taken[label.names.index("easy")] == 2, taken[label.names.index("hard")] == 1])
        gains.append([right, *fixed])
    total = np.mean(gains, axis=0)
    seconds, told = time.process_time() - began, label.information.description or ""
    name = "GPT-4-Turbo, Claude-3-Haiku"
    peer = f"better of repair or resample for all; knows {told}"
    chosen = np.mean(follows, axis=0)
    return [
        row("right on unseen problems, chosen per label", name, total[0] / total[1:].max(), 1.0, peer, seconds),
        row("splits where it repairs easy problems", name, chosen[0], 0.5, f"knows {told}", seconds, "of 1"),
        row("splits where it resamples hard problems", name, chosen[1], 0.5, f"knows {told}", seconds, "of 1"),
    ]


def _choice(first: Outcomes, after: Outcomes, arm: str, learn: Partition, score: Partition) -> IntArray:
    """Return the column of the repair table (one try, a second try, a repair) that each stratum is given."""
    calls = Budget(resource="requests", limit=2.0 * float(score.prompts.sum()))
    problem = repair_problem(first, after, arm, learn, name="repair", prompts=score.prompts, budgets=(calls,))
    taken = solve(formulate(problem)).taken
    assert taken is not None  # two calls for each problem are enough for every option
    most: IntArray = np.zeros((problem.rows, len(problem.options)), dtype=np.int64)
    most[taken[:, 0], taken[:, 1]] = taken[:, 2]
    chosen: IntArray = most.argmax(axis=1) - 1
    return chosen


def _columns(outcomes: Outcomes, columns: list[int]) -> Outcomes:
    return Outcomes(
        prompts=outcomes.prompts,
        arms=tuple(outcomes.arms[column] for column in columns),
        successes=outcomes.successes[:, columns],
        samples=outcomes.samples[:, columns],
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost[:, :, columns],
        labels=outcomes.labels,
    )


def _costs(pairs: tuple[tuple[int, int], ...]) -> FloatArray:
    sizes = list(SIZE_B.values())
    return np.array([sizes[arm] * count for arm, count in pairs])


if __name__ == "__main__":
    asked = options(__doc__ or "")
    show(rows(asked.quick), asked.json)
