"""Gates that follow scores: routes from a selection alone, and what the evaluation makes of them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import ProblemError
from coinfer.models.selection.data import Budgets, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.deployed import gate_shares
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.formulate import formulate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.units import answerable
from coinfer.records import Matrix
from coinfer.testing.selection import enumerate_optimum, selection_problems

SCORES = Matrix([[0.0, math.log(3.0), 9.0], [1.0, 1.0, 1.0], [2.0, 0.0, 2.0]])
SCORED = selection_problems(gates=("softmax", "top_1"), max_experts=4)
ANY = selection_problems(gates=("oracle", "category", "softmax", "top_1"), max_experts=4)


def changed(problem: SelectionProblem, **fields: Any) -> SelectionProblem:
    return msgspec.structs.replace(problem, **fields)


def gated(problem: SelectionProblem, gate: str) -> SelectionProblem:
    """Return the small problem under a gate that follows scores, without budgets."""
    return changed(problem, gate=gate, gate_scores=SCORES, budgets=Budgets(), arrival_rate_per_s=None)


def test_a_softmax_gate_for_paper(small: SelectionProblem) -> None:
    """Odds follow the scores of the selected experts that may answer: ``big`` misses the promise of ``chat``."""
    problem = gated(small, "softmax")
    decision = decode_selection(problem, ("big", "mid", "tiny"))
    assert decision.selected == ("tiny", "mid", "big")
    shares = {(route.prompt, route.expert): route.fraction for route in decision.routes}
    third, e = 1 / 3, math.exp(-2.0)
    assert shares == pytest.approx(
        {
            ("hello", "tiny"): 0.25,
            ("hello", "mid"): 0.75,
            **{("sort", name): third for name in ("tiny", "mid", "big")},
            ("parse", "tiny"): 1 / (2 + e),
            ("parse", "mid"): e / (2 + e),
            ("parse", "big"): 1 / (2 + e),
        }
    )
    evaluation = evaluate(changed(problem, experts=tuple(part_without_group(problem))), decision)
    assert evaluation.violations == ()
    parse = (0.3 + 0.35 * e + 0.95) / (2 + e)
    value = 0.6 * (0.25 * 0.6 + 0.75 * 0.65) + 0.2 * (0.2 + 0.4 + 0.9) / 3 + 0.2 * parse
    assert evaluation.value == pytest.approx(value)
    assert evaluation.gate_value == pytest.approx(value)
    assert evaluation.oracle_value == pytest.approx(0.6 * 0.65 + 0.2 * 0.9 + 0.2 * 0.95)


def part_without_group(problem: SelectionProblem) -> list[Any]:
    """Return the experts, free to be selected together."""
    return [msgspec.structs.replace(expert, group=None) for expert in problem.experts]


def test_a_top_1_gate_for_paper(small: SelectionProblem) -> None:
    """The largest score answers, the first expert of the problem among equals, and nobody who may not."""
    problem = gated(small, "top_1")
    decision = decode_selection(problem, ("tiny", "mid", "big"))
    assert [(route.prompt, route.expert) for route in decision.routes] == [
        ("hello", "mid"),
        ("sort", "tiny"),
        ("parse", "tiny"),
    ]
    assert all(route.fraction == 1.0 for route in decision.routes)


def test_another_expert_can_make_a_gate_worse(small: SelectionProblem) -> None:
    """The value is not monotone in the selection: a gate may trust the newcomer too much."""
    scores = Matrix([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    problem = changed(gated(small, "top_1"), gate_scores=scores)
    alone, both = (evaluate(problem, decode_selection(problem, names)) for names in (("big", "mid"), ("big", "tiny")))
    more = evaluate(problem, decode_selection(problem, ("tiny", "mid", "big")))
    assert more.value < alone.value
    assert both.value <= both.oracle_value


@given(problem=SCORED, data=st.data())
@settings(max_examples=100)
def test_routes_that_are_not_the_gates_are_flagged(problem: SelectionProblem, data: st.DataObject) -> None:
    """The gate's own routes pass; move a thousandth of one prompt, or all of it, and the evaluation says so."""
    names = [expert.name for expert in problem.experts]
    decision = decode_selection(problem, data.draw(st.sets(st.sampled_from(names), min_size=1)))
    sentences = evaluate(problem, decision).violations
    assert not any("the gate" in sentence for sentence in sentences)
    answered = {route.prompt for route in decision.routes}
    if answered != {prompt.name for prompt in problem.prompts}:
        assert any("add up to 0, not to 1" in sentence for sentence in sentences)
        return
    assert not any("add up to" in sentence for sentence in sentences)
    routes = list(decision.routes)
    k = data.draw(st.integers(0, len(routes) - 1))
    others = [
        name
        for name, expert in zip(names, problem.experts, strict=True)
        if name in decision.selected and name != routes[k].expert and answerable(problem, expert, routes[k].category)
    ]
    if not others:
        return
    other = data.draw(st.sampled_from(others))
    share = {route.expert: route.fraction for route in routes if route.prompt == routes[k].prompt}
    moved = data.draw(st.sampled_from([0.001 * routes[k].fraction, 0.5 * routes[k].fraction]))
    share |= {routes[k].expert: share[routes[k].expert] - moved, other: share.get(other, 0.0) + moved}
    kept = [route for route in routes if route.prompt != routes[k].prompt]
    kept += [msgspec.structs.replace(routes[k], expert=name, fraction=part) for name, part in share.items()]
    tampered = msgspec.structs.replace(decision, routes=tuple(kept))
    assert any(f"the gate {problem.gate!r} sends" in sentence for sentence in evaluate(problem, tampered).violations)


