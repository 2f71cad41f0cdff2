"""What options and models are worth for their price: cost of a pass, essentialness, exchange with a larger model."""

from __future__ import annotations

import numpy as np

from coinfer.errors import Infeasible
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.economics.cost_of_pass import PassFrontier, pass_frontier, problem_costs
from coinfer.models.budget.economics.essentialness import Essential, by_model, essentialness, pass_essentialness
from coinfer.models.budget.economics.exchange import ALL, ExchangeRow, exchange_table
from coinfer.models.budget.formulate import formulate, menu_block
from coinfer.models.budget.parts import PosteriorMenus
from coinfer.planner.budget.wording import quantity, worth
from coinfer.planner.report.element import Element, named, tag
from coinfer.planner.report.parts import note, section, table
from coinfer.planner.units import NO_FIGURE, digits, percent
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits

MOST_CELLS = 50_000
"""Strata times options of a problem whose page has this section: each model is left out once."""
MOST_STRATA = 60
MOST_MODELS = 30
PARAMETERS = "parameters_b"
"""Setting of an option: the billions of parameters of its model."""


def economics(problem: BudgetProblem) -> Element | None:
    """Return the section; nothing where the problem is too large, takes nothing, or its values are no chances."""
    if not problem.resources or problem.rows * len(problem.options) > MOST_CELLS:
        return None
    if menu_block(problem, 0, problem.rows).value.max() > 1.0:
        return None
    resource = problem.minimise or (problem.budgets[0].resource if problem.budgets else problem.resources[0])
    costs, prompts = problem_costs(problem, resource)
    parts = [
        tag("p", f"If every prompt were tried until it is right: {resource} for a right answer, the chance included."),
        _frontier(problem, pass_frontier(costs, prompts=prompts), resource),
        *_essential(problem, costs, prompts, resource),
        *_exchange(problem),
    ]
    return section("economics", "What options are worth for their price", *parts)


def _frontier(problem: BudgetProblem, found: PassFrontier, resource: str) -> Element:
    """List the cheapest way to a right answer in each stratum."""
    names = problem.strata.names or tuple(f"stratum {i}" for i in range(problem.rows))
    rows: list[list[Element | str]] = []
    if problem.rows <= MOST_STRATA:
        rows += [
            [named(name), named(problem.options[option].name) if option >= 0 else "nobody", _amount(cost, resource)]
            for name, option, cost in zip(names, found.option.tolist(), found.cost.tolist(), strict=True)
        ]
    none = "no mean: some prompts are never right"
    if isinstance(problem.menus, PosteriorMenus):
        none = "no mean: some prompts may take tries without end (alpha at most 1)"
    mean = none if found.mean is None else quantity(found.mean, resource)
    rows.append([tag("strong", "all prompts"), "the frontier", mean])
    return table("Cost of a pass (arXiv 2504.13359)", ("Stratum", "Cheapest option", f"{resource} for a pass#"), rows)


def _amount(number: float, resource: str) -> str:
    return quantity(number, resource) if np.isfinite(number) else "no end"


def _essential(
    problem: BudgetProblem, costs: np.ndarray[tuple[int, ...], np.dtype[np.float64]], prompts: object, resource: str
) -> list[Element]:
    """Say what is lost without each model, at the same budgets and on the frontier of the cost of a pass."""
    groups = by_model(problem.options)
    if not 1 < len(groups) <= MOST_MODELS:
        return []
    passes = {each.group: each for each in pass_essentialness(costs, groups, prompts=np.asarray(prompts))}
    rows: list[list[Element | str]] = [
        [named(each.group), *_lost(problem, each), _dearer(passes[each.group], resource)]
        for each in essentialness(problem, groups, _optimum)
    ]
    head = ("Without", "Objective#", "Loss#", f"{resource} for a pass#")
    return [table("Essentialness: the best that is possible without a model, within the same budgets", head, rows)]


def _optimum(problem: BudgetProblem) -> float | None:
    try:
        result = solve(formulate(problem), limits=Limits(relative_gap=1e-6, time_s=2.0))
    except Infeasible:
        return None
    if result.taken is None:
        return None
    return result.value if problem.objective == "value" else 0.0 - result.value


def _lost(problem: BudgetProblem, each: Essential) -> list[str]:
    if each.without is None:
        return ["nothing is feasible", "all"]
    lost = NO_FIGURE if each.essentialness is None else percent(max(each.essentialness, 0.0))
    return [worth(problem, each.without, significant=4), lost]


def _dearer(each: Essential, resource: str) -> str:
    if each.without is None or each.best is None:
        return "no mean"
    return quantity(each.without, resource)


def _exchange(problem: BudgetProblem) -> list[Element]:
    """Set samples of the smallest model against one of each larger one, where options name their parameters."""
    sizes: dict[str, float] = {}
    for option in problem.options:
        if option.model is not None and option.settings and option.settings.get(PARAMETERS, 0.0) > 0.0:
            sizes[option.model] = option.settings[PARAMETERS]
    if len(sizes) < 2:
        return []
    small = min(sizes, key=lambda name: sizes[name])
    block = menu_block(problem, 0, problem.rows)
    mine = sorted(
        (option.samples, i) for i, option in enumerate(problem.options) if option.model == small and option.samples
    )
    if not mine or not block.present.all() or problem.rows > MOST_STRATA:
        return []
    names = problem.strata.names or tuple(f"stratum {i}" for i in range(problem.rows))
    found: list[Element] = []
    for large in sorted(sizes, key=lambda name: sizes[name]):
        single = next((i for i, o in enumerate(problem.options) if o.model == large and o.samples == 1), None)
        if large == small or single is None:
            continue
        rows = exchange_table(
            [count for count, _ in mine],
            block.value[:, [i for _, i in mine]],
            block.value[:, single],
            size_ratio=sizes[large] / sizes[small],
            names=names,
            prompts=block.copies,
        )
        head = ("Stratum", "Inference over pretraining#", "Samples matched#", small, large, "Better")
        caption = f"Equal operations, pretraining included: samples of {small}, or one of {large} (arXiv 2408.03314)"
        found.append(table(caption, head, [_exchange_row(row) for row in rows if row.stratum == ALL or len(names) > 1]))
    return [*found, note("Operations are 6 N D for pretraining and 2 N D for inference.")] if found else []


def _exchange_row(row: ExchangeRow) -> list[str | Element]:
    winner = {"smaller": "more samples", "larger": "the larger model", "equal": "equal", None: "not known"}[row.winner]
    return [
        named(row.stratum),
        digits(row.inference_share, 3),
        digits(row.matched_samples, 3),
        digits(row.smaller_value, 3),
        digits(row.larger_value, 3),
        winner,
    ]
