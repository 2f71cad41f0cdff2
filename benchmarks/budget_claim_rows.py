"""Rows: the value that a plan claims, against what it reaches on other samples or other prompts."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from benchmarks.common import Row, options, show
from coinfer.models.budget.calibration.crossfit import claim_by_cross_fitting
from coinfer.models.budget.calibration.design import design
from coinfer.models.budget.calibration.refit import claim_by_refitting
from coinfer.models.budget.calibration.update import Posteriors, empirical_posteriors
from coinfer.models.budget.curves.coverage import expected_coverage, unbiased_coverage
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Arm, Budget, Option, PosteriorMenus
from coinfer.records import Matrix
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZES = {"Gemma 2B": 2.0, "Gemma 7B": 7.0, "Llama 3 8B": 8.0, "Llama 3 8B Instruct": 8.0, "Llama 3 70B Instruct": 70.0}
DRAWS = (0, 1, 2, 4, 8, 16, 32, 64)
CASES = (("codecontests", 128, 280.0), ("codecontests", 1000, 280.0), ("pythia_math", 128, 16.0))
CASES += (("pythia_math", 128, 64.0), ("pythia_math", 1000, 64.0))
MODELS = 8
"""Of LiveCodeBench, spread over the list."""


def rows(quick: bool) -> list[Row]:
    """Return the rows of claims, then those of the pilot's design."""
    splits = 10 if quick else 60
    made: list[Row] = []
    for name, drawn, each in CASES[:: 2 if quick else 1]:
        made += _by_samples(f"{name}, {drawn} of 10,000", monkeys(name), drawn, each, DRAWS, splits)
    coded = livecodebench()
    made += _by_samples("livecodebench, 5 of 10", coded, 5, 20.0, (0, 1), splits)
    made += _by_prompts("livecodebench, 200 of 400", coded, 10 * splits)
    return made + _design_rows(monkeys("codecontests"), 3 if quick else 10)


def monkeys(name: str) -> Outcomes:
    """Return the outcomes of one of the two sets with 10,000 samples; costs in billions of parameters."""
    import pyarrow.parquet as parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]

    table = parquet.read_table(DATA / f"{name}_outcomes.parquet", columns=["Problem Idx", "Model", "Score"])
    coded = table["Model"].combine_chunks().dictionary_encode()
    arms = coded.dictionary.to_pylist()
    prompts, row = np.unique(table["Problem Idx"].to_numpy(), return_inverse=True)
    cell, shape = row * len(arms) + coded.indices.to_numpy(), (len(prompts), len(arms))
    right = np.bincount(cell, weights=table["Score"].to_numpy().astype(np.float64), minlength=shape[0] * shape[1])
    drawn = np.bincount(cell, minlength=shape[0] * shape[1])
    return _outcomes(
        [str(prompt) for prompt in prompts],
        arms,
        right.reshape(shape),
        drawn.reshape(shape),
        [_size(arm) for arm in arms],
    )


