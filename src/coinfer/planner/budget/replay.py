"""Keep to a budget plan online, on recorded outcomes: prompts arrive one after another and caps are never passed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import limit_left, menu_block
from coinfer.models.budget.outcomes import Outcomes
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.solver.program import FloatArray, IntArray

PILOT = 1000
"""Most menus that the first price is found from."""
COUNTED = ("samples", "stop_on_success", "single")
"""Strategies that recorded samples can stand for: any right one of them counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What became of the prompts.

    Attributes
    ----------
    prompts, left_out, refused
        Prompts that were given an option; prompts of no stratum; prompts for which nothing fitted what was left.
    value
        Mean value reached.
    predicted
        Mean value that the menus promised for the options given.
    spent, caps
        Of each budget, and its share for so many prompts, which is the hard cap.
    used
        (options,): prompts that got each.
    prices
        At the end.
    passed
        How much more than each cap was spent; 0 where it held, exactly.
    notes
        What went otherwise than foreseen, in sentences.
    """

    prompts: int
    left_out: int
    refused: int
    value: float
    predicted: float
    spent: tuple[float, ...]
    caps: tuple[float, ...]
    used: tuple[int, ...]
    prices: tuple[float, ...]
    passed: tuple[float, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Recorded:
    """What can be replayed: for each option its arm, samples, and whether it stops; and the rows that have it."""

    arm: IntArray
    count: IntArray
    stops: NDArray[np.bool_]
    known: NDArray[np.bool_]


def replay(problem: BudgetProblem, outcomes: Outcomes, *, seed: int = 0) -> Replay:
    """Give every recorded prompt, in random order, the option that the price says, and draw what became of it.

    An option of k samples of an arm is right where any of k of the arm's recorded samples is, drawn without
    replacement; one that stops at its first right sample pays for those before it and for that one. What a sample
    takes is the recorded mean, or the menu's where none was recorded. Budgets shrink to the share of the prompts that
    are replayed.

    Raises
    ------
    ProblemError
        If no prompt belongs to a stratum, or no option can be replayed.
    InputError
        If the seed is below 0.
    """
    if seed < 0:
        raise InputError("seed", expected="a whole number of at least 0", found=seed)
    if problem.objective != "value" or not problem.budgets or any(each.endpoint for each in problem.budgets):
        expected = "objective value and budgets without endpoints, to be kept online"
        raise ProblemError("problem", expected=expected, found=Plain("another problem"))
    random = np.random.default_rng(seed)
    recorded = _recorded(problem, outcomes)
    rows, strata = _matched(problem, outcomes)
    order = random.permutation(len(rows))
    rows, strata = rows[order], strata[order]
    menu = menu_block(problem, 0, problem.rows)
    index = [problem.resources.index(budget.resource) for budget in problem.budgets]
    costs = menu.cost[index]
    values = np.where(menu.present & recorded.known, menu.value, -np.inf)
    share = len(rows) / problem.prompts
    caps = np.array([limit_left(problem, i) * share for i in range(len(problem.budgets))])
    pilot = strata[random.permutation(len(strata))[:PILOT]]
    price = OnlinePrice(values=values[pilot], costs=costs[:, pilot], limits=caps, prompts=len(rows), period=100)
    reached, promised, refused = 0.0, 0.0, 0
    used = np.zeros(len(problem.options), dtype=np.int64)
    for row, stratum in zip(rows.tolist(), strata.tolist(), strict=True):
        mine, each = _bounded(outcomes, recorded, row, values[stratum], costs[:, stratum], problem, index)
        choices = price.choose(mine, costs[:, stratum], each)
        option = int(choices.option[0])
        if option < 0:
            refused += 1
            price.finish(choices, np.zeros((len(caps), 1)))
            continue
        right, drawn = _drawn(outcomes, recorded, row, option, random)
        taken = _taken(outcomes, recorded, row, option, drawn, costs[:, stratum, option], problem, index)
        price.finish(choices, taken[:, None])
        reached += right
        promised += float(menu.value[stratum, option])
        used[option] += 1
    given, stands = int(used.sum()), price.standing()
    return Replay(
        prompts=given,
        left_out=len(outcomes.prompts) - len(rows),
        refused=refused,
        value=reached / max(len(rows), 1),
        predicted=promised / max(given, 1),
        spent=stands.spent,
        caps=tuple(caps.tolist()),
        used=tuple(used.tolist()),
        prices=tuple(price.prices.tolist()),
        passed=stands.passed,
        notes=stands.sentences([budget.resource for budget in problem.budgets]),
    )


def _recorded(problem: BudgetProblem, outcomes: Outcomes) -> _Recorded:
    """Match options with recorded arms: by their arm, else by their model."""
    names = {name: i for i, name in enumerate(outcomes.arms)}
    arm = np.full(len(problem.options), -1)
    count = np.zeros(len(problem.options), dtype=np.int64)
    stops, known = np.zeros(len(arm), dtype=np.bool_), np.zeros(len(arm), dtype=np.bool_)
    for i, option in enumerate(problem.options):
        samples = option.samples if option.samples is not None else int(option.strategy == "single")
        arm[i] = names.get(option.arm or option.model or option.name, -1)
        count[i], stops[i] = samples, option.strategy == "stop_on_success"
        known[i] = samples == 0 or (arm[i] >= 0 and option.strategy in COUNTED)
    if not (known & (count > 0)).any():  # to ask nothing alone is no replay
        expected = f"arms named like the options' arms or models; the files have {', '.join(outcomes.arms)}"
        raise ProblemError("outcomes", expected=expected, found=Plain("none of them"))
    return _Recorded(arm=arm.astype(np.int64), count=count, stops=stops, known=known)


def _matched(problem: BudgetProblem, outcomes: Outcomes) -> tuple[IntArray, IntArray]:
    """Return the prompts that belong to a stratum, by label or by name, and its position."""
    names = problem.strata.names or tuple(str(i) for i in range(problem.rows))
    strata = {name: i for i, name in enumerate(names)}
    labels = outcomes.labels or ("",) * len(outcomes.prompts)
    alike = problem.information is None or problem.information.source == "none"
    single = 0 if problem.rows == 1 and alike else None
    found = [strata.get(label, strata.get(name, single)) for label, name in zip(labels, outcomes.prompts, strict=True)]
    rows = np.array([i for i, stratum in enumerate(found) if stratum is not None], dtype=np.int64)
    if not len(rows):
        raise ProblemError("outcomes", expected="prompts of the problem's strata", found=Plain("none of them"))
    return rows, np.array([stratum for stratum in found if stratum is not None], dtype=np.int64)


def _bounded(
    outcomes: Outcomes,
    recorded: _Recorded,
    row: int,
    value: FloatArray,
    cost: FloatArray,
    problem: BudgetProblem,
    index: list[int],
) -> tuple[FloatArray, FloatArray]:
    """Return the values of the options that this prompt has enough samples for, and the most that each takes."""
    drawn = np.where(recorded.arm >= 0, outcomes.samples[row, recorded.arm], 0)
    enough = (recorded.count <= drawn) | (recorded.count == 0)
    worst = np.stack(
        [
            _taken(outcomes, recorded, row, option, int(recorded.count[option]), cost[:, option], problem, index)
            for option in range(len(value))
        ],
        axis=1,
    )
    return np.where(enough, value, -np.inf), np.maximum(worst, cost)


def _drawn(
    outcomes: Outcomes, recorded: _Recorded, row: int, option: int, random: np.random.Generator
) -> tuple[float, int]:
    """Draw recorded samples: whether any is right, and how many were paid for."""
    count = int(recorded.count[option])
    if count == 0:
        return 0.0, 0
    arm = recorded.arm[option]
    samples, right = int(outcomes.samples[row, arm]), int(outcomes.successes[row, arm])
    marks = np.zeros(samples, dtype=np.bool_)
    marks[:right] = True
    seen = random.permutation(marks)[:count]
    paid = int(np.argmax(seen)) + 1 if recorded.stops[option] and seen.any() else count
    return float(seen.any()), paid


def _taken(
    outcomes: Outcomes,
    recorded: _Recorded,
    row: int,
    option: int,
    drawn: int,
    menu: FloatArray,
    problem: BudgetProblem,
    index: list[int],
) -> FloatArray:
    """Return what so many samples took of each budget: the recorded mean, or the menu's share where there is none."""
    found = np.array(menu, dtype=np.float64)
    if recorded.arm[option] < 0:
        return found
    for place, resource in enumerate(index):
        name = problem.resources[resource]
        if name in outcomes.resources:
            each = outcomes.sample_cost[outcomes.resources.index(name), row, recorded.arm[option]]
            if np.isfinite(each):
                found[place] = each * drawn
    return found
