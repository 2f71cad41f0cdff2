"""The example problems and the one printed in the documentation: read, solved, and as good as they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection import decode, evaluate, explain_infeasible, formulate
from coinfer.models.selection.data import SCORED, Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.monotonic import monotonic_program
from coinfer.solver import mip
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.result import Status
from coinfer.testing.selection import enumerate_optimum

ROOT = Path(__file__).parents[2]
PROBLEMS = sorted(path for path in (ROOT / "examples/problems").glob("*.json") if ".optimum" not in path.name)


@pytest.mark.parametrize("path", PROBLEMS, ids=[path.stem for path in PROBLEMS])
def test_each_example_has_its_optimum(path: Path) -> None:
    """The optimum beside the problem is what an engine finds and what the evaluation confirms."""
    problem = read_problem(path)
    stated = json.loads(path.with_suffix(".optimum.json").read_text(encoding="utf-8"))
    if problem.gate in SCORED:  # no integer program has these
        found = maximise(monotonic_program(problem))
        assert found.incumbent is not None
        _check(problem, stated, decode_selection(problem, _names(problem, found.incumbent)))
        return
    result = mip.solve(formulate(problem))
    if stated["status"] == "infeasible":
        assert result.status is Status.INFEASIBLE
        assert explain_infeasible(problem)
        return
    assert result.incumbent is not None
    _check(problem, stated, decode(problem, result.incumbent))


def _names(problem: Problem, point: NDArray[np.int64]) -> list[str]:
    return [expert.name for expert, on in zip(problem.experts, point.tolist(), strict=True) if on]


def _check(problem: Problem, stated: dict[str, Any], decision: SelectionDecision) -> None:
    """Compare a decision with what stands beside the problem."""
    evaluation = evaluate(problem, decision)
    assert evaluation.violations == ()
    assert evaluation.value == pytest.approx(stated["value"], abs=1e-9)
    assert sorted(decision.selected) == sorted(stated["selected"])


def test_one_more_expert_lowers_the_value_behind_a_deployed_gate() -> None:
    """What the example says of itself: with 'boaster' too, every limit is kept, the oracle gains, the gate loses."""
    problem = read_problem(ROOT / "examples/problems/deployed_gate_softmax.json")
    best = ("talker", "coder", "giant")
    without = evaluate(problem, decode_selection(problem, best))
    beside = evaluate(problem, decode_selection(problem, (*best, "boaster")))
    assert beside.violations == ()
    assert beside.value < without.value - 0.08
    assert beside.oracle_value >= without.oracle_value


@pytest.mark.parametrize(
    "name",
    [
        "cost_of_pass",
        "coupled_energy_split",
        "deployed_gate_softmax",
        "edge_latency_ensemble",
        "idle_power_consolidation",
        "two_experts_memory",
    ],
)
def test_small_examples_agree_with_enumeration(name: str) -> None:
    """On examples small enough to look at every selection, the stated value is the best of all."""
    problem = read_problem(ROOT / f"examples/problems/{name}.json")
    stated = json.loads((ROOT / f"examples/problems/{name}.optimum.json").read_text(encoding="utf-8"))
    assert enumerate_optimum(problem) == pytest.approx(stated["value"], abs=1e-9)


def test_the_page_on_problem_files_prints_a_problem(load: Callable[[Any], Problem]) -> None:
    """The example of docs/problem-file.md is read as it stands, and has a solution."""
    page = (ROOT / "docs/problem-file.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 1
    problem = load(blocks[0])
    assert mip.solve(formulate(problem)).status is Status.OPTIMAL


@pytest.mark.parametrize("page", ["problem-file.md", "formulations.md"])
def test_the_pages_name_every_field(page: str) -> None:
    """Each field that decides something has its place in the documentation, with the name it has in the file."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    kinds = (SelectionProblem, Device, Category, Expert, Prompt, Budgets)
    fields = {name for kind in kinds for name in kind.__struct_fields__}
    if page == "formulations.md":  # words about the problem are no part of the mathematics
        fields -= {"name", "description", "source", "endpoint", "energy_basis", "latency_statistic", "gate_report"}
    missing = sorted(name for name in fields if f"`{name}`" not in text)
    assert not missing
