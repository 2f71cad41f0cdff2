"""The example problems and the one printed in the documentation: read, solved, and as good as they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection import decode, evaluate, explain_infeasible, formulate
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.solver import mip
from coinfer.solver.result import Status
from coinfer.testing.selection import enumerate_optimum

ROOT = Path(__file__).parents[2]
PROBLEMS = sorted(path for path in (ROOT / "examples/problems").glob("*.json") if ".optimum" not in path.name)


@pytest.mark.parametrize("path", PROBLEMS, ids=[path.stem for path in PROBLEMS])
def test_each_example_has_its_optimum(path: Path) -> None:
    """The optimum beside the problem is what an engine finds and what the evaluation confirms."""
    problem = read_problem(path)
    stated = json.loads(path.with_suffix(".optimum.json").read_text(encoding="utf-8"))
    result = mip.solve(formulate(problem))
    if stated["status"] == "infeasible":
        assert result.status is Status.INFEASIBLE
        assert explain_infeasible(problem)
        return
    assert result.incumbent is not None
    decision = decode(problem, result.incumbent)
    evaluation = evaluate(problem, decision)
    assert evaluation.violations == ()
    assert evaluation.value == pytest.approx(stated["value"], abs=1e-9)
    assert sorted(decision.selected) == sorted(stated["selected"])


@pytest.mark.parametrize(
    "name", ["coupled_energy_split", "edge_latency_ensemble", "idle_power_consolidation", "two_experts_memory"]
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
        fields -= {"name", "description", "source", "endpoint", "energy_basis", "latency_statistic"}
    missing = sorted(name for name in fields if f"`{name}`" not in text)
    assert not missing
