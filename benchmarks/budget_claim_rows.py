"""Rows: the value that a plan claims, against what it reaches on other samples or other prompts."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.budget_claim_data import livecodebench, monkeys, outcomes_of
from benchmarks.common import Row, options, show
from coinfer.models.budget.calibration.claim import claim
from coinfer.models.budget.calibration.crossfit import claim_by_cross_fitting
from coinfer.models.budget.calibration.design import design
from coinfer.models.budget.calibration.refit import claim_by_refitting
from coinfer.models.budget.calibration.update import Posteriors, empirical_posteriors
from coinfer.models.budget.curves.coverage import expected_coverage, unbiased_coverage
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.imports.problem import problem_from
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Budget
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.budget.make import plan
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray

DRAWS = (0, 1, 2, 4, 8, 16, 32, 64)
CASES: tuple[tuple[str, int, float], ...] = (
    ("codecontests", 128, 280.0),
    ("codecontests", 1000, 280.0),
    ("pythia_math", 128, 16.0),
    ("pythia_math", 128, 64.0),
    ("pythia_math", 1000, 64.0),
)
"""Set, samples of each cell that are planned on, cost of a prompt."""
REFITS = 16
MANY = 1000
"""Samples left to score on, above which their noise is none."""
LOW, HIGH = 90.0, 98.0
"""Percent of the splits in which a 95 % interval should hold what was reached: one that always does is too wide."""


def rows(quick: bool) -> list[Row]:
    """Return the rows of claims, then those of the pilot's design.

    Sets of some 130 prompts are split by prompts too: with nearly all of them in every split, what a fit errs on those
    would be the same in each, and the share of splits would say nothing.
    """
    splits = 60 if quick else 200
    made: list[Row] = []
    for name, drawn, each in CASES[:: 2 if quick else 1]:
        made += _by_samples(f"{name}, {drawn} of 10,000", monkeys(name), (50, drawn), each, DRAWS, splits)
    coded = livecodebench()
    made += _by_samples("livecodebench, 5 of 10", coded, (100, 5), 20.0, (0, 1), splits)
    made += _by_prompts("livecodebench, 200 of 400", coded, 4 * splits)
    return made + _design_rows(monkeys("codecontests"), 3 if quick else 10)


def _reached(problem: BudgetProblem, taken: IntArray, scored: Outcomes, *, plug_in: bool) -> float:
    """Return the mean coverage of the cells taken, without bias; or, as a plug-in, by the plain rates of the plan."""
    total, arms = 0.0, {name: i for i, name in enumerate(scored.arms)}
    for row, column, copies in taken:
        option = problem.options[column]
        arm, count = arms[option.arm or ""], option.samples or 0
        right, drawn = scored.successes[row, arm], scored.samples[row, arm]
        if plug_in:
            total += copies * (1.0 - (1.0 - right / drawn) ** count)
        else:
            total += copies * float(unbiased_coverage(right, drawn, [count]).item())
    return total / len(scored.prompts)


class _Seen:
    """Claims beside what was reached, split by split."""

    def __init__(self, how: str, name: str) -> None:
        self.how, self.name, self.began = how, name, time.perf_counter()
        self.inside: list[bool] = []
        self.gap: list[float] = []
        self.plug_gap: list[float] = []

    def add(self, claimed: tuple[float, float, float], reached: float, plug_in: float) -> None:
        """Take in a claim (value, low, high) and what the plain rates would have claimed."""
        value, low, high = claimed
        self.inside.append(low <= reached <= high)
        self.gap.append(value - reached)
        self.plug_gap.append(plug_in - reached)

    def rows(self) -> list[Row]:
        """Return the share of claims inside, which must lie between two limits, and their bias."""
        share, count = 100.0 * float(np.mean(self.inside)), len(self.inside)
        noise = (share * (100.0 - share) / count) ** 0.5
        gap, plug = 100.0 * np.array(self.gap), 100.0 * float(np.mean(self.plug_gap))
        error, seconds = float(gap.std(ddof=1)) / count**0.5, time.perf_counter() - self.began
        within = Row(
            claim=f"inside the 95 % interval, {self.how}",
            instance=self.name,
            figure=share,
            unit="%",
            target=LOW,
            holds=LOW <= share <= HIGH,
            peer=f"{count} splits, binomial standard error {noise:.1f}; must be {LOW:g} to {HIGH:g}",
            seconds=seconds,
        )
        bias = Row(
            claim=f"claimed less reached, {self.how}",
            instance=self.name,
            figure=float(gap.mean()),
            unit="points",
            target=None,
            holds=None,
            peer=f"standard error {error:.2f}, deviation {float(gap.std(ddof=1)):.2f}; plug-in {plug:.2f}",
            seconds=seconds,
        )
        return [within, bias]


def _by_samples(
    name: str, everything: Outcomes, size: tuple[int, int], each: float, draws: tuple[int, ...], splits: int
) -> list[Row]:
    """Plan on some samples of some prompts (``size``), claim, and score on the other samples.

    Two claims: the plan's own, of the problem as the importer makes it for single prompts; and that by refitting the
    model to the outcomes at hand.
    """
    seen = {how: _Seen(how, name) for how in ("the plan's own", "refitted")}
    for seed in range(splits):
        picked = np.random.default_rng(seed).permutation(len(everything.prompts))[: size[0]]
        part, scored = everything.only(picked).thinned(size[1], seed=seed)
        limit = (Budget(resource="cost", limit=each * len(part.prompts)),)
        problem = problem_from(part, name="claims", budgets=limit, samples=draws[1:], per="prompt")
        made, least = plan(problem, limits=Limits(relative_gap=1e-3), with_proof=False), int(scored.samples.min())
        taken = made.decision.taken.array.astype(np.int64)
        reached = _reached(problem, taken, scored, plug_in=False), _reached(problem, taken, part, plug_in=True)
        seen["the plan's own"].add(_own(made, problem, least), *reached)
        wide = claim_by_refitting(part, problem, made.decision, scored_on=least, repeats=REFITS, seed=seed)
        seen["refitted"].add((wide.value, wide.low, wide.high), *reached)
    return [row for each_seen in seen.values() for row in each_seen.rows()]


def _own(made: BudgetPlan, problem: BudgetProblem, least: int) -> tuple[float, float, float]:
    """Return the claim that a plan carries; where few samples are left to score on, with the noise of scoring."""
    told, noisy = made.interval, claim(problem, made.decision, scored_on=least)
    assert told is not None
    assert noisy is not None
    return (told.mean, told.low, told.high) if least >= MANY else (noisy.value, noisy.low, noisy.high)


def _by_prompts(name: str, everything: Outcomes, splits: int) -> list[Row]:
    """Choose an arm for each label on half of the prompts, claim by cross-fitting, and score on the other half."""
    labels = sorted(set(everything.labels))
    group = np.array([labels.index(label) for label in everything.labels])
    cost, place = everything.sample_cost[0, 0], {prompt: i for i, prompt in enumerate(everything.prompts)}

    def groups(part: Outcomes) -> IntArray:
        return group[[place[prompt] for prompt in part.prompts]]

    def arms_of(part: Outcomes) -> IntArray:
        rate, own = part.successes / part.samples, groups(part)
        net = [rate[own == g].mean(axis=0) - 0.004 * cost if (own == g).any() else -cost for g in range(len(labels))]
        return np.array([each.argmax() for each in net])

    def score(arm: IntArray, part: Outcomes) -> FloatArray:
        rate = part.successes / part.samples
        return np.asarray(rate[np.arange(len(rate)), arm[groups(part)]])

    seen = _Seen("cross-fitted by prompts", name)
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(everything.prompts))
        first, second = everything.only(order[: len(order) // 2]), everything.only(order[len(order) // 2 :])
        made = claim_by_cross_fitting(first, arms_of, score, scored_prompts=len(second.prompts), seed=seed)
        reached = float(score(arms_of(first), second).mean())
        seen.add((made.value, made.low, made.high), reached, float(score(arms_of(first), first).mean()))
    return seen.rows()


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
    return empirical_posteriors(outcomes_of(list(like.prompts), list(like.arms), right, drawn, cost))


if __name__ == "__main__":
    arguments = options(__doc__ or "")
    show(rows(arguments.quick), arguments.json)
