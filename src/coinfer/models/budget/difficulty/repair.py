"""A second try or a repair: which of both, where the first try failed."""

from __future__ import annotations

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.difficulty.measured import option_values
from coinfer.models.budget.difficulty.menus import NOTHING, assembled, stratum_cost
from coinfer.models.budget.difficulty.shrink import Shrinkage, stratum_values
from coinfer.models.budget.difficulty.strata import Partition
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Budget, Option
from coinfer.solver.program import FloatArray, IntArray


def repair_table(generation: Outcomes, repair: Outcomes, arm: str) -> tuple[FloatArray, FloatArray]:
    """Return values and calls, (prompts, 3) each, of one try, of a second try, and of a repair of a failed first try.

    Parameters
    ----------
    generation
        First tries.
    repair
        The same prompts after one repair of each failed first try: its successes are those of both together.
    arm
        Name of the model, in both.

    Notes
    -----
    A second call, be it a new sample or a repair, is made only where the first try failed: both take
    ``1 + (1 - p)`` calls for a prompt with rate p.
    """
    if generation.prompts != repair.prompts:
        raise ProblemError("repair.prompts", expected="the prompts of the generation", found=Plain("others"))
    for name, outcomes in (("generation", generation), ("repair", repair)):
        if arm not in outcomes.arms:
            raise ProblemError(f"{name}.arms", expected=f"a model among {', '.join(outcomes.arms)}", found=arm)
    first, after = generation.arms.index(arm), repair.arms.index(arm)
    twice = option_values(generation, [(first, 1), (first, 2)])
    repaired = option_values(repair, [(after, 1)])
    second = 2.0 - twice[:, :1]
    calls = np.hstack([np.ones_like(second), second, second])
    return np.hstack([twice, repaired]), calls


def repair_problem(
    generation: Outcomes,
    repair: Outcomes,
    arm: str,
    partition: Partition,
    *,
    name: str,
    prompts: IntArray | None = None,
    budgets: tuple[Budget, ...] = (),
    shrinkage: Shrinkage | None = None,
) -> BudgetProblem:
    """Return the problem whose options are nothing, one try, a second try, or one repair of a failed first try.

    See :func:`repair_table`; the resource is ``requests``. Which of the last two is better depends on the difficulty:
    compare Snell et al. (arXiv 2408.03314), section 6.
    """
    table, calls = repair_table(generation, repair, arm)
    values = stratum_values(table, partition, shrinkage)
    options = (
        NOTHING,
        Option(name="single", model=arm, samples=1),
        Option(name="resample", strategy="stop_on_success", model=arm, samples=2),
        Option(name="repair", strategy="revise", model=arm, samples=2, settings={"sequential_ratio": 1.0}),
    )
    amounts = [stratum_cost(calls, partition, "requests")]
    return assembled(name, options, values.value, values.error, ("requests",), amounts, partition, prompts, budgets)
