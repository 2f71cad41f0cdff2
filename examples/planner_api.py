"""State a problem in Python: two models on one Jetson, one in the cloud, under a latency promise and an energy budget.

python examples/planner_api.py
"""

from __future__ import annotations

from coinfer import Budgets, Category, Device, Expert, Infeasible, Matrix, Prompt, SelectionProblem, plan, verify

CATEGORIES = ("chat", "code")


def problem(energy_j: float) -> SelectionProblem:
    """Return the problem with an energy budget per request."""

    def expert(name: str, device: str, seconds: float, joules: float, gigabytes: int, network_s: float = 0.0) -> Expert:
        return Expert(
            name=name,
            device=device,
            latency_s=dict.fromkeys(CATEGORIES, seconds),
            transmission_s=network_s,
            energy_j=dict.fromkeys(CATEGORIES, joules),
            energy_basis="measured",
            memory_bytes=gigabytes * 10**9,
        )

    return SelectionProblem(
        name=f"edge and cloud at {energy_j:g} J",
        devices=(Device(name="jetson", memory_bytes=12 * 10**9), Device(name="cloud", memory_bytes=80 * 10**9)),
        categories=(Category(name="chat", latency_budget_s=3.0), Category(name="code")),
        experts=(
            expert("small", "jetson", 1.2, 30.0, 4),
            expert("medium", "jetson", 2.8, 75.0, 8),
            expert("large", "cloud", 1.5, 900.0, 60, network_s=0.3),
        ),
        prompts=(Prompt(name="chat", category="chat", weight=4.0), Prompt(name="code", category="code")),
        quality=Matrix([[0.55, 0.71, 0.90], [0.20, 0.48, 0.85]]),
        budgets=Budgets(energy_j=energy_j),
        gate="category",
    )


for budget_j in (20.0, 40.0, 100.0, 250.0, 1000.0):
    stated = problem(budget_j)
    try:
        made = plan(stated)
    except Infeasible as error:
        print(f"{budget_j:6g} J: {error}")
        continue
    shares = ", ".join(f"{route.category} {route.fraction:.0%} {route.expert}" for route in made.decision.routes)
    proven = "proven" if verify(stated, made).proven else "not proven"
    print(f"{budget_j:6g} J: quality {made.certificate.value:.4f} ({proven}): {shares}")
