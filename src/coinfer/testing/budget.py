"""Small budget problems, and their optimum by going through every choice."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.parts import (
    Amount,
    Arm,
    Budget,
    Cost,
    Information,
    LatencyClass,
    Option,
    PosteriorMenus,
    Strata,
    TableMenus,
)
from coinfer.models.exact import exact
from coinfer.records import Matrix

RESOURCES = ("usd", "s", "tokens")


def decimals(least: int, most: int, digits: int) -> st.SearchStrategy[float]:
    """Return decimals with so many places, between ``least`` and ``most``."""
    factor = 10**digits
    return st.integers(least * factor, most * factor).map(lambda number: number / factor)


@st.composite
def budget_problems(draw: st.DrawFn, *, most_strata: int = 3, most_options: int = 3) -> BudgetProblem:
    """Draw a problem with a table: all objectives, quotas, floors, latency classes, options that are not there."""
    strata, options = draw(st.integers(1, most_strata)), draw(st.integers(1, most_options))
    resources = RESOURCES[: draw(st.integers(1, 3))]
    digits = draw(st.integers(0, 3))

    def matrix(rows: int, numbers: st.SearchStrategy[float]) -> Matrix:
        return Matrix([[draw(numbers) for _ in range(options)] for _ in range(rows)])

    endpoints = draw(st.lists(st.sampled_from(["edge", "cloud"]), min_size=options, max_size=options))
    costs = tuple(
        Cost(resource=name, amount=matrix(draw(st.sampled_from([1, strata])), decimals(0, 9, digits)))
        for name in resources
    )
    available = None
    if draw(st.booleans()):
        cells = [[draw(st.booleans()) for _ in range(options)] for _ in range(strata)]
        for row in cells:
            row[draw(st.integers(0, options - 1))] = True
        available = Matrix([[float(cell) for cell in row] for row in cells])
    timed = draw(st.booleans())
    objective = draw(st.sampled_from(["value", "value", "cost", "cost_of_pass"]))
    value = matrix(strata, decimals(0, 1, draw(st.integers(1, 3))))
    places = [None, *sorted(set(endpoints))]
    kinds = draw(st.lists(st.tuples(st.sampled_from(resources), st.sampled_from(places)), max_size=3, unique=True))
    return BudgetProblem(
        name="drawn",
        options=tuple(Option(name=f"option {i}", endpoint=endpoints[i]) for i in range(options)),
        menus=TableMenus(
            value=value,
            cost=costs,
            latency_s=matrix(1, decimals(0, 3, 1)) if timed else None,
            available=available,
        ),
        budgets=tuple(
            Budget(resource=name, limit=draw(decimals(0, 30, digits)), endpoint=place) for name, place in kinds
        ),
        objective=objective,  # type: ignore[arg-type]  # drawn from the three
        minimise=None if objective == "value" else resources[0],
        value_floor=draw(decimals(0, 1, 1))
        if objective == "cost" or (objective == "value" and draw(st.booleans()) and draw(st.booleans()))
        else None,
        strata=Strata(
            prompts=Matrix([[float(draw(st.integers(1, 3)))] for _ in range(strata)]) if draw(st.booleans()) else None,
            latency_class=Matrix([[float(draw(st.integers(-1, 0)))] for _ in range(strata)]) if timed else None,
        ),
        latency_classes=(LatencyClass(name="quick", limit_s=2.0),) if timed else (),
        information=draw(informations(resources)),
    )


@st.composite
def informations(draw: st.DrawFn, resources: tuple[str, ...]) -> Information | None:
    """Draw what told the strata apart, and its cost."""
    source = draw(st.sampled_from([None, "label", "one_sample", "oracle"]))
    if source is None:
        return None
    cost: tuple[Amount, ...] = ()
    if source == "one_sample":
        cost = (Amount(resource=resources[0], amount=draw(decimals(0, 1, 1))),)
    return Information(source=source, cost=cost, charged=draw(st.booleans()))  # type: ignore[arg-type]  # one of them


@st.composite
def posterior_problems(draw: st.DrawFn, *, most_strata: int = 3) -> BudgetProblem:
    """Draw a problem whose menus are posteriors of one or two arms."""
    strata, arms = draw(st.integers(1, most_strata)), draw(st.integers(1, 2))
    rates = st.floats(0.05, 20.0, allow_subnormal=False)

    def matrix() -> Matrix:
        return Matrix([[draw(rates) for _ in range(arms)] for _ in range(strata)])

    made = tuple(
        Arm(
            name=f"arm {i}",
            per_sample=(Amount(resource="usd", amount=draw(decimals(0, 2, 2))),),
            per_prompt=(Amount(resource="usd", amount=draw(decimals(0, 1, 2))),) if draw(st.booleans()) else (),
            stop_on_success=draw(st.booleans()),
        )
        for i in range(arms)
    )
    options = tuple(
        Option(name=f"{arm.name} x {count}", strategy="samples", arm=arm.name, samples=count)
        for arm in made
        for count in draw(st.lists(st.integers(0, 8), min_size=1, max_size=3, unique=True))
    )
    return BudgetProblem(
        name="drawn",
        options=options,
        menus=PosteriorMenus(arms=made, alpha=matrix(), beta=matrix(), scale=matrix() if draw(st.booleans()) else None),
        budgets=(Budget(resource="usd", limit=draw(decimals(0, 30, 2))),),
    )


def enumerate_optimum(problem: BudgetProblem) -> tuple[Fraction, BudgetDecision] | None:
    """Return the best objective and a decision that reaches it, by going through all; ``None`` where there is none.

    It reads the tables of the problem in rational arithmetic and knows nothing of programs. The objective is maximised:
    of a cost, the negative.
    """
    assert isinstance(problem.menus, TableMenus)
    menus, options = problem.menus, range(len(problem.options))
    prompts = [1] * problem.rows
    if problem.strata.prompts is not None:
        prompts = [int(row[0]) for row in problem.strata.prompts.array]
    choices = [[c for c in product(range(n + 1), repeat=len(options)) if sum(c) == n] for n in prompts]
    best: tuple[Fraction, tuple[tuple[int, ...], ...]] | None = None
    for choice in product(*choices):
        worth = _worth(problem, menus, choice, sum(prompts))
        if worth is not None and (best is None or worth > best[0]):
            best = worth, choice
    if best is None:
        return None
    taken = [(i, j, n) for i, row in enumerate(best[1]) for j, n in enumerate(row) if n]
    return best[0], BudgetDecision(taken=Matrix(taken))


def _worth(
    problem: BudgetProblem, menus: TableMenus, choice: tuple[tuple[int, ...], ...], prompts: int
) -> Fraction | None:
    """Return the objective of a choice, or nothing where it breaks a rule."""
    spent: dict[tuple[str, str | None], Fraction] = {}
    value = goal = Fraction(0)
    for i, row in enumerate(choice):
        for j, n in enumerate(row):
            if not n:
                continue
            gained = exact(float(menus.value.array[i, j]))
            if not _allowed(problem, menus, i, j) or (problem.objective == "cost_of_pass" and gained == 0):
                return None
            tries = 1 / gained if problem.objective == "cost_of_pass" else Fraction(1)
            value += n * gained
            for cost in menus.cost:
                amount = cost.amount.array
                each = n * tries * exact(float(amount[i if amount.shape[0] > 1 else 0, j]))
                for place in (None, problem.options[j].endpoint):
                    key = (cost.resource, place)
                    spent[key] = spent.get(key, Fraction(0)) + each
                if cost.resource == problem.minimise:
                    goal -= each
    known = problem.information
    for each_cost in known.cost if known is not None and known.charged else ():
        key = (each_cost.resource, None)
        spent[key] = spent.get(key, Fraction(0)) + exact(each_cost.amount) * prompts
    for budget in problem.budgets:
        if spent.get((budget.resource, budget.endpoint), Fraction(0)) > exact(budget.limit):
            return None
    if problem.value_floor is not None and value < exact(problem.value_floor) * prompts:
        return None
    return value if problem.objective == "value" else goal


def _allowed(problem: BudgetProblem, menus: TableMenus, i: int, j: int) -> bool:
    if menus.available is not None and menus.available.array[i, j] == 0.0:
        return False
    classes = problem.strata.latency_class
    if classes is None or menus.latency_s is None or classes.array[i, 0] < 0.0:
        return True
    seconds = menus.latency_s.array
    limit = problem.latency_classes[int(classes.array[i, 0])].limit_s
    return bool(seconds[i if seconds.shape[0] > 1 else 0, j] <= limit)


def without_information(problem: BudgetProblem) -> BudgetProblem:
    """Return the problem with nothing charged."""
    return msgspec.structs.replace(problem, information=None)


def larger(rows: int = 40, columns: int = 6, seed: int = 0, **fields: Any) -> BudgetProblem:
    """Return a problem with decimals of three places and a budget that binds; ``fields`` replace its own."""
    random = np.random.default_rng(seed)
    value = np.sort(random.integers(0, 1000, size=(rows, columns)), axis=1) / 1000.0
    cost = np.sort(random.integers(0, 5000, size=(rows, columns)), axis=1) / 1000.0
    given_fields: dict[str, Any] = {
        "name": "larger",
        "options": tuple(Option(name=f"option {i}") for i in range(columns)),
        "menus": TableMenus(value=Matrix(value), cost=(Cost(resource="usd", amount=Matrix(cost)),)),
        "budgets": (Budget(resource="usd", limit=round(float(cost.mean() * rows * 0.6), 2)),),
    }
    return BudgetProblem(**{**given_fields, **fields})
