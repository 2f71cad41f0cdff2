"""Sentences about test-time budgets, used by the command line and the page alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import charged
from coinfer.models.budget.parts import Information, TableMenus
from coinfer.planner.budget.document import Alternative, BudgetPlan, Spend
from coinfer.planner.claims import Verification
from coinfer.planner.units import SPACE, amount, count, digits, percent
from coinfer.solver.certificate.knapsack import KnapsackProof
from coinfer.solver.knapsack.program import Block, MultipleChoiceKnapsack

UNITS = {"usd": "USD", "s": "s", "j": "J"}
NAMES = {"usd": "money", "s": "device time", "j": "energy"}
SOURCES = {
    "none": "nothing is known of a prompt beforehand",
    "label": "a label that comes with each prompt",
    "history": "how another model did on the same prompts",
    "one_sample": "one sample of each prompt",
    "votes": "votes on each prompt",
    "features": "features of each prompt",
    "oracle": "the outcomes themselves (an oracle: nobody can know this beforehand)",
}


def quantity(value: float, resource: str, *, significant: int = 4) -> str:
    """Write an amount of a resource with its unit."""
    unit = UNITS.get(resource)
    if unit is None:
        return f"{digits(value, significant)} {resource.replace('_', ' ')}"
    return amount(value, unit, significant=significant)


def objective(problem: BudgetProblem) -> str:
    """Say what is optimised."""
    if problem.objective == "value":
        return "expected value"
    what = f"expected {NAMES.get(problem.minimise or '', problem.minimise)}"
    return what if problem.objective == "cost" else f"{what} until right"


def worth(problem: BudgetProblem, value: float, *, significant: int = 6) -> str:
    """Write a certificate's value in words, in all and for a prompt."""
    each = value / problem.prompts
    if problem.objective == "value":
        of = prompts(problem.prompts)
        return f"expected value {digits(value, significant)} of {of} ({digits(each, 4)} each)"
    assert problem.minimise is not None  # noqa: S101  # the problem was validated
    what = quantity(value, problem.minimise, significant=significant)
    return f"{objective(problem)} {what} ({quantity(each, problem.minimise)} for a prompt)"


def prompts(number: int) -> str:
    """Write a number of prompts."""
    return f"{number:,}{SPACE}{'prompt' if number == 1 else 'prompts'}"


def gap(plan: BudgetPlan) -> float | None:
    """Return by how much of the value the objective could still improve at most; ``None`` without a bound."""
    certificate = plan.certificate
    if certificate.bound is None:
        return None
    apart = abs(certificate.bound - certificate.value)
    return 0.0 if apart == 0.0 else apart / max(abs(certificate.value), 1e-12)


def sentence(plan: BudgetPlan, problem: BudgetProblem) -> str:
    """Say in one sentence what a plan gives and how good it is."""
    certificate = plan.certificate
    standing = next(claim.standing for claim in certificate.claims if claim.what == "bound")
    left = gap(plan)
    if certificate.status == "optimal":
        how = "proven optimal" if standing == "verified" else "optimal as the engine claims"
    elif left is None:
        how = "with no bound on what is possible"
    else:
        verb = "proven" if standing == "verified" else "claimed"
        how = f"{verb} to be within {small(left)} of the best possible"
    rows = (
        ""
        if problem.rows == problem.prompts
        else f" in {problem.rows:,} {'stratum' if problem.rows == 1 else 'strata'}"
    )
    menu = count(len(problem.options), "option")
    return f"{prompts(problem.prompts)}{rows}, {menu}: {worth(problem, certificate.value)}, {how}."


def small(share: float) -> str:
    """Write a share that may be tiny."""
    return percent(share) if share >= 1e-3 else f"{100.0 * share:.1e} %"


def evidence(plan: BudgetPlan) -> str:
    """Say what kind of proof a plan carries."""
    claim = next(claim for claim in plan.certificate.claims if claim.what == "bound")
    if plan.certificate.proof is None:
        return f"No proof is with it: the bound is what {plan.engine} claims."
    return f"The bound stands by {claim.method}."


