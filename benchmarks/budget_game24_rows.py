"""Game of 24 with real dollars: what GPT-4 buys by direct answers, chains of thought and tree search, drawn.

100 problems with 100 direct answers, 100 chains of thought and one tree search (five candidates) each, from the logs
of Tree of Thoughts (MIT licence). A player can check an answer, so any right one of k counts; the chance is estimated
without bias. The frontier holds what fixed choices and their mixtures give; it is drawn to ``build/`` where matplotlib
is installed. Dollars of each problem are differences of the log's counters, which begin anew where a run was taken up
again: the last counter of the chains of thought misses a third of what was paid. Without the data there are no rows.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.budget_measured import row
from benchmarks.common import Row, options, show
from coinfer import jsonfile
from coinfer.models.budget.curves.prior import fit_beta_prior
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.difficulty.measured import option_values
from coinfer.models.budget.economics.cost_of_pass import (
    FALLBACK,
    expected_cost_of_pass,
    gains_of_adding,
    pass_frontier,
)
from coinfer.models.budget.economics.essentialness import by_model, essentialness, pass_essentialness
from coinfer.models.budget.economics.frontier import FrontierPoints, problem_frontiers
from coinfer.models.budget.economics.interval import frontier_interval
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.imports import problem_from, read_outcomes
from coinfer.models.budget.imports.game24 import TREE, read_log
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Budget
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.program import FloatArray

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
DRAWING = ROOT / "build" / "game24_frontier.svg"
COUNTS = (1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 75, 100)
BUDGETS_USD = (0.02, 0.1, 0.5)
HUMAN_USD = (0.5, 3.5)
"""The second is the price of a grade-school problem in arXiv 2504.13359; nobody priced this game."""
GRID_USD = np.geomspace(1e-3, 1.0, 400)
GAME = "Game of 24"


def rows(quick: bool) -> list[Row]:
    """Return the rows, and draw the frontier."""
    files = sorted(DATA.glob("game24_*.json"))
    if not files:
        return []
    began = time.process_time()
    outcomes, _ = read_outcomes(files, format="game24")
    made = [*_arms(outcomes), *_candidates(files)]
    frontiers = {}
    for strategy in ("samples", "stop_on_success"):
        problem = problem_from(outcomes, name=GAME, samples=COUNTS, strategy=strategy)
        _, fixed = problem_frontiers(problem, "usd")
        frontiers[strategy] = fixed
        made += _stretches(problem, fixed, strategy)
        made += _essential(problem, strategy)
    for price in HUMAN_USD:
        made += _passes(outcomes, price, 500 if quick else 5000)
    if find_spec("matplotlib") is not None:
        made.append(row("points drawn", GAME, float(draw(outcomes, frontiers)), None, str(DRAWING.name), 0.0, ""))
    seconds = time.process_time() - began
    return [row(r.claim, r.instance, r.figure, r.target, r.peer, seconds, r.unit) for r in made]


def _arms(outcomes: Outcomes) -> list[Row]:
    """Return what one sample, and all of them, are worth and cost."""
    made = []
    usd = outcomes.resources.index("usd")
    for arm, name in enumerate(outcomes.arms):
        drawn = int(outcomes.samples[:, arm].max())
        price = float(outcomes.sample_cost[usd, :, arm].mean())
        right = option_values(outcomes, [(arm, 1), (arm, drawn)]).mean(axis=0)
        peer = f"${price:.4f} a sample"
        made.append(row(f"right at once, {name}", GAME, 100.0 * right[0], None, peer, 0.0, "%"))
        made.append(row(f"price of a sample, {name}", GAME, 100.0 * price, None, "-", 0.0, "cents"))
        if drawn > 1:
            peer = f"${price * drawn:.3f} a problem"
            made.append(row(f"any of {drawn} right, {name}", GAME, 100.0 * right[1], None, peer, 0.0, "%"))
    return made


def _candidates(files: list[Path]) -> list[Row]:
    """Return what the first candidates of the tree search are worth; all of them have been paid."""
    made = []
    for log in map(read_log, files):
        if log.arm == TREE:
            for kept in range(1, log.right.shape[1] + 1):
                share = 100.0 * float(log.right[:, :kept].any(axis=1).mean())
                peer = f"${log.usd.mean():.3f} a search, whatever is kept"
                made.append(row(f"first {kept} right, {TREE}", GAME, share, None, peer, 0.0, "%"))
    return made


def _stretches(problem: BudgetProblem, fixed: FrontierPoints, strategy: str) -> list[Row]:
    """Return which way of asking holds each stretch of the frontier; between corners a mixture of both is best."""
    made = []
    arms = [problem.options[option].arm for option in fixed.option]
    for i in range(1, len(arms)):
        if i + 1 < len(arms) and arms[i + 1] == arms[i]:
            continue
        first = next(j for j in range(i + 1) if arms[j : i + 1] == [arms[i]] * (i + 1 - j))
        counts = sorted({problem.options[fixed.option[j]].samples or 0 for j in (first, i)})
        many = " to ".join(map(str, counts))
        peer = f"${fixed.cost[first]:.4f} to ${fixed.cost[i]:.4f} a problem: {arms[i]}, {many} sample(s)"
        instance = f"to ${fixed.cost[i]:.3f} a problem"
        made.append(row(f"frontier, {strategy}, {arms[i]}", instance, 100.0 * fixed.value[i], None, peer, 0.0, "%"))
    return made


def _essential(problem: BudgetProblem, strategy: str) -> list[Row]:
    """Return what is lost without each way of asking, at each budget."""
    made = []
    for budget in BUDGETS_USD:
        limited = problem_with(problem, budget)
        for each in essentialness(limited, by_model(problem.options), best_value):
            loss = 0.0 if each.loss is None else each.loss
            peer = f"{each.best:g} of 100 right with all ways, {each.without:g} without"
            made.append(
                row(f"lost without {each.group}, {strategy}", f"${budget:g} a problem", loss, None, peer, 0.0, "right")
            )
    return made


def problem_with(problem: BudgetProblem, budget_usd: float) -> BudgetProblem:
    """Return the problem with a budget of so much for each problem of the game."""
    limit = Budget(resource="usd", limit=budget_usd * problem.prompts)
    return msgspec.structs.replace(problem, budgets=(limit,))


def best_value(problem: BudgetProblem) -> float | None:
    """Return the most expected right answers of a problem, to three places; ``None`` where nothing is feasible."""
    found = solve(formulate(problem))
    return None if found.taken is None else round(found.value, 3)


def _passes(outcomes: Outcomes, human_usd: float, draws: int) -> list[Row]:
    """Return the frontier of the cost of a pass beside a human, what each way adds to it, and who is essential.

    Each problem gets the way that its own past samples make cheapest: a limit for who does not have them.
    """
    usd = outcomes.sample_cost[outcomes.resources.index("usd")]
    alpha, beta = posteriors(outcomes)
    costs = expected_cost_of_pass(usd, alpha, beta)
    found = pass_frontier(costs, fallback=human_usd)
    interval = frontier_interval(
        usd, alpha, beta, found.option, fallback=human_usd, population=True, draws=draws, seed=0
    )
    instance = f"human ${human_usd:g}"
    asked = 100.0 * float((found.option == FALLBACK).mean())
    if found.mean is None or interval.low is None or interval.high is None:
        return []
    between = f"90 % interval ${interval.low:.3f} to ${interval.high:.3f}"
    peer = f"{between}; the human does {asked:.0f} %; knows past samples of each problem"
    made = [row("cost of a pass, frontier", instance, found.mean, None, peer, 0.0, "usd")]
    for name, gain in zip(outcomes.arms, gains_of_adding(costs, [], fallback=human_usd), strict=True):
        if gain is not None:
            made.append(row(f"gain over the human alone, {name}", instance, gain, None, "-", 0.0, "usd"))
    groups = {name: (arm,) for arm, name in enumerate(outcomes.arms)}
    for each in pass_essentialness(costs, groups, fallback=human_usd):
        share = 100.0 * (each.essentialness or 0.0)
        made.append(row(f"essentialness, {each.group}", instance, share, None, "cost of a pass", 0.0, "%"))
    return made


def posteriors(outcomes: Outcomes) -> tuple[FloatArray, FloatArray]:
    """Return the posterior of every problem and way: a prior fitted to all problems, and the problem's counts."""
    priors = [
        fit_beta_prior(right, drawn) for right, drawn in zip(outcomes.successes.T, outcomes.samples.T, strict=True)
    ]
    alpha: FloatArray = np.array([prior.alpha for prior in priors], dtype=np.float64) + outcomes.successes
    beta: FloatArray = np.array([prior.beta for prior in priors], dtype=np.float64)
    return alpha, beta + (outcomes.samples - outcomes.successes)


