"""Budget plans: optimal where enumeration can tell, proven by prices alone, and refused when touched."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from coinfer import arrayfile, jsonfile
from coinfer.errors import CertificateError, CoinferError, Infeasible, InputError, PlanMismatch
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.parts import Amount, Budget, Cost, Information, Option, Strata, TableMenus
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.make import plan
from coinfer.planner.plan import read_plan
from coinfer.planner.verify import verify
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.testing.budget import budget_problems, enumerate_optimum, larger, posterior_problems


@given(problem=budget_problems())
@settings(max_examples=150, deadline=None)
def test_a_plan_is_what_enumeration_finds(problem: BudgetProblem) -> None:
    """The plan of a small problem is the optimum of the problem, its proof shows no less, and the checker agrees."""
    best = enumerate_optimum(problem)
    if best is None:
        with pytest.raises(Infeasible):
            plan(problem)
        return
    made = plan(problem)
    sign = 1 if problem.objective == "value" else -1
    assert made.certificate.value == pytest.approx(sign * float(best[0]), rel=1e-9, abs=1e-12)
    assert made.certificate.bound is not None
    assert sign * made.certificate.bound >= float(best[0]) - 1e-11
    checked = verify(problem, made)
    assert checked.value == pytest.approx(made.certificate.value)
    assert checked.bound is not None
    assert sign * checked.bound >= float(best[0] - Fraction(1, 10**12))


@given(problem=posterior_problems())
@settings(max_examples=40, deadline=None)
def test_posterior_menus_are_planned_and_checked(problem: BudgetProblem) -> None:
    """A plan over posteriors verifies, and no engine for integer programs finds a better one."""
    try:
        made = plan(problem)
    except Infeasible:
        with pytest.raises(Infeasible):
            plan(problem, engine="highs")
        return
    verify(problem, made)
    other = plan(problem, engine="highs")
    assert other.certificate.value == pytest.approx(made.certificate.value, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("engine", ["highs", "cp-sat", "scip", "cbc"])
def test_engines_agree(engine: str) -> None:
    """Every engine finds the value of the price engine."""
    problem = larger()
    own, other = plan(problem), plan(problem, engine=engine)
    assert own.certificate.status == "optimal"
    assert other.certificate.value == pytest.approx(own.certificate.value, abs=1e-9)
    assert verify(problem, other).bound is None
    assert verify(problem, own).proven


def test_more_budget_never_hurts() -> None:
    """The value of the plan rises with the limit."""
    values = [
        plan(larger(budgets=(Budget(resource="usd", limit=limit),))).certificate.value
        for limit in (60.0, 60.1, 65.0, 80.0, 100.0, 500.0)
    ]
    assert values == sorted(values)


def test_a_limit_met_to_the_last_decimal_is_kept() -> None:
    """Three times a tenth is three tenths, although floats say it is more."""
    menus = TableMenus(value=Matrix([[0.0, 1.0]] * 3), cost=(Cost(resource="usd", amount=Matrix([[0.0, 0.1]])),))
    options = (Option(name="none"), Option(name="one"))
    problem = BudgetProblem(name="tenths", options=options, menus=menus, budgets=(Budget(resource="usd", limit=0.3),))
    made = plan(problem)
    assert made.certificate.value == 3.0
    assert verify(problem, made).proven


def test_information_that_costs_the_budget_is_infeasible() -> None:
    """A plan that cannot pay for its own information does not exist, and the sentence says so."""
    known = Information(source="one_sample", cost=(Amount(resource="usd", amount=100.0),))
    with pytest.raises(Infeasible, match="finding out the strata takes 4000 of usd"):
        plan(larger(information=known))


def test_infeasible_limits_are_named() -> None:
    """What clashes is named: a budget below the cheapest choice, a floor above the best one, or both together."""
    with pytest.raises(Infeasible, match=r"the cheapest options together take .* more than the limit of \$0\.01"):
        plan(larger(budgets=(Budget(resource="usd", limit=0.01),)))
    with pytest.raises(Infeasible, match=r"the best options reach a mean value of .* less than the floor"):
        plan(larger(budgets=(), value_floor=0.999))
    with pytest.raises(Infeasible, match="together"):
        plan(larger(value_floor=0.8, budgets=(Budget(resource="usd", limit=20.0),)))


def test_a_start_is_never_made_worse() -> None:
    """Beginning from the optimum with no time to search gives at least the optimum."""
    problem = larger()
    best = plan(problem)
    again = plan(problem, start=best.decision, limits=Limits(time_s=0.0))
    assert again.certificate.value >= best.certificate.value


def test_the_gain_is_beside_what_no_information_gives() -> None:
    """Plans name what treating all prompts alike would give within the same budgets, and need for the same value."""
    problem = larger()
    made = plan(problem)
    same, need = made.alternatives
    assert same.what == "same_budgets"
    assert same.value <= made.certificate.value
    assert need.what == "same_value"
    assert need.value >= made.certificate.value * (1 - 1e-9)
    assert need.spend is not None
    assert need.spend >= made.spend[0].expected * (1 - 1e-9)


def test_one_menu_for_all_gains_nothing() -> None:
    """Where every stratum has the same menu, telling them apart gains nothing."""
    value, cost = [[0.1, 0.4, 0.6]] * 5, [[0.0, 1.0, 3.0]]
    menus = TableMenus(value=Matrix(value), cost=(Cost(resource="usd", amount=Matrix(cost)),))
    problem = larger(
        menus=menus,
        options=tuple(Option(name=str(i)) for i in range(3)),
        budgets=(Budget(resource="usd", limit=20.0),),
        strata=Strata(prompts=Matrix([[2]] * 5)),
    )
    made = plan(problem)
    assert made.alternatives[0].value == pytest.approx(made.certificate.value)


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    """A plan read back is the plan that was written, also with its decision in an .npz file."""
    made = plan(larger())
    arrayfile.write(tmp_path / "plan.json", made, most_inline=10)
    assert read_plan(tmp_path / "plan.json") == made


def touched(made: BudgetPlan, path: str, value: Any) -> BudgetPlan:
    """Return the plan with one place of its file changed."""
    data = jsonfile.to_builtins(made)
    data.pop("format")
    data = json.loads(json.dumps(data))
    *outer, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = data
    for part in outer:
        place = place[part]
    place[last] = value(place[last]) if callable(value) else value
    return jsonfile.convert(data, BudgetPlan, where="plan")


LIES: list[tuple[str, Any]] = [
    ("certificate.value", lambda v: v + 1e-6),
    ("certificate.bound", lambda v: v - 1e-6),
    ("certificate.verified_bound", lambda v: v - 1e-3),
    ("certificate.status", "feasible"),
    ("certificate.limit", "time"),
    ("certificate.proof.prices.0", lambda v: v * 0.5),
    ("certificate.proof.prices.0", -0.001),
    ("certificate.proof.prices", [0.1, 0.1]),
    ("certificate.proof.shows", "infeasible"),
    ("certificate.proof", None),
    ("certificate.claims", []),
    ("mean_value", lambda v: v + 1e-4),
    ("spend.0.expected", lambda v: v - 0.1),
    ("spend.0.limit", 1e6),
    ("spend.0.price", lambda v: v * 2),
    ("spend", []),
    ("used.0.prompts", lambda v: v + 1),
    ("used.0.value", lambda v: v + 0.5),
    ("alternatives.0.value", lambda v: v - 1.0),
    ("alternatives.1.spend", lambda v: v * 3.0),
    ("alternatives.1.prompts.0", lambda v: v + 1),
    ("alternatives.0.options.0", "another"),
    ("alternatives.0.bound", lambda v: v - 1e-3),
    ("alternatives.0.bound", None),
    ("alternatives.0.prices", [0.1, 0.1]),
    ("alternatives.0.prices.0", -1.0),
    ("alternatives.0.options", []),
    ("alternatives.1.what", "same_budgets"),
    ("alternatives.1.bound", lambda v: v * 2.0),
    ("alternatives", []),
    ("alternatives", lambda v: v[:1]),
    ("certificate.claims.0.method", "looked at closely"),
    ("certificate.claims.2.method", "a proof"),
    ("certificate.claims.2.standing", "claimed"),
    ("engine", " "),
    ("seconds", -1.0),
    ("notes", ["all is well"]),
    ("decision.taken.0", [0, 5, 1]),
    ("decision.taken.0", [0, 0, 2]),
    ("decision.taken.0.1", 99),
]


@pytest.mark.parametrize(("path", "value"), LIES, ids=[f"{path}-{i}" for i, (path, _) in enumerate(LIES)])
def test_a_plan_that_was_touched_is_refused(path: str, value: Any) -> None:
    """A figure, price, claim or entry that was changed is found by the checker."""
    problem = larger()
    made = plan(problem)
    verify(problem, made)
    with pytest.raises((CertificateError, InputError)):
        verify(problem, touched(made, path, value))


def test_a_plan_is_for_its_problem_alone() -> None:
    """A plan does not verify against a problem with one other number."""
    problem = larger()
    made = plan(problem)
    other = msgspec.structs.replace(problem, name="other")
    with pytest.raises(PlanMismatch):
        verify(other, made)


def test_an_unknown_engine_is_refused() -> None:
    """Only the engines that plan budgets are taken."""
    with pytest.raises(CoinferError, match="prices"):
        plan(larger(), engine="search")
