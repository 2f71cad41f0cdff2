"""What a decision is worth and what it uses, re-computed from the problem alone.

Nothing of the program is used here: a wrong formulation would show. Every figure is taken as the decimal its author
wrote and added up as a fraction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.models.exact import exact
from coinfer.models.selection.check import able, check_gate, check_preference, check_selection, read_shares
from coinfer.models.selection.data import SCORED, Expert, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.deployed import deployed_gate, gate_shares
from coinfer.models.selection.usage import TOLERANCE, Consumption, Traffic, Usage, exceeds
from coinfer.models.selection.values import values
from coinfer.solver.program import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A decision, re-computed.

    Attributes
    ----------
    value
        Mean value of the routes in the sense of the objective (``values``), higher is better: mean quality, minus the
        mean energy above idle, or minus the mean cost of a pass. Traffic that no valid route answers counts 0.
    oracle_value
        Mean value if each prompt went to the best selected expert for it: an upper limit on any router.
    category_value
        Mean value if each category went to its best selected expert: what a router that knows only the category
        reaches. Neither of the two asks for energy, money, time of the devices or the quality floor.
    gate_value
        Mean value under the deployed gate, with nothing but the selection taken from the decision: gate ``softmax``
        where the problem has it, else ``top_1``. ``None`` without ``gate_scores``, and where nobody selected may
        answer some prompt.
    mean_quality
        Mean quality of the routes, whatever the objective.
    quality
        Mean quality by category.
    latency_s
        By category, the latency of the slowest expert that answers it (under the rule ``selected``: of the slowest
        selected expert, plus aggregation), which is what the promise binds; absent where it was not measured.
    category_mean_latency_s
        By category, the mean over its traffic; absent where a latency was not measured.
    mean_latency_s
        Mean over all traffic; ``None`` where a latency was not measured.
    energy_j, price_usd
        Mean per request under the routing, the idle share included; ``None`` where a figure is absent.
    worst_case_energy_j
        Largest energy, over the categories, of a request that every selected expert answers; ``None`` where a figure
        is absent.
    memory_bytes
        By device, what its selected experts hold; devices with an expert of unknown size are absent.
    usage
        Every limit and how much of it is used; limits on absent figures are absent.
    violations
        A sentence for everything that is wrong; empty for a feasible decision.
    """

    value: float
    oracle_value: float
    category_value: float
    gate_value: float | None
    mean_quality: float
    quality: dict[str, float]
    latency_s: dict[str, float]
    category_mean_latency_s: dict[str, float]
    mean_latency_s: float | None
    energy_j: float | None
    price_usd: float | None
    worst_case_energy_j: float | None
    memory_bytes: dict[str, float]
    usage: tuple[Usage, ...]
    violations: tuple[str, ...]


def evaluate(problem: SelectionProblem, decision: SelectionDecision) -> Evaluation:
    """Re-compute everything about ``decision``; whatever is wrong with it becomes a violation, never an exception."""
    total = sum((exact(prompt.weight) for prompt in problem.prompts), Fraction(0))
    weight = [exact(prompt.weight) / total for prompt in problem.prompts]
    worth = values(problem)
    order, router = _ranking(problem, decision, weight, worth)
    wrong = check_selection(problem, decision)
    shares, faults, unanswered = read_shares(problem, decision)
    wrong += faults + check_preference(decision, order)
    deployed = None if problem.gate_scores is None else _deployed(problem, problem.gate_scores.array, order)
    if deployed is not None and problem.gate in SCORED:
        wrong += check_gate(problem, shares, deployed)
    column = {expert.name: n for n, expert in enumerate(problem.experts)}
    traffic: Traffic = {}
    part = {prompt.category: Fraction(0) for prompt in problem.prompts}
    quality, value, oracle = dict(part), Fraction(0), Fraction(0)
    for i, prompt in enumerate(problem.prompts):
        part[prompt.category] += weight[i]
        for name, share in shares[i].items():
            key = (prompt.category, name)
            traffic[key] = traffic.get(key, Fraction(0)) + weight[i] * share
            quality[prompt.category] += weight[i] * share * exact(problem.quality.array[i, column[name]])
            value += weight[i] * share * exact(worth[i, column[name]])
        if order[prompt.category]:
            oracle += weight[i] * exact(max(worth[i, column[name]] for name in order[prompt.category]))
    mean_quality = sum(quality.values(), Fraction(0))
    used = Consumption(problem, _selected(problem, decision), traffic, tuple(part))
    means = {name: mean for name, mean in used.mean_latency.items() if mean is not None}
    return Evaluation(
        value=float(value),
        oracle_value=float(oracle),
        category_value=float(router),
        gate_value=None if deployed is None else _mean(weight, deployed, worth),
        mean_quality=float(mean_quality),
        quality={name: float(quality[name] / part[name]) for name in part},
        latency_s={name: float(used.latency[name] or 0) for name in part if used.latency[name] is not None},
        category_mean_latency_s={name: float(mean) for name, mean in means.items()},
        mean_latency_s=float(sum(part[name] * means[name] for name in part)) if len(means) == len(part) else None,
        energy_j=_float(used.energy),
        price_usd=_float(used.price),
        worst_case_energy_j=_float(used.worst_case),
        memory_bytes={name: float(size) for name, size in used.memory().items()},
        usage=(
            *(
                Usage(what=what, where=where, used=float(amount), limit=float(limit))
                for what, where, amount, limit in used.limits()
                if amount is not None
            ),
            *_yes_or_no(problem, decision, unanswered),
            *_floor(problem, mean_quality),
        ),
        violations=(*wrong, *_broken(used), *_below(problem, mean_quality)),
    )


