"""Re-check a split against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

import msgspec

from coinfer import jsonfile
from coinfer.errors import CertificateError, PlanMismatch
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.evaluate import SplitFigures, evaluate
from coinfer.models.split.formulate import layered_path
from coinfer.planner.agreement import MARGIN, check_lower_bound, closed, same, same_or_absent
from coinfer.planner.claims import Verification
from coinfer.planner.split.document import PATH_METHOD, RECOMPUTED_SPLIT, SplitPlan
from coinfer.solver.certificate.path import check_path


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
    same("certificate.value", certificate.value, found.value)
    _check_figures(plan.figures, found.figures)
    shown = None
    if certificate.proof is not None:
        shown = check_path(layered_path(problem), certificate.proof)
        if found.value < shown * (1.0 - MARGIN):
            value = f"{found.value!r} is less than the {shown!r} that the proof allows any split"
            raise CertificateError(f"certificate.value: {value}")
    bound = None if shown is None else min(found.value, shown)
    claim = check_lower_bound(certificate, bound, method=PATH_METHOD, engine=plan.engine)
    proven = bound is not None and closed(found.value, bound)
    return Verification(claims=(*RECOMPUTED_SPLIT, claim), value=found.value, bound=bound, proven=proven)


def _check_figures(stated: SplitFigures, derived: SplitFigures) -> None:
    for name, mine in msgspec.structs.asdict(derived).items():
        theirs = getattr(stated, name)
        if name != "use":
            same_or_absent(f"figures.{name}", theirs, mine)
            continue
        if [each.device for each in theirs] != [each.device for each in mine]:
            raise CertificateError("figures.use: not the devices of the decision, in their order")
        for place, (one, other) in enumerate(zip(theirs, mine, strict=True)):
            for field in ("layers", "weights_bytes", "kv_bytes", "busy_s"):
                same(f"figures.use[{place}].{field}", getattr(one, field), getattr(other, field))