@given(problem=SCORED)
@settings(max_examples=150)
def test_the_best_selection_is_what_enumeration_finds(problem: SelectionProblem) -> None:
    """Decode and evaluate every selection: the best without a violation is the optimum by brute force."""
    names = [expert.name for expert in problem.experts]
    found = []
    for size in range(1, len(names) + 1):
        for subset in itertools.combinations(names, size):
            evaluation = evaluate(problem, decode_selection(problem, subset))
            if not evaluation.violations:
                found.append(evaluation.value)
                assert evaluation.gate_value == pytest.approx(evaluation.value, abs=1e-8)
                assert evaluation.value <= evaluation.oracle_value + 1e-8
    truth = enumerate_optimum(problem)
    assert (truth is None) == (not found)
    if truth is not None:
        assert max(found) == pytest.approx(truth, abs=1e-8)


@given(problem=ANY, data=st.data())
@settings(max_examples=100)
def test_a_selection_is_routed_to_its_best(problem: SelectionProblem, data: st.DataObject) -> None:
    """Under gates that choose, the routes of a selection reach the value that no routing of the gate exceeds."""
    names = [expert.name for expert in problem.experts]
    decision = decode_selection(problem, data.draw(st.sets(st.sampled_from(names), min_size=1)))
    evaluation = evaluate(problem, decision)
    if any("add up to" in sentence for sentence in evaluation.violations):
        return
    limit = {"oracle": evaluation.oracle_value, "category": evaluation.category_value}.get(problem.gate)
    if limit is not None:
        assert evaluation.value == pytest.approx(limit, abs=1e-9)
    if problem.gate_scores is None:
        assert evaluation.gate_value is None
    else:
        assert evaluation.gate_value is not None
        assert evaluation.gate_value <= evaluation.oracle_value + 1e-8


@given(
    scores=st.lists(st.lists(st.floats(-1e18, 1e18), min_size=3, max_size=3), min_size=1, max_size=4),
    shift=st.sampled_from([0.0, 3.0, -700.0]),
    mask=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_shares_add_up_whatever_the_scores(scores: list[list[float]], shift: float, mask: list[bool]) -> None:
    """Scores of any size give shares in [0, 1] that add up to 1, on allowed experts only."""
    table, allowed = np.array(scores) + shift, np.array([mask] * len(scores))
    for gate in ("softmax", "top_1"):
        share = gate_shares(table, allowed, gate)  # type: ignore[arg-type]
        assert ((share >= 0.0) & (share <= 1.0)).all()
        assert not share[~allowed].any()
        assert share.sum(axis=1) == pytest.approx(np.full(len(scores), float(any(mask))))


@pytest.mark.parametrize("gate", ["softmax", "top_1"])
def test_no_integer_program_states_such_a_gate(small: SelectionProblem, gate: str) -> None:
    """The program is refused in one sentence that says who can solve it."""
    with pytest.raises(ProblemError) as caught:
        formulate(gated(small, gate))
    wanted = "gate: expected 'oracle' or 'category' for an integer program"
    assert str(caught.value) == f"{wanted}; found {gate!r}, which the monotonic engine solves"


def test_an_unknown_name_is_refused(small: SelectionProblem) -> None:
    """A selection names experts of the problem."""
    with pytest.raises(ProblemError, match=r"selected\[1\]: expected one of tiny, mid, big; found 'ghost'"):
        decode_selection(small, ("tiny", "ghost"))


def test_the_deployed_gate_stands_beside_the_oracle(small: SelectionProblem) -> None:
    """With scores, a plan for a perfect router also says what a router with these scores makes of the selection."""
    problem = changed(small, gate_scores=SCORES, budgets=Budgets(), arrival_rate_per_s=None)
    decision = decode_selection(problem, ("tiny", "big"))
    found = evaluate(problem, decision)
    assert found.value == pytest.approx(0.6 * 0.6 + 0.2 * 0.9 + 0.2 * 0.95)
    assert found.gate_value == pytest.approx(0.6 * 0.6 + 0.2 * 0.2 + 0.2 * 0.3)
    assert evaluate(changed(problem, gate_scores=None), decision).gate_value is None
    nobody = SelectionDecision(selected=(), routes=(), preference={})
    assert evaluate(problem, nobody).gate_value is None


@given(problem=ANY)
@settings(max_examples=60)
def test_a_problem_with_scores_survives_its_file(problem: SelectionProblem) -> None:
    """Written and read again, a problem of any gate and objective is the same."""
    data = jsonfile.parse(jsonfile.to_text(problem), where="problem")
    data.pop("format")
    again = jsonfile.convert(data, SelectionProblem, where="problem")
    assert again == problem