def _selected(problem: SelectionProblem, decision: SelectionDecision) -> list[Expert]:
    return [expert for expert in problem.experts if expert.name in decision.selected]


def _broken(used: Consumption) -> list[str]:
    """Return a sentence for each limit that is not kept, or that nobody can tell of."""
    wrong = []
    for what, where, amount, limit in used.limits():
        if amount is None:
            wrong.append(f"{what} of {where!r} is limited, but a figure of an expert it needs is absent")
        elif exceeds(what, amount, limit):
            wrong.append(f"{what} of {where!r} is {float(amount):.12g}, over the limit of {float(limit):.12g}")
    return wrong


def _yes_or_no(problem: SelectionProblem, decision: SelectionDecision, unanswered: Fraction) -> list[Usage]:
    """Return the limits that are kept or not: required and forbidden experts, and that all traffic is answered."""
    chosen = set(decision.selected)
    return [
        *(Usage(what="required", where=name, used=float(name not in chosen), limit=0.0) for name in problem.required),
        *(Usage(what="forbidden", where=name, used=float(name in chosen), limit=0.0) for name in problem.forbidden),
        Usage(what="assignment", where="all", used=float(unanswered), limit=0.0),
    ]


def _floor(problem: SelectionProblem, mean_quality: Fraction) -> list[Usage]:
    """Return how far the mean quality is below the floor, as a limit of 0."""
    if problem.quality_floor is None:
        return []
    short = exact(problem.quality_floor) - mean_quality
    return [Usage(what="quality_floor", where="all", used=float(short), limit=0.0)]


def _below(problem: SelectionProblem, mean_quality: Fraction) -> list[str]:
    """Say so when the mean quality is below the floor by more than the tolerance on the largest quality."""
    if problem.quality_floor is None:
        return []
    floor = exact(problem.quality_floor)
    largest = max(exact(float(np.abs(problem.quality.array).max())), abs(floor))
    if floor - mean_quality <= TOLERANCE * largest:
        return []
    return [f"the mean quality is {float(mean_quality):.12g}, below the floor of {float(floor):.12g}"]


def _deployed(problem: SelectionProblem, scores: FloatArray, order: Mapping[str, Collection[str]]) -> FloatArray | None:
    """Return what the deployed gate does with the selection, (prompts, experts); ``None`` where it cannot answer.

    ``order`` names by category the selected experts that may answer it.
    """
    names = [expert.name for expert in problem.experts]
    allowed = np.array([[name in order[prompt.category] for name in names] for prompt in problem.prompts])
    if not allowed.any(axis=1).all():
        return None
    return gate_shares(scores, allowed, deployed_gate(problem))


def _mean(weight: list[Fraction], share: FloatArray, worth: FloatArray) -> float:
    """Return the mean of ``worth`` over the traffic that ``share``, (prompts, experts), stands for."""
    pairs = zip(*(axis.tolist() for axis in np.nonzero(share)), strict=True)
    return float(sum((weight[i] * exact(share[i, n]) * exact(worth[i, n]) for i, n in pairs), Fraction(0)))


def _ranking(
    problem: SelectionProblem, decision: SelectionDecision, weight: list[Fraction], worth: FloatArray
) -> tuple[dict[str, dict[str, Fraction]], Fraction]:
    """Return, by category, the mean quality of each selected expert that may answer it; and the category router's."""
    rows: dict[str, list[int]] = {}
    for i, prompt in enumerate(problem.prompts):
        rows.setdefault(prompt.category, []).append(i)
    chosen = [(n, expert) for n, expert in enumerate(problem.experts) if expert.name in decision.selected]
    means: dict[str, dict[str, Fraction]] = {}
    router = Fraction(0)
    for category, members in rows.items():
        part = sum((weight[i] for i in members), Fraction(0))
        answering = [(n, expert.name) for n, expert in chosen if able(problem, expert, category)]
        means[category] = {name: _sum(weight, problem.quality.array, members, n) / part for n, name in answering}
        router += max((_sum(weight, worth, members, n) for n, _ in answering), default=Fraction(0))
    return means, router


def _sum(weight: list[Fraction], table: FloatArray, members: list[int], n: int) -> Fraction:
    """Return the weighted sum of expert ``n``'s entries of some prompts."""
    return sum((weight[i] * exact(table[i, n]) for i in members), Fraction(0))


def _float(number: Fraction | None) -> float | None:
    return None if number is None else float(number)