def information(problem: BudgetProblem) -> str:
    """Say which information the plan uses, and what that costs."""
    known = problem.information
    if known is None:
        if problem.rows == 1:
            return "Information used: none; all prompts are alike to the plan."
        what = (
            "figures of every single prompt" if problem.rows == problem.prompts else "which stratum a prompt belongs to"
        )
        return f"Information used: {what}; the problem does not say what finding out costs."
    costs = [quantity(each.amount, each.resource) for each in known.cost]
    words = f"Information used: {SOURCES[known.source]}"
    words += f" – {known.description.rstrip('.')}" if known.description else ""
    if known.source == "oracle":
        return f"{words}; it cannot be bought, so this is a limit, not a plan to run."
    if not costs:
        return f"{words}; it costs nothing."
    return f"{words}; {' and '.join(costs)} for a prompt, {_charge(problem, known)}."


def _charge(problem: BudgetProblem, known: Information) -> str:
    """Say what pays for the information."""
    if not known.charged:
        return "NOT charged to the budgets"
    resources = {each.resource for each in known.cost}
    limited = resources & {budget.resource for budget in problem.budgets if budget.endpoint is None}
    told = []
    if limited:
        told.append("charged to the budgets" if limited == resources else f"{_listed(limited)} charged to its budget")
    if problem.minimise in resources:
        told.append(f"to be added to the {NAMES.get(problem.minimise, problem.minimise)} above")
    return ", ".join(told) or "which no budget limits"


def _listed(names: set[str]) -> str:
    return " and ".join(sorted(names))


def gain(plan: BudgetPlan, problem: BudgetProblem) -> str | None:
    """Say what telling prompts apart gains over the proven best without; nothing where all are alike."""
    parts = [_compared(other, plan, problem) for other in plan.alternatives]
    if not parts:
        return None
    told = f"Treating all prompts alike would {'; or '.join(parts)}."
    same = plan.alternatives[0]
    better = None if same.value is None else _better(problem, plan, same.value)
    dear = better is not None and better < 0.0 and problem.information is not None
    return f"{told} Finding out more about them does not pay here." if dear else told


def _compared(other: Alternative, plan: BudgetPlan, problem: BudgetProblem) -> str:
    """Say what one comparison gives. Its bound is what counts: a choice is off it by some prompts at most."""
    if other.bound is None:
        return "break a limit" if other.what == "same_budgets" else "not reach that value within the other limits"
    found = other.value if other.what == "same_budgets" else other.spend
    close = found is not None and abs(other.bound - found) <= 1e-3 * abs(found)
    if other.what == "same_budgets":
        change = _better(problem, plan, other.bound) * (1.0 if problem.objective == "value" else -1.0)
        share = "" if other.bound == 0.0 else f", {percent(change / abs(other.bound), signed=True)}"
        if close and found is not None:
            return f"give {worth(problem, found)} within the same budgets{share} by telling them apart"
        least = "at most" if problem.objective == "value" else "at best"
        return f"give {least} {worth(problem, other.bound)} within the same budgets{share} by telling them apart"
    budget, mine = problem.budgets[0], plan.spend[0].expected
    ratio = f", {other.bound / mine:.2f} times as much as this plan" if mine > 0.0 else ""
    least = "" if close else "at least "
    spend = found if close and found is not None else other.bound
    return f"need {least}{quantity(spend, budget.resource)} for the same value{ratio}"


def _better(problem: BudgetProblem, plan: BudgetPlan, other: float) -> float:
    """Return by how much a plan is better than another value of the objective, what information takes included."""
    apart = plan.certificate.value + _charged(problem) - other
    return apart if problem.objective == "value" else -apart


def _charged(problem: BudgetProblem) -> float:
    """Return what information adds to a cost that is minimised; a value has no such part."""
    return 0.0 if problem.objective == "value" or problem.minimise is None else charged(problem, problem.minimise)


def between(plan: BudgetPlan) -> str | None:
    """Say where the realised mean value is expected; nothing without an interval."""
    found = plan.interval
    if found is None:
        return None
    limits = f"{digits(found.low, 4)} to {digits(found.high, 4)}"
    return f"Mean value expected on other samples: {digits(found.mean, 4)}, {percent(found.level)} between {limits}."


