"""Ties: the standard error is that of the formula, and what is called complete is."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.problem import Problem
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Gate, Prompt, SelectionProblem
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.monotonic import why_not_monotonic
from coinfer.planner.bound import scale_of
from coinfer.planner.explore.answers import Answers, weights_of, worth_of
from coinfer.planner.explore.optimum import How, solve
from coinfer.planner.explore.ties import Z, paired, tied_gap, tied_selections
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.testing.selection import selection_problems

GATES: tuple[Gate, ...] = ("oracle", "category", "softmax", "top_1")


def crowd(seed: int, *, prompts: int, gate: Gate = "oracle", spread: float = 1.0) -> SelectionProblem:
    """Five experts of which at most two are kept; drawn quality, scores and weights."""
    rng = np.random.default_rng(seed)
    return SelectionProblem(
        name="crowd",
        devices=(Device(name="here"),),
        categories=(Category(name="chat"), Category(name="code")),
        experts=tuple(Expert(name=f"e{n}", device="here", latency_s={"chat": 1.0, "code": 1.0}) for n in range(5)),
        prompts=tuple(
            Prompt(name=f"p{i}", category=("chat", "code")[i % 2], weight=float(rng.uniform(0.2, 3.0)))
            for i in range(prompts)
        ),
        quality=Matrix(0.5 + spread * rng.uniform(-0.5, 0.5, (prompts, 5)) * np.linspace(0.2, 1.0, 5)),
        gate_scores=Matrix(rng.normal(size=(prompts, 5))),
        budgets=Budgets(experts=2),
        gate=gate,
    )


def gap_by_hand(first: np.ndarray, second: np.ndarray, weights: list[float]) -> tuple[float, float]:
    """Return the weighted mean of the differences and its standard error, one prompt after the other."""
    shares = [weight / math.fsum(weights) for weight in weights]
    pairs = list(zip(shares, (first - second).tolist(), strict=True))
    mean = math.fsum(w * d for w, d in pairs)
    return mean, math.sqrt(len(pairs) / (len(pairs) - 1) * math.fsum(w * w * (d - mean) ** 2 for w, d in pairs))


def test_with_equal_weights_the_error_is_that_of_a_mean() -> None:
    """For equal weights the formula is the standard deviation over the root of the number."""
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=30), rng.normal(size=30)
    gap = paired(first, second, np.full(30, 1.0 / 30.0))
    differences = (first - second).tolist()
    assert gap.difference == pytest.approx(statistics.fmean(differences))
    assert gap.standard_error == pytest.approx(statistics.stdev(differences) / math.sqrt(30))
    assert gap.tied == (abs(statistics.fmean(differences)) <= Z * statistics.stdev(differences) / math.sqrt(30))


def test_the_error_covers_the_truth_as_often_as_it_says() -> None:
    """Over many drawn samples with unequal weights, about 95 % of the intervals hold the true difference."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        weights = rng.uniform(0.5, 2.0, 200)
        first, second = rng.normal(0.3, 1.0, 200), rng.normal(0.0, 1.0, 200)
        gap = paired(first, second, weights / weights.sum())
        assert gap.standard_error is not None
        held += abs(gap.difference - 0.3) <= Z * gap.standard_error
    assert 0.92 * 400 <= held <= 0.98 * 400


def test_equal_answers_are_tied_and_one_prompt_says_nothing() -> None:
    """No difference at all is a tie; a single prompt has no standard error."""
    same = np.array([0.2, 0.7, 0.1])
    assert paired(same, same + 1e-15, np.full(3, 1 / 3), rounding=1e-9).tied is True
    gap = paired(same[:1], same[1:2], np.ones(1))
    assert (gap.standard_error, gap.tied) == (None, None)
    assert gap.difference == pytest.approx(-0.5)


@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(problem=selection_problems(gates=GATES, max_experts=4), data=st.data())
def test_the_values_of_prompts_are_those_of_the_decision(problem: Problem, data: st.DataObject) -> None:
    """Both ways to the value of each prompt agree, and their mean is the value of the evaluation."""
    assume(why_not_monotonic(problem) is None)
    names = [expert.name for expert in problem.experts]
    selected = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    decision = decode_selection(problem, selected)
    evaluation = evaluate(problem, decision)
    assume(not evaluation.violations)
    near = 1e-9 * scale_of(problem)
    quick, slow = Answers(problem).worth(selected), worth_of(problem, decision)
    assert quick == pytest.approx(slow, abs=near)
    assert float(weights_of(problem) @ slow) == pytest.approx(evaluation.value, abs=near)
    answering = {route.expert for route in decision.routes}
    assert set(Answers(problem).idle(selected)) == set(selected) - answering


