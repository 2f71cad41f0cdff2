"""Re-check a budget plan against its problem: limits, value and spend re-computed, the bound from the prices alone."""

from __future__ import annotations

import math
from itertools import zip_longest

import msgspec
import numpy as np

from coinfer import jsonfile
from coinfer.errors import CertificateError, PlanMismatch, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.evaluate import BudgetEvaluation, evaluate
from coinfer.models.budget.formulate import formulate
from coinfer.planner.budget.alternatives import Comparison, comparisons, figures, stated_bound
from coinfer.planner.budget.document import RECOMPUTED_BUDGET, Alternative, BudgetPlan
from coinfer.planner.budget.figures import capped, certificate_value, spends, used
from coinfer.planner.budget.interval import interval
from coinfer.planner.budget.wording import remarks
from coinfer.planner.claims import Claim, Verification
from coinfer.records import Record
from coinfer.solver.certificate.knapsack import shown_by

MARGIN = 1e-9
"""Relative: a stated figure may be apart from the one re-computed here by so much."""
TINY = 1e-12
TOLERANCE = 1e-9
"""Relative gap that counts as none."""


def verify(problem: BudgetProblem, plan: BudgetPlan) -> Verification:
    """Re-derive feasibility, objective, spend, comparisons and bound of ``plan`` from ``problem`` alone.

    Raises
    ------
    PlanMismatch
        If the plan was made for another problem.
    CertificateError
        With a sentence, at the first claim that is not true.
    """
    if plan.problem_sha256 != jsonfile.sha256(problem):
        raise PlanMismatch(f"the plan is for another problem: it was made for {plan.problem!r} with other content")
    if plan.problem != problem.name:
        raise CertificateError(f"problem: the plan says {plan.problem!r}; the problem is {problem.name!r}")
    _check_proof(problem, plan)
    try:
        found = evaluate(problem, plan.decision)
    except ProblemError as error:
        raise CertificateError(f"feasibility: {error}") from error
    if found.violations:
        raise CertificateError(f"feasibility: {found.violations[0]}")
    value = certificate_value(problem, found.objective)
    _same("certificate.value", plan.certificate.value, value)
    _check_figures(problem, plan, found)
    _check_alternatives(problem, plan, found.objective)
    bound, claim = _check_bound(problem, plan, found.objective)
    _check_wording(plan, claim)
    shown = None if bound is None else certificate_value(problem, bound)
    proven = bound is not None and bound - found.objective <= TOLERANCE * abs(found.objective)
    return Verification(claims=(*RECOMPUTED_BUDGET, claim), value=value, bound=shown, proven=proven)


def _check_proof(problem: BudgetProblem, plan: BudgetPlan) -> None:
    """Check that the proof has a price for each limit."""
    proof = plan.certificate.proof
    count = max(1, len(problem.budgets) + (problem.value_floor is not None))
    if proof is not None and (len(proof.prices) != count or proof.shows != "bound"):
        raise CertificateError(f"certificate.proof: expected {count} price(s) that show a bound")


def _check_figures(problem: BudgetProblem, plan: BudgetPlan, found: BudgetEvaluation) -> None:
    """Compare everything that follows from the decision."""
    _same("mean_value", plan.mean_value, found.value / problem.prompts)
    pairs: list[tuple[str, tuple[Record, ...], tuple[Record, ...]]] = [
        ("spend", plan.spend, spends(problem, found, plan.certificate.proof)),
        ("used", plan.used, used(problem, found)),
    ]
    mine = interval(problem, plan.decision)
    if (mine is None) != (plan.interval is None):
        raise CertificateError("interval: expected exactly where the menus tell their own uncertainty")
    if mine is not None and plan.interval is not None:
        pairs.append(("interval", (plan.interval,), (mine,)))
    for name, stated, derived in pairs:
        if len(stated) != len(derived):
            raise CertificateError(f"{name}: expected {len(derived)} entries; found {len(stated)}")
        for i, (one, other) in enumerate(zip(stated, derived, strict=True)):
            _same_record(f"{name}[{i}]", one, other)
    if plan.notes != remarks(problem):
        raise CertificateError("notes: not the ones that go with this problem")


def _same_record(where: str, stated: Record, derived: Record) -> None:
    for field, mine in msgspec.structs.asdict(derived).items():
        theirs = getattr(stated, field)
        if isinstance(mine, float) and isinstance(theirs, int | float):
            _same(f"{where}.{field}", theirs, mine)
        elif theirs != mine:
            raise CertificateError(f"{where}.{field}: the plan says {theirs!r}; re-computed it is {mine!r}")


def _check_alternatives(problem: BudgetProblem, plan: BudgetPlan, value: float) -> None:
    """Re-derive the comparisons: all that there must be, their bounds, and choices that are as good as those."""
    asked = comparisons(problem, value)
    if [each.what for each in plan.alternatives] != [each.what for each in asked]:
        raise CertificateError(f"alternatives: expected {', '.join(each.what for each in asked) or 'none'}")
    for i, (other, question) in enumerate(zip(plan.alternatives, asked, strict=True)):
        where = f"alternatives[{i}]"
        try:
            shown = question.shown(other.prices, infeasible=other.bound is None)
        except CertificateError as error:
            raise CertificateError(f"{where}: {error}") from None
        if other.bound is None or shown.bound is None:
            if not shown.infeasible or other.options or other.value is not None or other.spend is not None:
                raise CertificateError(f"{where}: without a bound, the prices must show that no choice is possible")
            continue
        _same(f"{where}.bound", other.bound, stated_bound(problem, other.what, shown.bound))
        _check_choice(where, problem, other, question, shown.bound)