def draw(outcomes: Outcomes, frontiers: dict[str, FrontierPoints]) -> int:
    """Draw the curves of the ways of asking and the frontiers; return the number of corners drawn."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.subplots()
    usd = outcomes.sample_cost[outcomes.resources.index("usd")].mean(axis=0)
    for arm, name in enumerate(outcomes.arms):
        counts = [count for count in COUNTS if count <= int(outcomes.samples[:, arm].max())]
        value = 100.0 * option_values(outcomes, [(arm, count) for count in counts]).mean(axis=0)
        axes.plot(usd[arm] * np.array(counts), value, marker="o", markersize=3, linewidth=1, label=name)
    corners = 0
    for (strategy, fixed), style in zip(frontiers.items(), ("-", "--"), strict=True):
        mixed = 100.0 * np.interp(GRID_USD, fixed.cost, fixed.value)  # mixtures: straight in dollars, not in their log
        axes.plot(GRID_USD, mixed, style, color="black", linewidth=1.5, label=f"frontier, {strategy}")
        corners += len(fixed.option)
    axes.set_xscale("log")
    axes.set_xlim(GRID_USD[0], GRID_USD[-1])
    axes.set(xlabel="US dollars a problem", ylabel="problems solved, %", title="Game of 24, GPT-4")
    axes.legend(fontsize=8)
    DRAWING.parent.mkdir(parents=True, exist_ok=True)
    with jsonfile.atomic(DRAWING) as temporary:
        figure.savefig(temporary, format="svg")
    return corners


if __name__ == "__main__":
    asked = options(__doc__ or "")
    show(rows(asked.quick), asked.json)
