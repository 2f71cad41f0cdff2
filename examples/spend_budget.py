"""Spend one budget on many prompts: what a label is worth, a plan with its proof, and prompts kept to it online.

python examples/spend_budget.py
"""

from __future__ import annotations

import msgspec
import numpy as np

from coinfer import plan, verify
from coinfer.models.budget.difficulty.menus import stratum_problem
from coinfer.models.budget.difficulty.strata import by_label
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Budget
from coinfer.planner.budget.replay import replay

RATES = {"easy": (0.55, 0.85), "medium": (0.15, 0.45), "hard": (0.01, 0.12)}
"""Chance of one right sample: of the small model, and of the large one."""


def recorded(prompts: int, seed: int) -> Outcomes:
    """Return outcomes as a log would have them: ten samples of two models on labelled prompts."""
    random = np.random.default_rng(seed)
    labels = tuple(random.choice(list(RATES), size=prompts).tolist())
    rate = np.array([RATES[label] for label in labels]) * random.uniform(0.5, 1.5, size=(prompts, 1))
    samples = np.full((prompts, 2), 10)
    return Outcomes(
        prompts=tuple(f"prompt {i}" for i in range(prompts)),
        arms=("small", "large"),
        successes=random.binomial(samples, np.clip(rate, 0.0, 1.0)),
        samples=samples,
        resources=("usd",),
        sample_cost=np.broadcast_to([0.001, 0.012], (1, prompts, 2)),
        labels=labels,
    )


calibration, workload = recorded(600, seed=0), recorded(600, seed=1)
problem = stratum_problem(
    calibration,
    by_label(calibration),
    [1, 2, 4, 8],
    name="labelled prompts",
    budgets=(Budget(resource="usd", limit=4.0),),
)
for limit in (1.0, 4.0, 16.0):
    asked = msgspec.structs.replace(problem, budgets=(Budget(resource="usd", limit=limit),))
    made = plan(asked)
    alike = next(other for other in made.alternatives if other.what == "same_budgets")
    assert verify(asked, made).proven
    print(
        f"${limit:5.2f}: {made.mean_value:.3f} right with labels, {alike.value / asked.prompts:.3f} without, "
        f"{made.certificate.status}, price {made.spend[0].price:.3g} right answers per dollar"
    )

kept = replay(problem, workload)
print(
    f"Online, new prompts: {kept.value:.3f} right where {kept.predicted:.3f} was promised, "
    f"${kept.spent[0]:.4f} of ${kept.caps[0]:.2f} spent, {kept.refused} refused"
)