def remarks(problem: BudgetProblem) -> tuple[str, ...]:
    """Return what a reader of the plan should know."""
    found = []
    known = problem.information
    if known is not None and known.source == "oracle":
        found.append("The strata were made from the outcomes: no planner can know them, so the gain is a limit.")
    elif known is not None and known.cost and not known.charged:
        found.append("What finding out the strata costs is not in the budgets.")
    for each in known.cost if known is not None and known.charged else ():
        if all(budget.resource != each.resource or budget.endpoint is not None for budget in problem.budgets):
            total = quantity(charged(problem, each.resource), each.resource)
            found.append(f"Finding out the strata takes {total}, which no budget limits.")
    if isinstance(problem.menus, TableMenus) and problem.menus.value_error is None:
        found.append("The menus give no standard errors, so the plan has no interval.")
    bounds: dict[str, list[str]] = {}
    for option in problem.options:
        if option.upper_bound is not None:
            bounds.setdefault(option.upper_bound, []).append(option.name)
    for reason, names in bounds.items():
        found.append(f"Costs of {', '.join(names)} are upper bounds and no means: {reason}.")
    return tuple(found)


def ended(limit: str) -> str:
    """Say what ended a search."""
    told = {
        "interrupt": "The search was interrupted.",
        "gap": "The search ended with this gap.",
        "states": "The exact search grew beyond its limit of states; the gap is what is left.",
    }
    return told.get(limit, f"The search ended at its {limit} limit.")


def holds(checked: Verification, problem: BudgetProblem) -> str:
    """Say what a verification found."""
    value = f"{objective(problem)} {checked.value:.12g}"
    if checked.proven:
        return f"Proven: {value} is optimal."
    if checked.bound is None:
        return f"Holds: {value}; the plan carries no proof of a bound."
    beyond = "above" if problem.objective == "value" else "below"
    return f"Holds: {value}; the proof shows that nothing is {beyond} {checked.bound:.12g}."


def limit_name(problem: BudgetProblem, index: int) -> str:
    """Name a limit of the program: a budget, or the floor."""
    if index == len(problem.budgets):
        return f"the floor of {digits(problem.value_floor or 0.0, 4)} on the mean value"
    budget = problem.budgets[index]
    at = "" if budget.endpoint is None else f" at endpoint {budget.endpoint!r}"
    return f"the limit of {quantity(budget.limit, budget.resource)}{at}"


def clash(problem: BudgetProblem, program: MultipleChoiceKnapsack, proof: KnapsackProof | None) -> str:
    """Say which limits cannot be kept together."""
    count_of = len(problem.budgets) + (problem.value_floor is not None)
    if proof is None:
        return "no choice of options keeps every limit, as the solver found"
    names = [limit_name(problem, i) for i in range(count_of) if proof.prices[i] > 0.0]
    if len(names) == 1:
        index = int(np.argmax(np.array(proof.prices) > 0.0))
        least = sum(
            float(block.copies @ np.where(block.value > -np.inf, block.cost[index], np.inf).min(axis=1))
            for block in _blocks(program)
        )
        if index < len(problem.budgets):
            spent = quantity(least, problem.budgets[index].resource)
            budget = problem.budgets[index]
            paid = budget.endpoint is None and charged(problem, budget.resource) > 0.0
            inside = " after the information is paid for" if paid else ""
            return f"the cheapest options together take {spent}, more than {names[0]}{inside}"
        return f"the best options reach a mean value of {digits(-least / problem.prompts, 6)}, less than {names[0]}"
    return f"no choice keeps {' and '.join(names)} together (shown by prices)"


def _blocks(program: MultipleChoiceKnapsack) -> Iterator[Block]:
    step = 2**15
    for start in range(0, program.menus.rows, step):
        yield program.menus.block(start, min(start + step, program.menus.rows))


def spend_row(spend: Spend) -> list[str]:
    """Return a row for the table of budgets: resource, expected, worst, limit, share used, price."""
    name = spend.resource if spend.endpoint is None else f"{spend.resource} at {spend.endpoint}"
    share = "–" if spend.limit is None else ("–" if spend.limit == 0.0 else f"{spend.expected / spend.limit:.2%}")
    return [
        name,
        quantity(spend.expected, spend.resource),
        "not known" if spend.worst is None else quantity(spend.worst, spend.resource),
        "none" if spend.limit is None else quantity(spend.limit, spend.resource),
        share,
        "–" if spend.price is None else digits(spend.price, 4),
    ]
