"""Sentences about splits, used by the command line."""

from __future__ import annotations

from coinfer.models.split.data import SplitProblem
from coinfer.planner.claims import Verification
from coinfer.planner.split.document import SplitPlan
from coinfer.planner.units import amount, count, percent

WORTH = {
    "tpot": "time for each token",
    "request": "time for a request",
    "bottleneck": "longest busy time for a token",
}


def sentence(plan: SplitPlan, problem: SplitProblem) -> str:
    """Say in one sentence what a plan does and how good it is."""
    certificate = plan.certificate
    standing = next(claim.standing for claim in certificate.claims if claim.what == "bound")
    if certificate.status == "optimal":
        how = "proven optimal" if standing == "verified" else "optimal as the engine claims"
    elif certificate.bound is None:
        how = "with no bound on what is possible"
    else:
        left = 1.0 - certificate.bound / certificate.value
        verb = "proven" if standing == "verified" else "claimed"
        how = f"{verb} to be within {percent(left)} of the best possible"
    used = len(plan.figures.use)
    return (
        f"{count(problem.layer_count, 'layer')} on {used} of {count(len(problem.devices), 'device')}: "
        f"{WORTH[problem.objective]} {amount(certificate.value, 's')}, {how}."
    )


def holds(checked: Verification, problem: SplitProblem) -> str:
    """Say what a verification found."""
    value = f"{WORTH[problem.objective]} {checked.value:.9g} s"
    if checked.proven:
        return f"Proven: {value} is optimal."
    if checked.bound is None:
        return f"Holds: {value}; the plan carries no proof of a bound."
    return f"Holds: {value}; the proof shows that nothing is below {checked.bound:.9g} s."
