"""From plans to sessions: what cannot be run is said before anything is asked."""

from __future__ import annotations

import msgspec
import pytest

from coinfer.errors import InputError
from coinfer.executor.strategies.menu import Stratum, menu
from coinfer.executor.strategies.strategy import Prior, Prompt
from coinfer.executor.strategies.votes import SelfConsistency
from coinfer.executor.strategies.work import planned_work
from coinfer.models.budget.decision import BudgetDecision
from coinfer.records import Matrix

PRIOR = Prior(prompt_tokens=10, output_tokens=5, max_tokens=64, answers=(0.5, 0.3), rate={"answer": 0.5})
PROMPTS = [Prompt(id=f"p{i}", text="2+2=", max_tokens=64, temperature=0.8) for i in range(3)]


@pytest.mark.parametrize(
    ("strategy", "settings", "sentence"),
    [
        ("self_consistency", {"samples": 0.5}, r"p0, self_consistency.*settings\.samples"),
        ("self_consistency", {}, r"p0, self_consistency.*settings\.samples"),
        ("adaptive_consistency", {"samples": 8.0, "threshold": 0.5, "dirichlet": 0.0}, r"a number above 0\.5"),
    ],
)
def test_a_plan_that_cannot_be_run_is_a_sentence(strategy: str, settings: dict[str, float], sentence: str) -> None:
    """Settings that were changed or lost are named with the prompt and the option."""
    strata = [Stratum(name="all", prompts=3, priors=(PRIOR,))]
    problem = menu("a", strata, [SelfConsistency()], offers={"answer": frozenset({"completions"})}).problem
    column = msgspec.structs.replace(problem.options[0], strategy=strategy, settings=settings)
    edited = msgspec.structs.replace(problem, options=(column, *problem.options[1:]))
    decision = BudgetDecision(taken=Matrix([[0, 0, 3]]))
    stratum_of = {prompt.id: "all" for prompt in PROMPTS}
    assert len(planned_work(problem, decision, PROMPTS, stratum_of)) == 3
    with pytest.raises(InputError, match=sentence):
        planned_work(edited, decision, PROMPTS, stratum_of)
