"""What plan, verify and report say of costs, energies, deployed gates and floors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coinfer.cli import main
from coinfer.jsonfile import to_builtins
from coinfer.models.problem import read_problem
from coinfer.planner.units import count

PROBLEMS = Path(__file__).parents[2] / "examples/problems"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_cost_is_printed_as_a_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan says dollars per pass with the sign turned back, the quality beside it, and verify says the same."""
    problem, plan = PROBLEMS / "cost_of_pass.json", tmp_path / "plan.json"
    assert run("plan", problem, "-o", plan) == 0
    said = capsys.readouterr().out
    assert "$0.006744 per pass at mean quality 0.5750, proven optimal." in said
    assert "a lower limit, not a promise" in said
    assert "\N{MINUS SIGN}" not in said
    assert "-0.00" not in said

    assert run("verify", problem, plan) == 0
    assert "Proven: $0.00674352941 per pass is optimal." in capsys.readouterr().out
    assert run("verify", problem, plan, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["objective"] == "cost_of_pass"
    assert found["value"] == pytest.approx(-0.00674352941)


def test_the_gate_stands_beside_the_perfect_router(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With scores, plan and verify tell what the deployed gate reaches, and how many leaves of what proof there are."""
    problem, plan = PROBLEMS / "deployed_gate_softmax.json", tmp_path / "plan.json"
    assert run("plan", problem, "-o", plan) == 0
    said = " ".join(capsys.readouterr().out.split())
    nodes = json.loads(plan.read_text())["certificate"]["leaves"]["nodes"]
    leaves = count(sum(node["node"] == "box" for node in nodes), "leaf", "leaves").replace("\N{NO-BREAK SPACE}", " ")
    assert "perfect router would reach 0.8675" in said
    assert "Your gate (softmax) reaches 0.8082." in said
    assert f"The proof has {leaves} of a monotonic search" in said

    assert run("verify", problem, plan) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Your gate (softmax) reaches 0.8082." in said
    assert f"The proof has {leaves} of a monotonic search" in said


def test_a_floor_stands_among_the_budgets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Least energy with a floor: joules, the floor with what is above it, and no figure with a broken character."""
    data = to_builtins(read_problem(PROBLEMS / "idle_power_consolidation.json"))
    path, plan = tmp_path / "problem.json", tmp_path / "plan.json"
    path.write_text(json.dumps({**data, "objective": "energy_j", "quality_floor": 0.6, "budgets": {}}))
    assert run("plan", path, "-o", plan) == 0
    said = capsys.readouterr().out
    assert "J per request above idle at mean quality" in said
    (row,) = (line.split() for line in said.splitlines() if line.startswith("quality (least)"))
    value, floor, slack = map(float, row[-3:])
    assert floor == 0.6
    assert slack == pytest.approx(value - floor, abs=1e-4)
    assert "\N{REPLACEMENT CHARACTER}" not in said


def test_a_plan_without_proof_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a proof the bound is only the engine's word, and the output says whose."""
    assert run("plan", PROBLEMS / "two_experts_memory.json", "--no-proof") == 0
    assert "No proof is with it: the bound is what monotonic" in capsys.readouterr().out


def test_a_gap_of_a_cost_lies_above_the_least(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search that ended at the gap asked for says how far above the least possible its cost can be."""
    problem = PROBLEMS / "cost_of_pass.json"
    plan = tmp_path / "plan.json"
    assert run("plan", problem, "-o", plan) == 0
    data = json.loads(plan.read_text())
    bound = data["certificate"]["value"] + 0.001
    claims = [
        {**claim, "standing": "claimed"} if claim["what"] == "bound" else claim
        for claim in data["certificate"]["claims"]
    ]
    data["certificate"] |= {"bound": bound, "status": "feasible", "limit": "gap", "claims": claims}
    del data["certificate"]["leaves"], data["certificate"]["verified_bound"]
    plan.write_text(json.dumps(data))
    capsys.readouterr()
    assert run("verify", problem, plan) == 0
    assert "Holds: $0.00674352941 per pass; the plan carries no proof of a bound." in capsys.readouterr().out
    page = tmp_path / "report.html"
    assert run("report", problem, plan, "-o", page, "--front", 0) == 0
    assert "at most $0.0010 per pass above the least possible" in page.read_text()
