"""Re-check a placement against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

import msgspec

from coinfer import jsonfile
from coinfer.errors import CertificateError, PlanMismatch
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import PlacementScores, copies, evaluate, scores
from coinfer.models.placement.formulate import contiguous
from coinfer.planner.agreement import MARGIN, check_lower_bound, closed, same
from coinfer.planner.claims import Verification
from coinfer.planner.placement.bound import shown_by
from coinfer.planner.placement.document import RECOMPUTED_PLACEMENT, PlacementPlan


def verify(problem: PlacementProblem, plan: PlacementPlan) -> Verification:
    """Re-derive feasibility, objective, scores and bound of ``plan`` from ``problem`` alone.

    Raises
    ------
    PlanMismatch
        If the plan was made for another problem.
    CertificateError
        With a sentence, at the first claim that is not true.
    """
    if plan.problem_sha256 != jsonfile.sha256(problem):
        raise PlanMismatch(f"the plan is for another problem: it was made for {plan.problem!r} with other content")
    found = evaluate(problem, plan.decision)
    if found.violations:
        raise CertificateError(f"feasibility: {found.violations[0]}")
    certificate = plan.certificate
    same("certificate.value", certificate.value, found.value)
    _check_scores("fit", plan.fit, found.fit)
    _check_scores("heldout", plan.heldout, found.heldout)
    plain = copies(problem, PlacementDecision(slots=contiguous(problem)))
    _check_scores("contiguous_fit", plan.contiguous_fit, scores(problem, plain, tokens=problem))
    held = None if problem.heldout is None else scores(problem, plain, tokens=problem.heldout)
    _check_scores("contiguous_heldout", plan.contiguous_heldout, held)
    if plan.moved != found.moved:
        raise CertificateError(f"moved: the plan says {plan.moved}; re-computed it is {found.moved}")
    shown = shown_by(problem, certificate.proof)
    if shown is not None and found.value < shown.bound * (1.0 - MARGIN):
        value = f"{found.value!r} is less than the {shown.bound!r} that the proof allows any placement"
        raise CertificateError(f"certificate.value: {value}")
    bound = None if shown is None else min(found.value, shown.bound)
    method = "" if shown is None else shown.method
    claim = check_lower_bound(certificate, bound, method=method, engine=plan.engine)
    proven = bound is not None and closed(found.value, bound)
    return Verification(claims=(*RECOMPUTED_PLACEMENT, claim), value=found.value, bound=bound, proven=proven)


def _check_scores(where: str, stated: PlacementScores | None, derived: PlacementScores | None) -> None:
    """Compare every figure of the scores."""
    if (stated is None) != (derived is None):
        raise CertificateError(f"{where}: expected exactly when the problem has held-out tokens")
    if stated is None or derived is None:
        return
    for name, mine in msgspec.structs.asdict(derived).items():
        theirs = getattr(stated, name)
        pairs = zip(theirs, mine, strict=False) if isinstance(mine, tuple) else [(theirs, mine)]
        if isinstance(mine, tuple) and len(mine) != len(theirs):
            raise CertificateError(f"{where}.{name}: expected {len(mine)} numbers; found {len(theirs)}")
        for one, other in pairs:
            if (one is None) != (other is None):
                raise CertificateError(f"{where}.{name}: the plan says {one}; re-computed it is {other}")
            if one is not None:
                same(f"{where}.{name}", one, other)
