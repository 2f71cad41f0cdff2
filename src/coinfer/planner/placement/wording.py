"""Sentences about placements, used by the command line and the page alike."""

from __future__ import annotations

from coinfer.models.placement.data import PlacementProblem
from coinfer.planner.claims import Verification
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.units import count, digits, percent
from coinfer.solver.certificate.levels import LevelProof

WORTH = {
    "transitions": "mean cost of a transition",
    "fan_out": "devices per token and layer",
    "imbalance": "mean imbalance",
}


def worth(problem: PlacementProblem) -> str:
    """Say what the objective is; a plain share where every move costs 1."""
    plain = problem.link_cost is None and problem.cost_matrix is None
    moving = problem.running is not None and problem.running.migration_cost > 0.0
    if problem.objective == "transitions" and plain and problem.shrinkage is None and not moving:
        return "share of transitions that change device"
    return WORTH[problem.objective] + (" (counts shrunk)" if problem.shrinkage is not None else "")


def gap(plan: PlacementPlan) -> float | None:
    """Return by how much of its value the objective could fall at most; ``None`` without a bound."""
    certificate = plan.certificate
    if certificate.bound is None:
        return None
    return 0.0 if certificate.value <= 0.0 else max(0.0, 1.0 - certificate.bound / certificate.value)


def sentence(plan: PlacementPlan, problem: PlacementProblem) -> str:
    """Say in one sentence what a plan does and how good it is."""
    certificate = plan.certificate
    standing = next(claim.standing for claim in certificate.claims if claim.what == "bound")
    left = gap(plan)
    if certificate.status == "optimal":
        how = "proven optimal" if standing == "verified" else "optimal as the engine claims"
    elif left is None:
        how = "with no bound on what is possible"
    else:
        verb = "proven" if standing == "verified" else "claimed"
        how = f"{verb} to be within {percent(left)} of the best possible"
    replicas = f" and {count(problem.replicas, 'replica')} a layer" if problem.replicas else ""
    return (
        f"{count(problem.layers, 'layer')} of {count(problem.experts, 'expert')}{replicas} on "
        f"{count(len(problem.devices), 'device')}: {worth(problem)} {digits(certificate.value, 4)}, {how}."
    )


def evidence(plan: PlacementPlan) -> str:
    """Say what kind of proof a plan carries."""
    proof = plan.certificate.proof
    claim = next(claim for claim in plan.certificate.claims if claim.what == "bound")
    if claim.standing == "claimed" and proof is None:
        return f"No proof is with it: the bound is what {plan.engine} claims."
    levels = f" at {count(len(proof.levels), 'level')} of the topology" if isinstance(proof, LevelProof) else ""
    return f"The bound stands by {claim.method}{levels}."


def ended(limit: str) -> str:
    """Say what ended a search."""
    told = {"interrupt": "The search was interrupted.", "gap": "The search ended at the gap asked for."}
    return told.get(limit, f"The search ended at its {limit} limit.")


def holds(checked: Verification, problem: PlacementProblem) -> str:
    """Say what a verification found."""
    value = f"{worth(problem)} {checked.value:.9g}"
    if checked.proven:
        return f"Proven: {value} is optimal."
    if checked.bound is None:
        return f"Holds: {value}; the plan carries no proof of a bound."
    return f"Holds: {value}; the proof shows that nothing is below {checked.bound:.9g}."