def _check_choice(where: str, problem: BudgetProblem, other: Alternative, asked: Comparison, bound: float) -> None:
    """Check the choice of a comparison, where it has one."""
    names = {option.name: i for i, option in enumerate(problem.options)}
    if len(other.options) != len(other.prompts) or not set(other.options) <= set(names):
        raise CertificateError(f"{where}: expected options of the problem, each with its prompts")
    if not other.options:
        if other.value is not None or other.spend is not None:
            raise CertificateError(f"{where}: has a value or a spend, and no choice that they are of")
        return
    prompts = np.zeros(len(names))
    for name, number in zip(other.options, other.prompts, strict=True):
        prompts[names[name]] += number
    if min(other.prompts) < 1 or prompts.sum() != problem.prompts:
        raise CertificateError(f"{where}.prompts: expected {problem.prompts} in all; found {prompts.sum():.0f}")
    if not asked.keeps_limits(prompts):
        raise CertificateError(f"{where}: does not keep the limits that {other.what!r} says, or the common menu")
    if not asked.close(prompts, bound):
        raise CertificateError(f"{where}: is not the best that treats all prompts alike")
    value, spend = figures(problem, asked.mean, prompts)
    if other.value is None or (spend is None) != (other.spend is None):
        raise CertificateError(f"{where}: expected a value, and a spend exactly where there is a budget")
    _same(f"{where}.value", other.value, value)
    if spend is not None and other.spend is not None:
        _same(f"{where}.spend", other.spend, spend)


def _check_bound(problem: BudgetProblem, plan: BudgetPlan, value: float) -> tuple[float | None, Claim]:
    """Compare the bound that the plan states with the one its prices show; both as the program has them, maximised."""
    certificate = plan.certificate
    shown = None if certificate.proof is None else shown_by(formulate(problem), certificate.proof)
    if shown is not None and shown.bound is None:
        raise CertificateError("certificate.proof: its core does not show what it says")
    bound = None if shown is None or shown.bound is None else capped(problem, shown.bound)
    if bound is not None and value > bound + MARGIN * abs(value):
        raise CertificateError(f"certificate.value: {value!r} is more than the {bound!r} that the prices allow")
    bound = None if bound is None else max(bound, value)
    if (certificate.verified_bound is None) != (bound is None):
        raise CertificateError("certificate.verified_bound: stands without a proof, or the proof without it")
    if bound is not None and certificate.verified_bound is not None:
        _no_stronger("certificate.verified_bound", problem, certificate.verified_bound, bound, value)
    stated = next((claim for claim in certificate.claims if claim.what == "bound"), None)
    if certificate.bound is not None:
        _no_stronger("certificate.bound", problem, certificate.bound, value, value)
    if stated is None or stated.standing == "claimed":
        return bound, Claim(what="bound", standing="claimed", method=plan.engine)
    if bound is None or shown is None or certificate.bound is None:
        raise CertificateError("certificate.claims: the bound is called verified, but there is no proof of it")
    _no_stronger("certificate.bound", problem, certificate.bound, bound, value)
    return bound, Claim(what="bound", standing="verified", method=shown.method)


def _check_wording(plan: BudgetPlan, bound: Claim) -> None:
    """Check that status, limit and claims say what the numbers say."""
    certificate = plan.certificate
    for stated, mine in zip_longest(certificate.claims, (*RECOMPUTED_BUDGET, bound)):
        if stated != mine:
            found = "nothing more" if stated is None else f"{stated.what!r} {stated.standing} by {stated.method!r}"
            expected = "nothing more" if mine is None else f"{mine.what!r} {mine.standing} by {mine.method!r}"
            raise CertificateError(f"certificate.claims: the plan says {found}; found here is {expected}")
    if not plan.engine.strip() or not plan.engine.isprintable():
        raise CertificateError(f"engine: expected a name; found {plan.engine!r}")
    if not 0.0 <= plan.seconds < math.inf:
        raise CertificateError(f"seconds: expected a number of at least 0; found {plan.seconds!r}")
    value = certificate.value
    apart = None if certificate.bound is None else abs(certificate.bound - value)
    closed = apart is not None and apart <= TOLERANCE * abs(value)
    if (certificate.status == "optimal") != closed:
        numbers = f"value {value!r} and bound {certificate.bound!r}"
        raise CertificateError(f"certificate.status: {certificate.status!r}, with {numbers}")
    if (certificate.limit is None) != closed:
        raise CertificateError(f"certificate.limit: {certificate.limit!r} does not go with {certificate.status!r}")


def _same(where: str, stated: float, derived: float) -> None:
    if not math.isclose(stated, derived, rel_tol=MARGIN, abs_tol=TINY):
        raise CertificateError(f"{where}: the plan says {stated!r}; re-computed from the problem it is {derived!r}")


def _no_stronger(where: str, problem: BudgetProblem, stated: float, proven: float, value: float) -> None:
    """Refuse a stated limit that is tighter than the one that was proven."""
    own = stated if problem.objective == "value" else -stated
    if not own >= proven - MARGIN * abs(value) * 1e-3:
        shown = certificate_value(problem, proven)
        raise CertificateError(f"{where}: the plan says {stated!r}; what is shown is {shown!r}")