def livecodebench() -> Outcomes:
    """Return 10 samples of some models on 400 problems, with the difficulty as label and no sizes: one costs 1."""
    entries = json.loads((DATA / "livecodebench_generation_45x400.json").read_text())["performances"]
    names = sorted({each["model"] for each in entries if "N=1" not in each["model"]})
    arms = names[:: max(1, len(names) // MODELS)][:MODELS]
    prompts = sorted({each["question_id"] for each in entries})
    place = {prompt: i for i, prompt in enumerate(prompts)}
    right, label = np.zeros((len(prompts), len(arms))), [""] * len(prompts)
    for each in entries:
        label[place[each["question_id"]]] = each["difficulty"]
        if each["model"] in arms:
            right[place[each["question_id"]], arms.index(each["model"])] = np.rint(each["pass@1"] / 10.0)
    cost = list(np.geomspace(2.0, 60.0, len(arms))[np.argsort(np.argsort(right.mean(axis=0)))])
    return _outcomes(prompts, arms, right, np.full(right.shape, 10), cost, tuple(label))


def _outcomes(
    prompts: list[str],
    arms: list[str],
    right: FloatArray,
    drawn: FloatArray | IntArray,
    cost: list[float],
    labels: tuple[str, ...] = (),
) -> Outcomes:
    return Outcomes(
        prompts=tuple(prompts),
        arms=tuple(arms),
        successes=np.rint(right).astype(np.int64),
        samples=drawn.astype(np.int64),
        resources=("cost",),
        sample_cost=np.broadcast_to(np.array(cost), right.shape)[None].copy(),
        labels=labels,
    )


def _size(name: str) -> float:
    if name in SIZES:
        return SIZES[name]
    text = name.rsplit(maxsplit=1)[-1]
    return float(text[:-1]) / (1000.0 if text.endswith("M") else 1.0)


def _problem(outcomes: Outcomes, posteriors: Posteriors, each: float, draws: tuple[int, ...]) -> BudgetProblem:
    cost = outcomes.sample_cost[0, 0]
    arms = tuple(
        Arm(name=name, per_sample=(Amount(resource="cost", amount=float(cost[i])),))
        for i, name in enumerate(outcomes.arms)
    )
    return BudgetProblem(
        name="claims",
        options=tuple(Option(name=f"{a} x {k}", arm=a, samples=k) for a in outcomes.arms for k in draws),
        menus=PosteriorMenus(arms=arms, alpha=posteriors.alpha, beta=posteriors.beta),
        budgets=(Budget(resource="cost", limit=each * len(outcomes.prompts)),),
    )


def _reached(taken: IntArray, scored: Outcomes, draws: tuple[int, ...], *, plug_in: bool) -> float:
    """Return the mean coverage of the cells taken, without bias; or, as a plug-in, by the plain rates of the plan."""
    total = 0.0
    for row, option, copies in taken:
        arm, count = option // len(draws), draws[option % len(draws)]
        right, drawn = scored.successes[row, arm], scored.samples[row, arm]
        if plug_in:
            total += copies * (1.0 - (1.0 - right / drawn) ** count)
        else:
            total += copies * float(unbiased_coverage(right, drawn, [count]).item())
    return total / len(scored.prompts)


def _by_samples(
    name: str, everything: Outcomes, drawn: int, each: float, draws: tuple[int, ...], splits: int
) -> list[Row]:
    """Plan on some samples of 100 prompts, claim, and score on the other samples."""
    inside, gap, plug_gap, began = [], [], [], time.perf_counter()
    for seed in range(splits):
        picked = np.random.default_rng(seed).permutation(len(everything.prompts))[:100]
        plan, scored = everything.only(picked).thinned(drawn, seed=seed)
        problem = _problem(plan, empirical_posteriors(plan), each, draws)
        result = solve(formulate(problem), limits=Limits(relative_gap=1e-3))
        assert result.taken is not None
        decision = BudgetDecision(taken=Matrix(result.taken.astype(np.float64)))
        least = int(scored.samples.min())
        made = claim_by_refitting(plan, problem, decision, scored_on=least, repeats=12, seed=seed)
        reached = _reached(result.taken, scored, draws, plug_in=False)
        inside.append(made.low <= reached <= made.high)
        gap.append(made.value - reached)
        plug_gap.append(_reached(result.taken, plan, draws, plug_in=True) - reached)
    return _rows(name, inside, gap, plug_gap, time.perf_counter() - began)


def _by_prompts(name: str, everything: Outcomes, splits: int) -> list[Row]:
    """Choose an arm for each label on half of the prompts, claim by cross-fitting, and score on the other half."""
    labels = sorted(set(everything.labels))
    group = np.array([labels.index(label) for label in everything.labels])
    cost, place = everything.sample_cost[0, 0], {prompt: i for i, prompt in enumerate(everything.prompts)}

    def groups(part: Outcomes) -> IntArray:
        return group[[place[prompt] for prompt in part.prompts]]

    def plan(part: Outcomes) -> IntArray:
        rate, own = part.successes / part.samples, groups(part)
        net = [rate[own == g].mean(axis=0) - 0.004 * cost if (own == g).any() else -cost for g in range(len(labels))]
        return np.array([each.argmax() for each in net])

    def score(arm: IntArray, part: Outcomes) -> FloatArray:
        rate = part.successes / part.samples
        return np.asarray(rate[np.arange(len(rate)), arm[groups(part)]])

    inside, gap, plug_gap, began = [], [], [], time.perf_counter()
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(everything.prompts))
        first, second = everything.only(order[: len(order) // 2]), everything.only(order[len(order) // 2 :])
        made = claim_by_cross_fitting(first, plan, score, scored_prompts=len(second.prompts), seed=seed)
        reached = float(score(plan(first), second).mean())
        inside.append(made.low <= reached <= made.high)
        gap.append(made.value - reached)
        plug_gap.append(float(score(plan(first), first).mean()) - reached)
    return _rows(name, inside, gap, plug_gap, time.perf_counter() - began)


def _rows(name: str, inside: list[bool], gap: list[float], plug_gap: list[float], seconds: float) -> list[Row]:
    share = 100.0 * float(np.mean(inside))
    return [
        Row(
            claim="claims inside their 95 % interval, at least",
            instance=name,
            figure=share,
            unit="%",
            target=90.0,
            holds=share >= 90.0,
            peer=f"{len(inside)} splits; target at most 98",
            seconds=seconds,
        ),
        Row(
            claim="claimed less reached",
            instance=name,
            figure=100.0 * float(np.mean(gap)),
            unit="points",
            target=None,
            holds=None,
            peer=f"plug-in {100.0 * float(np.mean(plug_gap)):.2f} points",
            seconds=seconds,
        ),
    ]


def _design_rows(everything: Outcomes, repeats: int) -> list[Row]:
    """Spend a pilot's budget on chosen cells or on all alike; score the plan at one price by the true rates."""
    rate, cost = everything.successes / everything.samples, everything.sample_cost[0]
    draws, price, each = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]), 1e-3, 400.0
    paid = price * cost[:, :, None] * draws
    truth = (1.0 - (1.0 - rate[:, :, None]) ** draws - paid).reshape(len(rate), -1)
    began, ends = time.perf_counter(), np.zeros((2, repeats))
    for seed in range(repeats):
        for way in range(2):
            random = np.random.default_rng(seed)
            drawn = np.full(rate.shape, 2)
            right, left = random.binomial(drawn, rate), each * len(rate) - 2.0 * cost.sum()
            for remaining in range(8, 0, -1):
                more = left / remaining / cost.sum() + random.random(rate.shape)
                samples = np.floor(more).astype(np.int64)
                if way:
                    now = _posteriors(everything, right, drawn)
                    budget = left / remaining
                    samples = design(now.alpha.array, now.beta.array, cost, draws, price=price, budget=budget).samples
                left -= float((samples * cost).sum())
                right, drawn = right + random.binomial(samples, rate), drawn + samples
            now = _posteriors(everything, right, drawn)
            believed = (expected_coverage(now.alpha.array, now.beta.array, draws) - paid).reshape(len(rate), -1)
            value = truth[np.arange(len(rate)), believed.argmax(axis=1)]
            ends[way, seed] = np.where(believed.max(axis=1) > 0.0, value, 0.0).mean()
    gain = float(ends[1].mean() / ends[0].mean())
    return [
        Row(
            claim="pilot on chosen cells over all alike",
            instance="codecontests, 400 B each",
            figure=gain,
            unit="x",
            target=1.0,
            holds=gain >= 1.0,
            peer=f"better in {int((ends[1] > ends[0]).sum())} of {repeats}",
            seconds=time.perf_counter() - began,
        )
    ]


def _posteriors(like: Outcomes, right: IntArray, drawn: IntArray) -> Posteriors:
    cost = like.sample_cost[0, 0].tolist()
    return empirical_posteriors(_outcomes(list(like.prompts), list(like.arms), right, drawn, cost))


if __name__ == "__main__":
    arguments = options(__doc__ or "")
    show(rows(arguments.quick), arguments.json)