@pytest.mark.parametrize("gate", GATES)
def test_ties_are_those_of_enumeration(gate: Gate) -> None:
    """Every selection that the formula ties with the best is found, and nothing else, when that is proven."""
    several = 0
    for seed, prompts in itertools.product(range(3), (12, 60)):
        problem = crowd(seed, prompts=prompts, gate=gate)
        found = tied_selections(problem)
        assert found.complete
        best = worth_of(problem, decode_selection(problem, found.best.selected))
        weights = [prompt.weight for prompt in problem.prompts]
        truth = {}
        for size in (1, 2):
            for chosen in itertools.combinations([expert.name for expert in problem.experts], size):
                other = worth_of(problem, decode_selection(problem, chosen))
                mean, error = gap_by_hand(best, other, weights)
                if chosen != found.best.selected and abs(mean) <= Z * error + 1e-12:
                    truth[chosen] = mean, error
        assert {item.selection.selected for item in found.tied} == set(truth)
        for item in found.tied:
            told = item.gap.difference, item.gap.standard_error
            assert told == pytest.approx(truth[item.selection.selected], abs=1e-9)
        members = [found.best.selected, *truth]
        assert found.contains == {
            name: held for name in (f"e{n}" for n in range(5)) if (held := sum(name in chosen for chosen in members))
        }
        assert set(found.sure) == {name for name, held in found.contains.items() if held == len(members)}
        shares = weights_of(problem)
        assert found.effective_prompts == pytest.approx(1.0 / float((shares**2).sum()))
        several += len(truth) > 1
    assert several


def test_ties_that_were_not_all_looked_at_are_not_called_complete() -> None:
    """With few selections looked at, or a search cut short, there may be more ties, and the answer says so."""
    problem = crowd(1, prompts=12, spread=0.1)
    whole = tied_selections(problem)
    assert len(whole.tied) > 3
    few = tied_selections(problem, count=3)
    assert not few.complete
    assert few.looked_at == 2
    assert few.bound is not None
    assert few.bound <= few.best.value + 1e-9
    assert not tied_selections(problem, how=How(limits=Limits(nodes=1))).complete


def test_ties_of_a_coupled_problem_use_the_routes_found() -> None:
    """Where an integer program is asked, the same ties are found as by the search."""
    problem = crowd(2, prompts=12)
    search, program = tied_selections(problem), tied_selections(problem, how=How(engine="highs"))
    assert program.best.value == pytest.approx(search.best.value)
    assert {item.selection.selected for item in program.tied} == {item.selection.selected for item in search.tied}


def test_one_prompt_is_too_few_for_ties() -> None:
    """A single prompt is refused by a sentence."""
    with pytest.raises(InputError, match="at least 2, to tell ties"):
        tied_selections(crowd(0, prompts=1))


def test_the_tied_gap_is_that_to_the_best_that_answers_otherwise() -> None:
    """The gap of the best decision is the least difference to a selection with other answers."""
    problem = crowd(3, prompts=40)
    decision = solve(problem, How()).decision
    gap = tied_gap(problem, decision)
    assert gap is not None
    best = worth_of(problem, decision)
    weights = [prompt.weight for prompt in problem.prompts]
    gaps = []
    for chosen in itertools.combinations([expert.name for expert in problem.experts], 2):
        other = worth_of(problem, decode_selection(problem, chosen))
        if (np.abs(other - best) > 1e-9).any():
            gaps.append(gap_by_hand(best, other, weights))
    assert (gap.difference, gap.standard_error) == pytest.approx(min(gaps))
    alone = SelectionProblem(
        name="alone",
        devices=problem.devices,
        categories=problem.categories,
        experts=problem.experts[:1],
        prompts=problem.prompts,
        quality=Matrix(problem.quality.array[:, :1]),
        budgets=Budgets(),
        gate="oracle",
    )
    assert tied_gap(alone, solve(alone, How()).decision) is None
