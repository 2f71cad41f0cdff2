"""The program of a split problem says what the problem says."""

from __future__ import annotations

import math
from itertools import islice

import msgspec
import pytest

from coinfer.models.split.data import SplitProblem
from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.evaluate import evaluate
from coinfer.models.split.formulate import decision_of, layered_path, path_of
from coinfer.models.split.parts import SplitBudgets
from coinfer.models.split.trip import misfits
from coinfer.testing.split import every_decision, random_split


def _agree(problem: SplitProblem, decisions: list[SplitDecision]) -> int:
    program, feasible = layered_path(problem), 0
    for decision in decisions:
        if any(True for _ in misfits(problem, decision)):
            assert program.broken(path_of(problem, decision)) is not None
            continue
        path = path_of(problem, decision)
        assert decision_of(problem, path) == decision
        judged = evaluate(problem, decision)
        assert math.isclose(program.value(path), judged.value, rel_tol=1e-12), decision
        assert (program.broken(path) is None) == (not judged.violations), (decision, judged.violations)
        feasible += not judged.violations
    return feasible


class TestProgram:
    """Against the sums of the problem itself."""

    @pytest.mark.parametrize("objective", ["tpot", "request", "bottleneck"])
    @pytest.mark.parametrize("order", ["listed", "free"])
    @pytest.mark.parametrize("running", [False, True])
    def test_value_and_limits_are_those_of_the_problem(self, objective: str, order: str, running: bool) -> None:
        """Every decision of a small problem has the same value, and breaks a limit in the program and outside alike."""
        feasible = broken = 0
        for seed in range(6):
            problem = random_split(
                seed, objective=objective, order=order, running=running and objective != "bottleneck"
            )
            decisions = list(islice(every_decision(problem), 0, None, 7))
            found = _agree(problem, decisions)
            feasible, broken = feasible + found, broken + len(decisions) - found
        assert feasible > 20
        assert broken > 20

    def test_a_budget_that_the_exits_alone_pass_leaves_nothing(self) -> None:
        """No decision is feasible where exits lose more quality than the budget allows, in the program as outside."""
        problem = random_split(3)
        small = msgspec.structs.replace(problem, budgets=SplitBudgets(quality_loss=1e-6))
        program = layered_path(small)
        for decision in islice(every_decision(small), 0, None, 5):
            assert program.broken(path_of(small, decision)) is not None
            assert evaluate(small, decision).violations
