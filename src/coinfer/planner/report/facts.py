"""What the sections say about a selection, worked out from problem and plan."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from coinfer.errors import PlanMismatch
from coinfer.models.selection.data import Basis, Expert, SelectionProblem
from coinfer.models.selection.values import values
from coinfer.planner.bound import closes, scale_of
from coinfer.planner.selection.document import Prediction, SelectionPlan
from coinfer.planner.wording import evident, worth_of
from coinfer.solver.program import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The part one expert has in one category.

    Attributes
    ----------
    share
        Share of the category's traffic, in (0, 1].
    quality, value
        Mean quality, and mean value in the sense of the objective, over the prompts it answers.
    latency_s, promise_s, energy_j
        Figures of the problem, seconds and joules; absent where the problem has none.
    """

    category: str
    expert: Expert
    share: float
    quality: float
    value: float
    latency_s: float | None
    promise_s: float | None
    energy_j: float | None
    energy_basis: Basis | None


class Facts:
    """Problem and plan side by side, with the sums that several sections need.

    Raises
    ------
    PlanMismatch
        If the plan names an expert, a category or a prompt that the problem does not have.
    """

    def __init__(self, problem: SelectionProblem, plan: SelectionPlan) -> None:
        self.problem = problem
        self.plan = plan
        self.worth = worth_of(problem)
        self.experts = {expert.name: expert for expert in problem.experts}
        self.column = {expert.name: index for index, expert in enumerate(problem.experts)}
        self.promise_s = {category.name: category.latency_budget_s for category in problem.categories}
        self.weights = {category.name: 0.0 for category in problem.categories}
        self.rows: dict[str, list[int]] = {category.name: [] for category in problem.categories}
        for index, prompt in enumerate(problem.prompts):
            self.weights[prompt.category] += prompt.weight
            self.rows[prompt.category].append(index)
        self._check_names()
        self.assigned = self._assigned()

    def _check_names(self) -> None:
        """Refuse a plan whose names the problem does not know."""
        prompts = {prompt.name for prompt in self.problem.prompts}
        decision = self.plan.decision
        named = [("expert", name, self.experts) for name in decision.selected]
        named += [("expert", route.expert, self.experts) for route in decision.routes]
        for what, name, known in named:
            if name not in known:
                raise PlanMismatch(f"the plan uses {what} {name!r}, which the problem does not have")
        for route in decision.routes:
            if route.category not in self.weights:
                raise PlanMismatch(f"the plan routes category {route.category!r}, which the problem does not have")
            if route.prompt is not None and route.prompt not in prompts:
                raise PlanMismatch(f"the plan routes prompt {route.prompt!r}, which the problem does not have")

    def _assigned(self) -> list[dict[str, float]]:
        """Return, for each prompt, the share of it that each expert answers."""
        by_prompt: dict[tuple[str, str | None], dict[str, float]] = defaultdict(dict)
        for route in self.plan.decision.routes:
            part = by_prompt[route.category, route.prompt]
            part[route.expert] = part.get(route.expert, 0.0) + route.fraction
        return [
            by_prompt.get((prompt.category, prompt.name)) or by_prompt.get((prompt.category, None), {})
            for prompt in self.problem.prompts
        ]

    @property
    def total_weight(self) -> float:
        """Weight of all prompts."""
        return math.fsum(self.weights.values())

    def answers(self, category: str) -> list[Answer]:
        """Return who answers a category, the largest share first."""
        share: dict[str, float] = defaultdict(float)
        quality: dict[str, float] = defaultdict(float)
        value: dict[str, float] = defaultdict(float)
        for row in self.rows[category]:
            for name, fraction in self.assigned[row].items():
                weight = self.problem.prompts[row].weight * fraction
                share[name] += weight
                quality[name] += weight * self.quality(row, name)
                value[name] += weight * self.value(row, name)
        total = self.weights[category]
        return [
            Answer(
                category=category,
                expert=self.experts[name],
                share=share[name] / total,
                quality=quality[name] / share[name],
                value=value[name] / share[name],
                latency_s=self.experts[name].total_latency_s(category),
                promise_s=self.promise_s[category],
                energy_j=(self.experts[name].energy_j or {}).get(category),
                energy_basis=self.experts[name].energy_basis,
            )
            for name in sorted(share, key=lambda name: (-share[name], self.column[name]))
        ]

    def quality(self, row: int, expert: str) -> float:
        """Return the quality of an expert's answer to a prompt."""
        return float(self.problem.quality.array[row, self.column[expert]])

    @cached_property
    def values(self) -> FloatArray:
        """(prompts, experts): what the objective says of each answer; NaN where a figure is absent."""
        return values(self.problem)

    def value(self, row: int, expert: str) -> float:
        """Return what an expert's answer to a prompt is worth, higher is better."""
        return float(self.values[row, self.column[expert]])

    def mean_quality(self, category: str, expert: str) -> float:
        """Return the mean quality of an expert over the prompts of a category that has any."""
        rows = self.rows[category]
        worth = math.fsum(self.problem.prompts[row].weight * self.quality(row, expert) for row in rows)
        return worth / self.weights[category]

    def eligible(self, category: str, expert: Expert) -> bool:
        """Whether an expert keeps the latency promise of a category."""
        promise, latency = self.promise_s[category], expert.total_latency_s(category)
        return promise is None or (latency is not None and latency <= promise)

    def prediction(self, quantity: str, *, category: str | None = None, device: str | None = None) -> Prediction | None:
        """Return the prediction of a quantity; ``None`` when the plan makes none."""
        key = (quantity, category, device)
        for prediction in self.plan.predictions:
            if (prediction.quantity, prediction.category, prediction.device) == key:
                return prediction
        return None

    @property
    def gap(self) -> float | None:
        """Most value that any decision could add; absent without a bound."""
        return self._above(self.plan.certificate.bound)

    @property
    def verified_gap(self) -> float | None:
        """Most value that any decision could add, as the proof in the plan shows; absent without a proof."""
        return self._above(self.plan.certificate.verified_bound)

    def _above(self, bound: float | None) -> float | None:
        return None if bound is None else max(0.0, bound - self.plan.certificate.value)

    @property
    def shown_bound(self) -> tuple[float, str] | None:
        """The bound to show: the proven one where there is one, else the claimed one; with its name."""
        certificate = self.plan.certificate
        if certificate.verified_bound is not None:
            return certificate.verified_bound, "proven bound"
        if certificate.bound is None:
            return None
        return certificate.bound, "proven bound" if self.verified else "claimed bound"

    @property
    def verified(self) -> bool:
        """Whether every claim of the certificate was re-derived by the checker."""
        claims = self.plan.certificate.claims
        whole = {claim.what for claim in claims} == {"feasibility", "objective", "bound"}
        # a bound cannot have been re-derived from nothing
        return whole and evident(self.plan.certificate) and all(claim.standing == "verified" for claim in claims)

    @property
    def closed(self) -> bool:
        """Whether bound and value agree but for rounding."""
        certificate = self.plan.certificate
        return certificate.bound is not None and closes(certificate.value, certificate.bound, scale_of(self.problem))
