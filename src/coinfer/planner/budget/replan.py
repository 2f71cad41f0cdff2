"""Old plan and new outcomes in, new plan out: whether the old one still stands, and who gets something else."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.curves.coverage import unbiased_coverage
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import BudgetEvaluation, evaluate
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Arm, Cost, PosteriorMenus, Refit, TableMenus
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.budget.make import plan as make_plan
from coinfer.planner.budget.verify import verify
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReplan:
    """A new plan and why it was needed.

    Attributes
    ----------
    problem, plan
        The problem with the new figures, and its plan.
    previous
        What the old decision is worth under the new figures.
    stale
        Whether the old decision breaks a limit now, or its objective moved by more than the tolerance.
    moved
        Prompts that get another option than before.
    counted, left_out
        Samples that were counted, and samples of prompts or arms that the problem does not have.
    """

    problem: BudgetProblem
    plan: BudgetPlan
    previous: BudgetEvaluation
    stale: bool
    moved: int
    counted: int
    left_out: int


def replan_budget(
    problem: BudgetProblem,
    plan: BudgetPlan,
    outcomes: Outcomes,
    *,
    tolerance: float = 0.1,
    engine: str = "auto",
    limits: Limits | None = None,
) -> BudgetReplan:
    """Put new outcomes into a problem and plan again.

    Outcomes belong to the stratum that is named like their label, or else like their prompt. Posterior menus count
    the samples of the arm that is named like theirs (conjugate update). A table counts the samples of the option named
    like theirs beside the samples that its standard error is worth: :math:`v(1-v)/e^2`. An option of k samples of an
    arm (or model) named like theirs counts each prompt with at least k of them once, by the unbiased chance that any of
    k is right.

    Raises
    ------
    PlanMismatch
        If the plan is for another problem.
    CertificateError
        If the old plan does not hold.
    ProblemError
        If no outcome belongs to the problem, or its table has no standard errors.
    Infeasible, LimitReached
        As planning does.
    """
    verify(problem, plan)
    right, drawn, cost, counted = _gathered(problem, outcomes)
    if counted == 0:
        kind = "arms" if isinstance(problem.menus, PosteriorMenus) else "options, arms or models"
        expected = f"outcomes of the problem's strata with its {kind}"
        raise ProblemError("outcomes", expected=expected, found=Plain("none of them"))
    if isinstance(problem.menus, PosteriorMenus):
        menus: PosteriorMenus | TableMenus = _posterior(problem.menus, right, drawn, outcomes.resources, cost)
    else:
        menus = _table(problem.menus, right, drawn, outcomes.resources, cost)
    fresh = msgspec.structs.replace(problem, menus=menus)
    old = evaluate(fresh, plan.decision)
    before = abs(evaluate(problem, plan.decision).objective)
    apart = abs(abs(old.objective) - before)
    made = make_plan(fresh, engine=engine, limits=limits, start=plan.decision)
    return BudgetReplan(
        problem=fresh,
        plan=made,
        previous=old,
        stale=bool(old.violations) or apart > tolerance * before,
        moved=_moved(problem, plan.decision, made.decision),
        counted=counted,
        left_out=int(outcomes.samples.sum()) - counted,
    )


def _gathered(problem: BudgetProblem, outcomes: Outcomes) -> tuple[FloatArray, FloatArray, FloatArray, int]:
    """Add up what belongs to each stratum and column: right, drawn, the cost by resource; and the samples used."""
    strata = {name: i for i, name in enumerate(problem.strata.names)}
    if not strata:
        strata = {str(i): i for i in range(problem.rows)}
    labels = outcomes.labels or ("",) * len(outcomes.prompts)
    rows = [strata.get(label, strata.get(name)) for label, name in zip(labels, outcomes.prompts, strict=True)]
    known = np.array([i for i, row in enumerate(rows) if row is not None], dtype=np.int64)
    place = np.array([row for row in rows if row is not None], dtype=np.int64)
    columns = _columns(problem, outcomes)
    shape = (problem.rows, len(columns))
    right, drawn, cost = np.zeros(shape), np.zeros(shape), np.zeros((len(outcomes.resources), *shape))
    used = np.zeros((len(known), len(outcomes.arms)), dtype=np.bool_)
    for column, found in enumerate(columns):
        if found is None or not len(known):
            continue
        arm, count = found
        samples, successes = outcomes.samples[known, arm], outcomes.successes[known, arm]
        times = samples.astype(np.float64)
        hits = successes.astype(np.float64)
        if count is not None:  # each prompt with enough samples is one observation
            times = (samples >= count).astype(np.float64)
            enough = samples >= count
            hits = np.zeros(len(known))
            if enough.any():
                hits[enough] = unbiased_coverage(successes[enough], samples[enough], [count])[:, 0]
        used[:, arm] |= times > 0.0
        np.add.at(right[:, column], place, hits)
        np.add.at(drawn[:, column], place, times)
        for r in range(len(outcomes.resources)):
            each = outcomes.sample_cost[r, known, arm] * (count or 1)
            np.add.at(cost[r, :, column], place, np.where(times > 0.0, each * times, 0.0))  # NaN: not measured
    return right, drawn, cost, int(outcomes.samples[known][used].sum())


def _columns(problem: BudgetProblem, outcomes: Outcomes) -> list[tuple[int, int | None] | None]:
    """Match arms or options with the arms of the outcomes, and the samples that an option draws of its arm."""
    arms = {name: i for i, name in enumerate(outcomes.arms)}
    if isinstance(problem.menus, PosteriorMenus):
        return [(arms[arm.name], None) if arm.name in arms else None for arm in problem.menus.arms]
    found: list[tuple[int, int | None] | None] = []
    for option in problem.options:
        sampled = option.arm or option.model
        if option.name in arms:
            found.append((arms[option.name], None))
        elif sampled in arms and option.samples and option.strategy in ("samples", "single"):
            found.append((arms[sampled], option.samples))
        else:
            found.append(None)
    return found


def _posterior(
    menus: PosteriorMenus, right: FloatArray, drawn: FloatArray, resources: tuple[str, ...], cost: FloatArray
) -> PosteriorMenus:
    arms = []
    for i, arm in enumerate(menus.arms):
        scale = np.ones(len(drawn)) if menus.scale is None else menus.scale.array[:, i]
        units = float(drawn[:, i] @ scale)
        arms.append(_dearer(arm, {name: _mean(cost[r, :, i], units) for r, name in enumerate(resources)}))
    return msgspec.structs.replace(
        menus,
        arms=tuple(arms),
        alpha=Matrix(menus.alpha.array + right),
        beta=Matrix(menus.beta.array + drawn - right),
        refits=tuple(
            Refit(alpha=Matrix(each.alpha.array + right), beta=Matrix(each.beta.array + drawn - right))
            for each in menus.refits
        ),
    )


def _mean(cost: FloatArray, units: float) -> float | None:
    """Return the mean cost of a sample; ``None`` without samples or where one was not measured."""
    total = float(cost.sum())
    return total / units if units > 0.0 and np.isfinite(total) else None


def _dearer(arm: Arm, measured: dict[str, float | None]) -> Arm:
    """Return the arm with the measured cost of a sample, where there is one and nothing is paid once."""
    once = {each.resource for each in arm.per_prompt}
    found = []
    for each in arm.per_sample:
        mean = measured.get(each.resource)
        keep = mean is None or each.resource in once  # a mean over samples would hold the part paid once, too
        found.append(each if keep or mean is None else Amount(resource=each.resource, amount=mean))
    return msgspec.structs.replace(arm, per_sample=tuple(found))


def _table(
    menus: TableMenus, right: FloatArray, drawn: FloatArray, resources: tuple[str, ...], cost: FloatArray
) -> TableMenus:
    if menus.value_error is None:
        expected = "standard errors, since new outcomes are weighed against what is known"
        raise ProblemError("menus.value_error", expected=expected, found=Plain("none"))
    value, error = menus.value.array, menus.value_error.array
    spread = np.clip(value * (1.0 - value), 1e-6, None)
    with np.errstate(divide="ignore"):
        worth = np.where(error > 0.0, spread / error**2, np.inf)  # an error of 0 is certain: nothing moves it
    fixed = np.isinf(worth)
    total = np.where(fixed, 1.0, worth) + drawn
    fresh = np.where(fixed | (drawn == 0), value, (np.where(fixed, 0.0, worth) * value + right) / total)
    fresh_error = np.where(fixed | (drawn == 0), error, np.sqrt(np.clip(fresh * (1.0 - fresh), 1e-6, None) / total))
    costs = []
    for own in menus.cost:
        amount = own.amount.array
        if own.resource in resources and own.worst is None:
            taken = cost[resources.index(own.resource)]
            full = np.broadcast_to(amount, value.shape)
            mixed = (np.where(fixed, 1.0, worth) * full + taken) / total
            amount = np.where(np.isfinite(taken) & (drawn > 0) & ~fixed, mixed, full)
        costs.append(Cost(resource=own.resource, amount=Matrix(amount), worst=own.worst))
    return msgspec.structs.replace(menus, value=Matrix(fresh), value_error=Matrix(fresh_error), cost=tuple(costs))


def _moved(problem: BudgetProblem, old: BudgetDecision, new: BudgetDecision) -> int:
    """Count the prompts whose option differs, matching within each stratum as far as possible."""
    width = len(problem.options)
    counts: dict[int, int] = {}
    for sign, decision in ((1, old), (-1, new)):
        taken = decision.taken.array.astype(np.int64)
        for key, number in zip((taken[:, 0] * width + taken[:, 1]).tolist(), taken[:, 2].tolist(), strict=True):
            counts[key] = counts.get(key, 0) + sign * number
    return sum(number for number in counts.values() if number > 0)
