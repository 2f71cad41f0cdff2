"""Why nothing is feasible, in a sentence for each limit that alone rules everything out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from coinfer.models.selection.data import Budgets, SelectionProblem
from coinfer.models.selection.explain import explain_infeasible
from coinfer.models.selection.formulate import formulate
from coinfer.solver import mip
from coinfer.solver.result import Status

replace = msgspec.structs.replace
Change = Callable[[SelectionProblem], SelectionProblem]


def budgets(**fields: Any) -> Change:
    return lambda problem: replace(problem, budgets=replace(problem.budgets, **fields))


def fields(**values: Any) -> Change:
    return lambda problem: replace(problem, **values)


def chat_within(seconds: float, **values: Any) -> Change:
    def change(problem: SelectionProblem) -> SelectionProblem:
        chat = replace(problem.categories[0], latency_budget_s=seconds)
        return replace(problem, categories=(chat, problem.categories[1]), **values)

    return change


def devices(**values: Any) -> Change:
    return lambda problem: replace(problem, devices=tuple(replace(device, **values) for device in problem.devices))


CAUSES: list[tuple[Change, str]] = [
    (chat_within(0.3), "no expert answers 'chat' within 0.3 s: the fastest, 'tiny', takes 0.4 s"),
    (
        chat_within(0.5, forbidden=("tiny",)),
        "no expert answers 'chat' within 0.5 s: the fastest, 'mid', takes 1.1 s",
    ),
    (fields(forbidden=("tiny", "mid", "big")), "no expert answers 'chat': all are forbidden"),
    (
        devices(memory_bytes=1_000),
        "no expert that can be selected answers 'chat': 'tiny' needs 2000 bytes of 'orin', which has 1000",
    ),
    (
        budgets(worst_case_energy_j=5.0),
        "no expert that can be selected answers 'chat': 'tiny' takes 8 J in 'code', over the worst-case energy of 5 J",
    ),
    (
        chat_within(0.45, latency_rule="selected", aggregation_s_per_expert=0.1),
        "'tiny' takes 0.5 s in 'chat', where 0.45 s are promised",
    ),
    (
        fields(required=("tiny", "mid"), aggregation_s_per_expert=None, budgets=Budgets(experts=1)),
        "2 experts are required, and at most 1 may be selected",
    ),
    (fields(required=("mid", "big")), "2 experts of group 'coder' are required, and at most one may be selected"),
    (
        lambda problem: replace(devices(memory_bytes=7_000)(problem), required=("tiny", "mid")),
        "the required experts together need 8000 bytes of 'orin', which has 7000",
    ),
    (
        lambda problem: replace(devices(memory_bytes=7_000)(problem), required=("big",)),
        "a required expert cannot be selected: 'big' needs 20000 bytes of 'desk', which has 7000",
    ),
    (
        lambda problem: replace(budgets(worst_case_energy_j=165.0)(problem), required=("tiny", "big")),
        "the required experts together take 168 J in 'code', over the worst-case energy of 165 J",
    ),
    (budgets(energy_j=5.0), "the cheapest routing needs a mean energy_j of 5.6, over the budget of 5"),
    (budgets(price_usd=0.0005), "the cheapest routing needs a mean price_usd of 0.001, over the budget of 0.0005"),
    (
        lambda problem: replace(devices(max_utilisation=0.5)(problem), arrival_rate_per_s=2.0),
        "1.12 s of work arrive per second even on the fastest experts; the devices together may do 1 s",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), CAUSES, ids=[sentence[:50] for _, sentence in CAUSES])
def test_each_cause_has_its_sentence(small: SelectionProblem, change: Change, sentence: str) -> None:
    """The sentence names the limit and how far off the closest is, and the engine agrees that nothing is feasible."""
    problem = change(small)
    found = explain_infeasible(problem)
    assert any(sentence in line for line in found), found
    assert mip.solve(formulate(problem)).status is Status.INFEASIBLE


def test_idle_power_counts(small: SelectionProblem) -> None:
    """Where every device draws idle power, the cheapest routing pays for one of them."""
    problem = replace(devices(idle_power_w=10.0)(small), budgets=Budgets(energy_j=30.0))
    assert explain_infeasible(problem) == (
        "the cheapest routing needs a mean energy_j of 30.6 (25 of it idle), over the budget of 30",
    )


def test_a_feasible_problem_needs_no_explanation(small: SelectionProblem) -> None:
    """Nothing is said of a problem that has a solution."""
    assert explain_infeasible(small) == ()
