"""Steps that are judged by the prices of a plan."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from coinfer.cli import main
from coinfer.errors import PlanMismatch
from coinfer.executor.budget import Amount
from coinfer.executor.request import read_requests
from coinfer.executor.strategies.endpoints import read_endpoints
from coinfer.executor.strategies.live import run_plan
from coinfer.executor.strategies.menu import Stratum, menu
from coinfer.executor.strategies.prices import cost_by, plan_prices, typical_tokens
from coinfer.executor.strategies.strategy import Prior
from coinfer.executor.strategies.votes import AdaptiveConsistency, SelfConsistency
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.parts import Budget
from coinfer.models.problem import read_problem_of
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.budget.make import plan
from coinfer.planner.plan import read_plan
from coinfer.zoo import tasks


def test_a_cost_is_what_a_call_takes_at_its_prices() -> None:
    """Tokens, calls and money are added up at their prices; what has none is free."""
    taken = Amount(calls=2, tokens=30, prompt_tokens=500, usd=0.5)
    assert cost_by({"tokens": 0.1, "completions": 1.0, "usd": 4.0})(taken) == pytest.approx(3.0 + 2.0 + 2.0)
    assert cost_by({"usd": 4.0})(taken) == pytest.approx(2.0)
    assert cost_by({})(taken) == 0.0


def test_prices_are_those_of_the_plan_and_a_completion_is_as_long_as_its_menu_says() -> None:
    """A budget that binds has a price on its resource; the typical completion is the prior's."""
    prior = Prior(prompt_tokens=10, output_tokens=20, max_tokens=40, answers=(0.6, 0.3))
    strata = [Stratum(name="s", prompts=50, priors=(prior,))]
    offers = {"answer": frozenset({"completions"})}
    budgets = (Budget(resource="tokens", limit=50 * 90.0),)
    problem = menu("m", strata, [SelfConsistency(), AdaptiveConsistency()], offers=offers, budgets=budgets).problem  # type: ignore[arg-type]
    made = plan(problem)
    prices = plan_prices(made, problem)
    assert set(prices) == {"tokens"}
    assert prices["tokens"] > 0.0
    assert typical_tokens(problem, made)["answer"] == pytest.approx(20.0)


def test_a_run_by_price_takes_fewer_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same plan run with the plan's prices leaves batches that gain too little; the journals do not mix."""
    random = np.random.default_rng(3)
    for name, count in (("pilot", 8), ("new", 30)):
        rows = [
            {"id": f"{name}{i}", "prompt": task.prompt, "category": "mod", "max_tokens": 9, "checker": "task"}
            for i, task in enumerate(tasks.sample_tasks(random, count=count, categories=("mod",)))
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    role = {"endpoint": {"backend": "transformers", "model": "zoo:generalist-tiny"}}
    ends, problem, made = (str(tmp_path / name) for name in ("ends.json", "problem.json", "plan.json"))
    Path(ends).write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": {"answer": role}}))
    pilot = ["pilot", str(tmp_path / "pilot.jsonl"), "--endpoints", ends, "--strategies"]
    pilot += ["adaptive_consistency", "--samples", "8"]
    assert main([*pilot, "-o", problem]) == 0
    assert main(["plan", problem, "-o", made]) == 0
    run = ["run", made, str(tmp_path / "new.jsonl"), "--problem", problem, "--endpoints", ends, "--stop-by-price"]
    capsys.readouterr()
    assert main(run) == 2
    assert "a plan with a price" in capsys.readouterr().err
    planned, asked = read_plan(Path(made)), read_requests(tmp_path / "new.jsonl")
    assert isinstance(planned, BudgetPlan)

    def tokens(journal: str, prices: dict[str, float] | None) -> int:
        done = run_plan(
            read_problem_of(Path(problem), BudgetProblem),
            planned.decision,
            asked,
            read_endpoints(ends),
            journal_path=tmp_path / journal,
            prices=prices,
        )
        return asyncio.run(done).spent.tokens

    free = tokens("a", None)
    nearly = tokens("b", {"tokens": 1e-9})  # votes that can no longer change the leader are left all the same
    assert 0.9 * free <= nearly <= free
    assert tokens("c", {"tokens": 0.05}) < nearly
    with pytest.raises(PlanMismatch, match="other prices"):
        tokens("a", {"tokens": 0.05})
