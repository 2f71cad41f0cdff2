"""The plan of a test-time budget: who gets what, the prices, and a certificate that a third party can check."""

from __future__ import annotations

from typing import Literal

from coinfer.models.budget.decision import BudgetDecision
from coinfer.planner.claims import FORMAT, Claim
from coinfer.records import Document, Record
from coinfer.solver.certificate.knapsack import KnapsackProof

RECOMPUTED_BUDGET = (
    Claim(what="feasibility", standing="verified", method="every limit re-computed from the problem"),
    Claim(what="objective", standing="verified", method="re-computed from the problem's menus"),
)
"""What planner and checker both derive from the problem alone, whatever the engine says."""


Question = Literal["same_budgets", "same_value"]
"""What a plan that treats all prompts alike is asked for."""


class BudgetCertificate(Record, frozen=True, kw_only=True):
    """How good the decision is, and the evidence.

    Attributes
    ----------
    status
        ``optimal`` or ``feasible`` (the gap says how far the optimum can be).
    value
        Objective summed over all prompts: expected value (higher is better), or with the objectives ``cost`` and
        ``cost_of_pass`` the amount of ``minimise`` (lower is better), without what information costs.
    bound
        No decision is better; ``claims`` says whether that was re-checked; absent when there is none.
    verified_bound
        What ``proof`` shows; absent without a proof.
    limit
        What ended the search: ``time``, ``nodes``, ``states``, ``interrupt``, ``gap`` or ``other``; absent for an
        optimal plan.
    claims
        What was re-checked and what is only claimed.
    proof
        One price for each budget, and one more for the value floor where there is one: value per unit. A single 0 where
        nothing is limited.
    """

    status: Literal["optimal", "feasible"]
    value: float
    claims: tuple[Claim, ...]
    bound: float | None = None
    verified_bound: float | None = None
    limit: str | None = None
    proof: KnapsackProof | None = None


class Spend(Record, frozen=True, kw_only=True):
    """What the decision takes of one resource over all prompts.

    Attributes
    ----------
    resource, endpoint
        As in the budget; without a budget: the resource alone.
    expected
        Information included.
    worst
        The most that can be taken; absent: not known.
    limit
        Of the budget; absent: none.
    information
        Part of ``expected`` that finding out the strata takes; absent: none is charged.
    price
        Value that one more unit would bring, by the proof; absent without a limit or a proof.
    """

    resource: str
    expected: float
    endpoint: str | None = None
    worst: float | None = None
    limit: float | None = None
    information: float | None = None
    price: float | None = None


class OptionUse(Record, frozen=True, kw_only=True):
    """How much one option is used: prompts that get it, and the value they contribute."""

    option: str
    prompts: int
    value: float


class Alternative(Record, frozen=True, kw_only=True):
    """The best that does not tell prompts apart, for comparison; all of it is re-derived by ``verify``.

    Attributes
    ----------
    what
        ``same_budgets``: the best within the budgets. ``same_value``: the cheapest, in the resource of the first
        budget, for at least the plan's value.
    prices
        One for each limit, as in a proof: they show ``bound``; or, without one, that no choice keeps every limit.
    bound
        No choice that treats all prompts alike is better: the objective, or for ``same_value`` the spend.
    options, prompts
        Of a choice: how many prompts get which option, whoever they are. Absent: none was found, or none exists.
    value
        Objective of that choice, as in the certificate; it is within a few prompts of ``bound``.
    spend
        What that choice takes of the resource of the first budget.
    """

    what: Question
    prices: tuple[float, ...]
    bound: float | None = None
    options: tuple[str, ...] = ()
    prompts: tuple[int, ...] = ()
    value: float | None = None
    spend: float | None = None


class Interval(Record, frozen=True, kw_only=True):
    """Where the realised mean value of the decision is expected: on other samples of the same kind of prompts.

    Attributes
    ----------
    mean, low, high
        Expected mean value over the prompts after allowing for selection among noisy estimates, and its limits.
    level
        Probability that the interval means to cover.
    basis
        How it was found.
    """

    mean: float
    low: float
    high: float
    level: float
    basis: str


class BudgetPlan(Document, frozen=True, kw_only=True, tag_field="kind", tag="budget"):
    """Which option every prompt gets, with its certificate.

    Attributes
    ----------
    problem, problem_sha256
        Name of the problem, and the hash of its canonical form.
    decision
        Who gets what.
    certificate
        How good it is, and the evidence.
    mean_value
        Expected value of a prompt.
    spend
        One for each budget, then one for each resource without a budget.
    used
        The options that are used, in the order of the problem.
    alternatives
        What could be had without telling prompts apart; absent where there is one stratum, or no option that all have.
    interval
        Absent where the menus say nothing of their own uncertainty.
    notes
        What a reader should know.
    engine
        What found the decision.
    seconds
        Wall-clock time of the search and of the proof.
    coinfer_version
        Version that wrote the plan.
    """

    file_format = FORMAT

    problem: str
    problem_sha256: str
    decision: BudgetDecision
    certificate: BudgetCertificate
    mean_value: float
    spend: tuple[Spend, ...]
    used: tuple[OptionUse, ...]
    engine: str
    seconds: float
    coinfer_version: str
    alternatives: tuple[Alternative, ...] = ()
    interval: Interval | None = None
    notes: tuple[str, ...] = ()
