"""Experts forced in or left out: what is proven of the loss, what makes room, and how all of it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.cli import main
from coinfer.errors import LimitReached
from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.planner.bound import scale_of
from coinfer.planner.explore.budgets import budget_named
from coinfer.planner.explore.experts import essential, why_not
from coinfer.planner.explore.optimum import How, Solved, fixed, solve
from coinfer.planner.explore.worth import worth_of_budgets
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.testing.enumeration import enumerate_optimum
from coinfer.testing.selection import selection_problems

FILTERED = [HealthCheck.filter_too_much, HealthCheck.too_slow]
"""Many drawn problems are infeasible, or of another kind than a test asks for."""
EXAMPLES = Path(__file__).parents[2] / "examples" / "problems"
GATES = ("oracle", "category", "softmax", "top_1")


def shelf(**changes: object) -> SelectionProblem:
    """Return three experts for a device that holds two of the small ones, or the large one."""
    problem = SelectionProblem(
        name="shelf",
        devices=(Device(name="box", memory_bytes=10),),
        categories=(Category(name="chat"), Category(name="code")),
        experts=tuple(
            Expert(name=name, device="box", latency_s={"chat": 1.0, "code": 1.0}, memory_bytes=size)
            for name, size in (("talker", 4), ("coder", 5), ("large", 9), ("giant", 12))
        ),
        prompts=(Prompt(name="p0", category="chat"), Prompt(name="p1", category="code")),
        quality=Matrix([[0.9, 0.1, 0.7, 1.0], [0.1, 0.8, 0.7, 1.0]]),
        budgets=Budgets(),
        gate="category",
    )
    return msgspec.structs.replace(problem, **changes)


def test_an_expert_that_is_selected_is_said_to_be() -> None:
    """Nothing is forced in for an expert that is in the optimum."""
    found = why_not(shelf(), "coder")
    assert found.selected
    assert found.optimum is None


def test_the_loss_names_who_would_leave() -> None:
    """Forcing in the large expert costs 0.15 and leaves no room for the two small ones."""
    found = why_not(shelf(), "large")
    assert found.loss == pytest.approx(0.15)
    assert (found.at_least, found.at_most) == (pytest.approx(0.15), pytest.approx(0.15))
    assert found.proven
    assert set(found.pushed_out) == {"talker", "coder"}
    assert found.brought_in == ()


def test_an_expert_that_fits_nowhere_is_told_what_would_make_room() -> None:
    """The reason names the limit, and lifting exactly that one makes room."""
    found = why_not(shelf(), "giant")
    assert found.reason is not None
    assert "12 bytes" in found.reason
    assert found.relief == ("memory:box",)
    both = shelf(budgets=Budgets(experts=1), required=("talker",))
    found = why_not(both, "coder")
    assert found.reason is not None
    assert "at most 1" in found.reason
    assert found.relief == ("experts",)


def test_a_forbidden_expert_may_be_better_and_a_required_one_worse() -> None:
    """Losses below 0 are told as they are, and what is proven of them holds them."""
    found = why_not(shelf(forbidden=("coder",)), "coder")
    assert found.loss == pytest.approx(0.7 - 0.85)
    assert found.at_least is not None
    assert found.at_most is not None
    assert found.at_least - 1e-9 <= found.loss <= found.at_most + 1e-9
    gone = essential(shelf(required=("large",)), ["large"])
    assert gone.loss == pytest.approx(0.7 - 0.85)
    assert gone.at_least is not None
    assert gone.at_most is not None
    assert gone.at_least - 1e-9 <= gone.loss <= gone.at_most + 1e-9


def test_what_nothing_is_feasible_without_is_said() -> None:
    """A group that is all of the menu leaves nothing, and a group of whom none is needed costs nothing."""
    gone = essential(shelf(), ["talker", "coder", "large"])
    assert gone.optimum is None
    assert "no expert" in gone.infeasible
    assert essential(shelf(), ["large"]).loss == pytest.approx(0.0)


@settings(max_examples=40, suppress_health_check=FILTERED)
@given(problem=selection_problems(gates=GATES, max_experts=3, max_prompts=4), nodes=st.integers(0, 2))
def test_what_is_proven_of_a_loss_holds_it_however_early_the_search_ends(problem: Problem, nodes: int) -> None:
    """The true loss, and the true essentialness, lie within what is stated, whatever was required or forbidden."""
    truth = enumerate_optimum(problem)
    assume(truth is not None)
    assert truth is not None
    how, near = How(limits=Limits(nodes=nodes)), 1e-7 * scale_of(problem)
    for expert in problem.experts:
        try:
            found, gone = why_not(problem, expert.name, how=how), essential(problem, [expert.name], how=how)
        except LimitReached:
            continue
        with_it = enumerate_optimum(fixed(problem, inside=[expert.name]))
        if found.optimum is not None and with_it is not None:
            assert found.at_least is None or found.at_least <= truth - with_it + near
            assert found.at_most is None or found.at_most >= truth - with_it - near
        without = enumerate_optimum(fixed(problem, outside=[expert.name]))
        if gone.optimum is None or without is None:
            assert without is None
            continue
        assert gone.at_least is None or gone.at_least <= truth - without + near
        assert gone.at_most is None or gone.at_most >= truth - without - near
        if problem.objective == "cost_of_pass" and without < -near:
            share = 1.0 - truth / without
            slack = near / -without * 2.0
            assert gone.essentialness_at_least is None or gone.essentialness_at_least <= share + slack
            assert gone.essentialness_at_most is None or gone.essentialness_at_most >= share - slack


@settings(max_examples=25, suppress_health_check=FILTERED)
@given(problem=selection_problems(gates=GATES, max_experts=3, max_prompts=4))
def test_more_of_any_budget_buys_what_enumeration_says(problem: Problem) -> None:
    """Under every gate and limit, what is proven of a gain holds the difference of the two true optima."""
    truth = enumerate_optimum(problem)
    assume(truth is not None)
    assert truth is not None
    near = 1e-7 * scale_of(problem)
    for item in worth_of_budgets(problem, steps=(0.25,)):
        for more in item.more:
            raised = budget_named(problem, item.budget).replaced(problem, item.limit + more.added)
            after = enumerate_optimum(raised)
            assert after is not None
            assert more.gain == pytest.approx(after - truth, abs=near)
            assert more.proven
            assert more.at_least is None or more.at_least <= after - truth + near
            assert more.at_most is None or more.at_most >= after - truth - near


def test_essentialness_is_proven_within_the_bounds_of_both_optima() -> None:
    """Where the cost could still be lower with the group, the group could save a larger share."""
    problem = read_problem(EXAMPLES / "cost_of_pass.json")
    base = solve(problem, How())
    half = Solved(optimum=replace(base.optimum, bound=0.5 * base.optimum.value, proven=False), decision=base.decision)
    gone = essential(problem, [base.optimum.selected[0]], solved=half)
    assert gone.optimum is not None
    assert not gone.proven
    ratio = base.optimum.value / gone.optimum.value
    assert gone.essentialness == pytest.approx(1.0 - ratio)
    assert gone.essentialness_at_least == pytest.approx(1.0 - ratio)
    assert gone.essentialness_at_most == pytest.approx(1.0 - 0.5 * ratio)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shelf.json"
    jsonfile.write(path, shelf(forbidden=("talker",)))
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--why-not", "talker"], "0.15 better: the problem forbids it"),
        (["--why-not", "giant"], "Lifting one of these would make room: memory:box"),
        (["--why-not", "large"], "large is selected."),
        (["--why-not", "coder"], "worse. It would push out large"),
        (["--essential", "coder"], "Without coder the best is 0.7000, as good."),
        (["--essential", "coder,large"], "Without coder, large: no decision satisfies every constraint"),
        (["--best", "9"], "Proven: these are all there are."),
        (["--best", "1"], "Proven: no other selection is above 0.7000."),
        (["--worth"], "memory:box"),
        (["--tied"], "Sure, whichever is taken"),
        (["--sweep", "memory:box:4:12:3"], "Best value by budget"),
    ],
)
def test_every_answer_is_a_sentence(
    file: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each question has its answer in words, and the same as strict JSON."""
    assert main(["explore", str(file), *options]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert words in said
    assert main(["explore", str(file), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_experts_that_answer_nothing_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Selections that only add idle experts say so, and ties of that kind are counted and not listed."""
    path = tmp_path / "roomy.json"
    jsonfile.write(path, shelf(devices=(Device(name="box", memory_bytes=20),), forbidden=("giant",)))
    assert main(["explore", str(path), "--best", "2", "--tied", "--worth"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "talker, coder; idle: large" in said
    assert "Not shown: 1 in which some expert answers nothing." in said
