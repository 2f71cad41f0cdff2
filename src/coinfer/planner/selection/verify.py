"""Re-check a selection plan against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

from coinfer import jsonfile
from coinfer.errors import CertificateError, PlanMismatch
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.evaluate import Evaluation, evaluate
from coinfer.planner.agreement import MARGIN, same
from coinfer.planner.bound import Shown, closes, scale_of, shown_by
from coinfer.planner.claims import RECOMPUTED, Claim, Verification
from coinfer.planner.predict import deployments, predictions
from coinfer.planner.selection.document import SelectionPlan

EXCESS = 1e-7
"""How far, relative to the scale of the quality, a value may lie above its proof: shares of traffic may use 1e-9 more
of a budget than the proof allows, and a budget can be worth a hundred times itself."""


def verify(problem: SelectionProblem, plan: SelectionPlan) -> Verification:
    """Re-derive feasibility, objective, bound and predictions of ``plan`` from ``problem`` alone.

    Raises
    ------
    PlanMismatch
        If the plan was made for another problem.
    CertificateError
        With a sentence, at the first claim that is not true.
    """
    if plan.problem_sha256 != jsonfile.sha256(problem):
        raise PlanMismatch(f"the plan is for another problem: it was made for {plan.problem!r} with other content")
    evaluation = evaluate(problem, plan.decision)
    if evaluation.violations:
        raise CertificateError(f"feasibility: {evaluation.violations[0]}")
    certificate = plan.certificate
    same("certificate.value", certificate.value, evaluation.value)
    _check_figures(problem, plan, evaluation)
    claims = list(RECOMPUTED)
    bound, scale = None, scale_of(problem)
    shown = shown_by(problem, certificate)
    if shown is not None:
        if evaluation.value > shown.bound + EXCESS * scale:
            value = f"{evaluation.value!r} is more than the {shown.bound!r} that the proof allows any decision"
            raise CertificateError(f"certificate.value: {value}")
        bound = max(evaluation.value, shown.bound)
    claims.append(_check_bound(plan, bound, shown, scale))
    _check_wording(plan, scale)
    proven = bound is not None and closes(evaluation.value, bound, scale)
    return Verification(claims=tuple(claims), value=evaluation.value, bound=bound, proven=proven)


def _check_bound(plan: SelectionPlan, bound: float | None, shown: Shown | None, scale: float) -> Claim:
    """Compare the bound that the plan states with the one its proof shows."""
    certificate = plan.certificate
    stated = next((claim for claim in certificate.claims if claim.what == "bound"), None)
    if (certificate.verified_bound is None) != (bound is None):
        raise CertificateError("certificate.verified_bound: stands without a proof, or the proof without it")
    if bound is not None and certificate.verified_bound is not None:
        where = "" if shown is None else shown.where
        _no_stronger("certificate.verified_bound", certificate.verified_bound, bound, scale, where)
    if certificate.bound is not None and certificate.bound < certificate.value - MARGIN * scale:
        raise CertificateError(
            f"certificate.bound: {certificate.bound!r} is below the value {certificate.value!r} of the plan itself"
        )
    if stated is None or stated.standing == "claimed":
        return Claim(what="bound", standing="claimed", method=stated.method if stated else plan.engine)
    if bound is None or shown is None or certificate.bound is None:
        raise CertificateError("certificate.claims: the bound is called verified, but there is no proof of it")
    _no_stronger("certificate.bound", certificate.bound, bound, scale, shown.where)
    exactly = " exactly" if certificate.proof is not None else ""
    leaves = "the only leaf" if shown.leaves == 1 else f"every one of {shown.leaves} leaves"
    return Claim(what="bound", standing="verified", method=f"{leaves} re-computed{exactly}")


def _check_wording(plan: SelectionPlan, scale: float) -> None:
    """Check that status, limit and claims say what the numbers say."""
    certificate = plan.certificate
    if sorted(claim.what for claim in certificate.claims) != ["bound", "feasibility", "objective"]:
        raise CertificateError("certificate.claims: feasibility, objective and bound must each have one standing")
    closed = certificate.bound is not None and closes(certificate.value, certificate.bound, scale)
    if (certificate.status == "optimal") != closed:
        numbers = f"value {certificate.value!r} and bound {certificate.bound!r}"
        raise CertificateError(f"certificate.status: {certificate.status!r}, with {numbers}")
    if (certificate.limit is None) != closed:
        raise CertificateError(f"certificate.limit: {certificate.limit!r} does not go with {certificate.status!r}")


def _check_figures(problem: SelectionProblem, plan: SelectionPlan, evaluation: Evaluation) -> None:
    """Compare predictions, alternatives and deployments with what the problem says."""
    expected = predictions(problem, plan.decision, evaluation, None)
    if len(expected) != len(plan.predictions):
        raise CertificateError(f"predictions: expected {len(expected)} of them; found {len(plan.predictions)}")
    for i, (mine, theirs) in enumerate(zip(expected, plan.predictions, strict=True)):
        where = f"predictions[{i}]"
        key = (mine.quantity, mine.category, mine.device, mine.budget, mine.basis)
        if key != (theirs.quantity, theirs.category, theirs.device, theirs.budget, theirs.basis):
            raise CertificateError(f"{where}: it is not the prediction of {mine.quantity} that belongs here")
        same(f"{where}.value", theirs.value, mine.value)
        if (theirs.low is None) != (theirs.high is None):
            raise CertificateError(f"{where}: it has one end of an interval")
        if theirs.low is not None and theirs.high is not None and not theirs.low <= theirs.value <= theirs.high:
            raise CertificateError(f"{where}: {theirs.value!r} is not between {theirs.low!r} and {theirs.high!r}")
    for name, figure in (
        ("oracle", evaluation.oracle_value),
        ("category", evaluation.category_value),
        ("gate", evaluation.gate_value),
    ):
        if figure is None:
            continue
        if name not in plan.alternatives:
            raise CertificateError(f"alternatives.{name}: is missing")
        same(f"alternatives.{name}", plan.alternatives[name], figure)
    if plan.gate_report != problem.gate_report:
        raise CertificateError("gate_report: it is not the one of the problem")
    if plan.deployments != deployments(problem, plan.decision):
        raise CertificateError("deployments: they are not the selected experts with the endpoints of the problem")


def _no_stronger(where: str, stated: float, proven: float, scale: float, at: str) -> None:
    """Refuse a stated upper limit below the one that was proven."""
    if stated < proven - MARGIN * scale:
        raise CertificateError(f"{where}: the plan says {stated!r}; its proof shows no better than {proven!r}{at}")
