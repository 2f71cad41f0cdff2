"""Re-check a placement against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

import math

import msgspec

from coinfer import jsonfile
from coinfer.errors import CertificateError, PlanMismatch
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import PlacementScores, copies, evaluate, scores
from coinfer.models.placement.formulate import contiguous
from coinfer.planner.claims import Claim, Verification
from coinfer.planner.placement.bound import TOLERANCE, Shown, shown_by
from coinfer.planner.placement.document import RECOMPUTED_PLACEMENT, PlacementPlan

TINY = 1e-300
MARGIN = 1e-9
"""Largest relative difference allowed between a figure in the plan and the same figure re-computed."""


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
    _same("certificate.value", certificate.value, found.value)
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
    claim = _check_bound(plan, bound, shown)
    _check_wording(plan)
    proven = bound is not None and _closed(found.value, bound)
    return Verification(claims=(*RECOMPUTED_PLACEMENT, claim), value=found.value, bound=bound, proven=proven)


def _closed(value: float, bound: float) -> bool:
    return value - bound <= TOLERANCE * value


def _check_bound(plan: PlacementPlan, bound: float | None, shown: Shown | None) -> Claim:
    """Compare the bound that the plan states with the one its proof shows."""
    certificate = plan.certificate
    stated = next((claim for claim in certificate.claims if claim.what == "bound"), None)
    if (certificate.verified_bound is None) != (bound is None):
        raise CertificateError("certificate.verified_bound: stands without a proof, or the proof without it")
    if bound is not None and certificate.verified_bound is not None:
        _no_stronger("certificate.verified_bound", certificate.verified_bound, bound, certificate.value)
    if certificate.bound is not None and certificate.bound > certificate.value * (1.0 + MARGIN):
        raise CertificateError(
            f"certificate.bound: {certificate.bound!r} is above the value {certificate.value!r} of the plan itself"
        )
    if stated is None or stated.standing == "claimed":
        return Claim(what="bound", standing="claimed", method=stated.method if stated else plan.engine)
    if bound is None or shown is None or certificate.bound is None:
        raise CertificateError("certificate.claims: the bound is called verified, but there is no proof of it")
    _no_stronger("certificate.bound", certificate.bound, bound, certificate.value)
    return Claim(what="bound", standing="verified", method=shown.method)


def _check_wording(plan: PlacementPlan) -> None:
    """Check that status, limit and claims say what the numbers say."""
    certificate = plan.certificate
    if sorted(claim.what for claim in certificate.claims) != ["bound", "feasibility", "objective"]:
        raise CertificateError("certificate.claims: feasibility, objective and bound must each have one standing")
    closed = certificate.bound is not None and _closed(certificate.value, certificate.bound)
    if (certificate.status == "optimal") != closed:
        numbers = f"value {certificate.value!r} and bound {certificate.bound!r}"
        raise CertificateError(f"certificate.status: {certificate.status!r}, with {numbers}")
    if (certificate.limit is None) != closed:
        raise CertificateError(f"certificate.limit: {certificate.limit!r} does not go with {certificate.status!r}")


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
                _same(f"{where}.{name}", one, other)


def _same(where: str, stated: float, derived: float) -> None:
    if not math.isclose(stated, derived, rel_tol=MARGIN, abs_tol=TINY):
        raise CertificateError(f"{where}: the plan says {stated!r}; re-computed from the problem it is {derived!r}")


def _no_stronger(where: str, stated: float, proven: float, scale: float) -> None:
    """Refuse a stated lower limit above the one that was proven."""
    if stated > proven + MARGIN * scale:
        raise CertificateError(f"{where}: the plan says {stated!r}; its proof shows no better than {proven!r}")
