"""Re-check a split against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

import math

import msgspec

from coinfer import jsonfile
from coinfer.errors import CertificateError, PlanMismatch
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.evaluate import SplitFigures, evaluate
from coinfer.models.split.formulate import layered_path
from coinfer.planner.claims import Claim, Verification
from coinfer.planner.split.document import PATH_METHOD, RECOMPUTED_SPLIT, SplitPlan
from coinfer.planner.split.make import TOLERANCE
from coinfer.solver.certificate.path import check_path

MARGIN = 1e-9
"""Largest relative difference allowed between a figure in the plan and the same figure re-computed."""


def verify(problem: SplitProblem, plan: SplitPlan) -> Verification:
    """Re-derive feasibility, objective, figures and bound of ``plan`` from ``problem`` alone.

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
    if found.violations or found.figures is None:
        raise CertificateError(f"feasibility: {found.violations[0]}")
    certificate = plan.certificate
    _same("certificate.value", certificate.value, found.value)
    _check_figures(plan.figures, found.figures)
    shown = None
    if certificate.proof is not None:
        shown = check_path(layered_path(problem), certificate.proof)
        if found.value < shown * (1.0 - MARGIN):
            value = f"{found.value!r} is less than the {shown!r} that the proof allows any split"
            raise CertificateError(f"certificate.value: {value}")
    bound = None if shown is None else min(found.value, shown)
    claim = _check_bound(plan, bound)
    closed = certificate.bound is not None and _closed(certificate.value, certificate.bound)
    if sorted(each.what for each in certificate.claims) != ["bound", "feasibility", "objective"]:
        raise CertificateError("certificate.claims: feasibility, objective and bound must each have one standing")
    if (certificate.status == "optimal") != closed or (certificate.limit is None) != closed:
        numbers = f"value {certificate.value!r} and bound {certificate.bound!r}"
        raise CertificateError(
            f"certificate.status: {certificate.status!r}, limit {certificate.limit!r}, with {numbers}"
        )
    proven = bound is not None and _closed(found.value, bound)
    return Verification(claims=(*RECOMPUTED_SPLIT, claim), value=found.value, bound=bound, proven=proven)


def _closed(value: float, bound: float) -> bool:
    return value - bound <= TOLERANCE * value


def _check_bound(plan: SplitPlan, bound: float | None) -> Claim:
    """Compare the bounds that the plan states with the one its proof shows."""
    certificate = plan.certificate
    if (certificate.verified_bound is None) != (bound is None):
        raise CertificateError("certificate.verified_bound: stands without a proof, or the proof without it")
    if bound is not None and certificate.verified_bound is not None:
        _no_stronger("certificate.verified_bound", certificate.verified_bound, bound, certificate.value)
    if certificate.bound is not None and certificate.bound > certificate.value * (1.0 + MARGIN):
        raise CertificateError(f"certificate.bound: {certificate.bound!r} is above the value of the plan itself")
    stated = next((claim for claim in certificate.claims if claim.what == "bound"), None)
    if stated is None or stated.standing == "claimed":
        return Claim(what="bound", standing="claimed", method=plan.engine if stated is None else stated.method)
    if bound is None or certificate.bound is None:
        raise CertificateError("certificate.claims: the bound is called verified, but there is no proof of it")
    _no_stronger("certificate.bound", certificate.bound, bound, certificate.value)
    return Claim(what="bound", standing="verified", method=PATH_METHOD)


def _check_figures(stated: SplitFigures, derived: SplitFigures) -> None:
    for name, mine in msgspec.structs.asdict(derived).items():
        theirs = getattr(stated, name)
        if name != "use":
            _same(f"figures.{name}", theirs, mine)
            continue
        if [each.device for each in theirs] != [each.device for each in mine]:
            raise CertificateError("figures.use: not the devices of the decision, in their order")
        for place, (one, other) in enumerate(zip(theirs, mine, strict=True)):
            for field in ("layers", "weights_bytes", "kv_bytes", "busy_s"):
                _same(f"figures.use[{place}].{field}", getattr(one, field), getattr(other, field))


def _same(where: str, stated: float | None, derived: float | None) -> None:
    if (stated is None) != (derived is None):
        raise CertificateError(f"{where}: the plan says {stated}; re-computed it is {derived}")
    if stated is not None and derived is not None and not math.isclose(stated, derived, rel_tol=MARGIN, abs_tol=1e-300):
        raise CertificateError(f"{where}: the plan says {stated!r}; re-computed from the problem it is {derived!r}")


def _no_stronger(where: str, stated: float, proven: float, scale: float) -> None:
    """Refuse a stated lower limit above the one that was proven."""
    if stated > proven + MARGIN * scale:
        raise CertificateError(f"{where}: the plan says {stated!r}; its proof shows no better than {proven!r}")
