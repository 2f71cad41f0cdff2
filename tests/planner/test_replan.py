"""Replanning: new figures go in, what moved is named, and a plan is stale for a reason."""

from __future__ import annotations

import msgspec
import pytest

from coinfer.errors import PlanMismatch
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.planner.make import plan
from coinfer.planner.selection.replan import replan, updated
from coinfer.planner.verify import verify
from coinfer.profiler.profile import Entry, Estimate, Profile, Quantity
from coinfer.records import Matrix


def problem(**fields: object) -> SelectionProblem:
    """Two experts for two categories; the better one is slower and costs more."""
    made = SelectionProblem(
        name="pair",
        devices=(Device(name="box"),),
        categories=(Category(name="chat", latency_budget_s=1.0), Category(name="code")),
        experts=(
            Expert(
                name="small",
                device="box",
                latency_s={"chat": 0.2, "code": 0.2},
                energy_j={"chat": 1.0, "code": 1.0},
                energy_basis="declared",
            ),
            Expert(
                name="large",
                device="box",
                latency_s={"chat": 0.9, "code": 0.9},
                energy_j={"chat": 4.0, "code": 4.0},
                energy_basis="measured",
            ),
        ),
        prompts=(Prompt(name="chat", category="chat"), Prompt(name="code", category="code")),
        quality=Matrix([[0.5, 0.9], [0.4, 0.8]]),
        budgets=Budgets(),
        gate="category",
    )
    return msgspec.structs.replace(made, **fields)


def measured(expert: str, category: str, quantity: Quantity, value: float, *, width: float = 0.02) -> Entry:
    estimate = Estimate(
        value=value, low=value * (1 - width), high=value * (1 + width), samples=50, basis="measured", source="measured"
    )
    return Entry(device="box", model=expert, engine="e", quantity=quantity, estimate=estimate, category=category)


def profile(*entries: Entry) -> Profile:
    return Profile(devices=(), entries=entries)


def test_nothing_new_leaves_the_plan_standing() -> None:
    """Without new figures the plan is not stale, and the new one decides the same."""
    made = replan(problem(), plan(problem()), profile())
    assert (made.stale, made.changed, made.moved, made.broken) == (False, False, (), ())
    assert made.problem == problem()
    assert made.previous_value == pytest.approx(0.85)


def test_a_broken_promise_makes_the_plan_stale_and_changes_it() -> None:
    """The large expert turns out too slow for chat: the plan is stale, and chat goes to the small one."""
    made = replan(problem(), plan(problem()), profile(measured("large", "chat", "request_s", 1.5)))
    assert made.stale
    assert made.changed
    assert made.previous_value is None
    assert any("large" in sentence for sentence in made.broken)
    assert [str(figure).split(":")[0] for figure in made.moved] == ["latency_s of large in chat"]
    assert {route.category: route.expert for route in made.plan.decision.routes} == {"chat": "small", "code": "large"}
    assert verify(made.problem, made.plan).proven


def test_noise_within_the_interval_is_no_move() -> None:
    """A figure whose old value lies inside the new interval did not move, however far its middle is."""
    _, moved = updated(problem(), profile(measured("large", "chat", "request_s", 1.2, width=0.5)), tolerance=0.1)
    assert moved == ()


def test_a_small_certain_change_is_no_move() -> None:
    """A change within the tolerance does not count, however narrow its interval."""
    fresh, moved = updated(problem(), profile(measured("large", "chat", "request_s", 0.95)), tolerance=0.1)
    assert moved == ()
    assert fresh.experts[1].latency_s["chat"] == 0.95


def test_a_budget_used_to_its_end_is_not_stale_from_noise() -> None:
    """One percent over a budget that was used up is reported, and is no staleness."""
    tight = problem(budgets=Budgets(energy_j=4.0))
    entries = [measured("large", category, "request_energy_j", 4.04) for category in ("chat", "code")]
    made = replan(tight, plan(tight), profile(*entries))
    assert made.broken
    assert not made.stale


def test_declared_energy_follows_the_time() -> None:
    """Energy that is a power figure times a time is scaled with the new time; measured energy is not."""
    entries = [measured(name, "chat", "request_s", 0.4) for name in ("small", "large")]
    fresh, _ = updated(problem(), profile(*entries), tolerance=0.1)
    small, large = fresh.experts
    assert small.energy_j == {"chat": pytest.approx(2.0), "code": 1.0}
    assert large.energy_j == {"chat": 4.0, "code": 4.0}


def test_quality_is_replaced_for_whole_categories_only() -> None:
    """A mean says something of a stratum, and nothing of a single prompt."""
    entry = measured("small", "chat", "quality", 0.7)
    fresh, moved = updated(problem(), profile(entry), tolerance=0.1)
    assert fresh.quality.array[0, 0] == 0.7
    assert len(moved) == 1
    single = problem(prompts=(Prompt(name="p0", category="chat"), Prompt(name="p1", category="code")))
    fresh, moved = updated(single, profile(entry), tolerance=0.1)
    assert fresh.quality == single.quality
    assert moved == ()


def test_a_plan_of_another_problem_is_refused() -> None:
    """New measurements cannot be put into a problem that the plan was not made for."""
    with pytest.raises(PlanMismatch):
        replan(problem(name="other"), plan(problem()), profile())


def test_a_split_category_is_not_stale_by_itself() -> None:
    """Shares that add up to 1 only within rounding are no broken limit."""
    split = problem(budgets=Budgets(energy_j=2.7))
    made = replan(split, plan(split), profile())
    assert len(made.plan.decision.routes) == 3
    assert not made.stale
