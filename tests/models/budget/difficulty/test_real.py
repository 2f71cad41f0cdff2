"""Measured outcomes of LiveCodeBench, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from coinfer.models.budget.difficulty.frontier import frontier
from coinfer.models.budget.difficulty.measured import option_values
from coinfer.models.budget.difficulty.menus import options_of, stratum_problem
from coinfer.models.budget.difficulty.shrink import mean_per_stratum
from coinfer.models.budget.difficulty.strata import Partition, by_history, by_label, crossed, pooled
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import TableMenus
from coinfer.solver.program import FloatArray, IntArray

SIZE_B = {"DSCoder-33b-Ins": 33.0, "DSCoder-6.7b-Ins": 6.7, "DSCoder-1.3b-Ins": 1.3, "CodeQwen15-7B-Chat": 7.0}
OTHER = "GPT-3.5-Turbo-0125"
COUNTS = (1, 2, 4, 8)
BUDGETS_B = np.array([5.0, 10.0, 20.0])


@pytest.fixture(scope="module")
def outcomes(shared_data: Path) -> Outcomes:
    """Ten samples of four open models and of one other, on 400 problems."""
    path = shared_data / "livecodebench_generation_45x400.json"
    if not path.exists():
        pytest.skip(f"{path.name} is absent")
    names = [*SIZE_B, OTHER]
    found = [each for each in json.loads(path.read_text())["performances"] if each["model"] in names]
    problems = sorted({(each["platform"], each["question_id"]) for each in found})
    rows = {key: i for i, key in enumerate(problems)}
    successes, labels = np.zeros((len(problems), len(names)), dtype=np.int64), [""] * len(problems)
    for each in found:
        row = rows[each["platform"], each["question_id"]]
        successes[row, names.index(each["model"])] = round(each["pass@1"] / 10.0)
        labels[row] = each["difficulty"]
    size = np.array([*SIZE_B.values(), 0.0])
    return Outcomes(
        prompts=tuple("/".join(key) for key in problems),
        arms=tuple(names),
        successes=successes,
        samples=np.full(successes.shape, 10),
        resources=("b",),
        sample_cost=np.broadcast_to(size, (1, *successes.shape)).copy(),
        labels=tuple(labels),
    )


def _coverage(arms: Outcomes, own: Partition, table: FloatArray, learn: IntArray, score: IntArray) -> FloatArray:
    there = own.only(score)
    made = stratum_problem(arms.only(learn), own.only(learn), COUNTS, name="real", prompts=there.prompts)
    assert isinstance(made.menus, TableMenus)
    held = there.prompts > 0
    truth = np.hstack([np.zeros((len(held), 1)), mean_per_stratum(table[score], there)])[held]
    cost = made.menus.cost[0].amount.array
    swept = frontier(made.menus.value.array, cost, there.prompts[held].astype(np.float64), true_value=truth)
    return swept.at(BUDGETS_B)


def test_past_runs_of_one_other_model_gain_on_problems_not_seen(outcomes: Outcomes) -> None:
    """Over 10 splits of the problems past runs beat the label, and the label beats knowing nothing at 5 B."""
    arms = Outcomes(
        prompts=outcomes.prompts,
        arms=tuple(SIZE_B),
        successes=outcomes.successes[:, :-1],
        samples=outcomes.samples[:, :-1],
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost[:, :, :-1],
        labels=outcomes.labels,
    )
    label = by_label(arms)
    runs = by_history(outcomes.successes[:, -1:], outcomes.samples[:, -1:], models=[OTHER], past=True)
    known = {"nothing": pooled(len(label.of_prompt)), "label": label, "history": crossed(label, runs)}
    kinds, pairs = options_of(arms, COUNTS)
    assert len(kinds) == len(SIZE_B) * len(COUNTS)
    table = option_values(arms, pairs)
    mean = dict.fromkeys(known, np.zeros(len(BUDGETS_B)))
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(table))
        learn, score = order[:200], order[200:]
        for name, own in known.items():
            mean[name] = mean[name] + _coverage(arms, own, table, learn, score) / 10.0
    assert (mean["history"] > mean["label"]).all()
    assert mean["label"][0] > 1.1 * mean["nothing"][0]
    assert (mean["label"] > 0.99 * mean["nothing"]).all()
