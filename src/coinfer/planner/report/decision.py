"""Sections on the decision: headline, who answers what, budgets, experts left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.usage import Usage
from coinfer.planner.report.chart import bar
from coinfer.planner.report.element import Child, Element, named, tag
from coinfer.planner.report.facts import Answer, Facts
from coinfer.planner.report.parts import badge, listing, note, section, table
from coinfer.planner.report.reasons import reasons
from coinfer.planner.units import TITLES, amount, count, digits, figure, percent, unit_of
from coinfer.planner.wording import regret, routers

LIMITS = {  # by the names that an evaluation uses: title and unit
    "experts": ("Experts selected", "count"),
    "energy_j": ("Energy per request", "J"),
    "worst_case_energy_j": ("Energy when all selected experts answer", "J"),
    "price_usd": ("Price per request", "USD"),
    "latency_s": ("Latency", "s"),
    "memory_bytes": ("Memory", "bytes"),
    "utilisation": ("Busy share", "share"),
    "quality_floor": ("Mean quality, at least", ""),
}
BINDING, TIGHT = 0.995, 0.95  # shares of a limit; integer decisions seldom meet a limit exactly


def headline(facts: Facts) -> Element:
    """Say the decision in one sentence, with the most important figures below it."""
    decision, problem = facts.plan.decision, facts.problem
    devices = [expert.device for expert in map(facts.experts.__getitem__, decision.selected)]
    sentence: list[Child] = [
        "Keep ",
        tag("strong", f"{len(decision.selected)} of {count(len(problem.experts), 'expert')}"),
        f" on {count(len(set(devices)), 'device')}: ",
        *_homes(facts),
        f". Together they answer {'for' if facts.worth.cost else 'with a mean quality of'} ",
        tag("strong", facts.worth.reach(facts.plan.certificate.value)),
        ", ",
        tag("strong", quality_of_proof(facts)),
        ".",
    ]
    return section("decision", "The decision", tag("p", *sentence, class_="lead"), _tiles(facts), _gate(facts))


def quality_of_proof(facts: Facts) -> str:
    """Say how good the decision is known to be, and never more than that."""
    if facts.gap is None:
        return "with no bound: how much better another decision could be is not known"
    if facts.verified:
        return "proven optimal within the budgets" if facts.closed else f"proven to be {_below(facts, facts.gap)}"
    claimed = "optimal within the budgets" if facts.closed else _below(facts, facts.gap)
    if facts.verified_gap is None:
        return f"{claimed} as the engine claims, not re-checked"
    return f"{claimed} as the engine claims, and proven to be {_below(facts, facts.verified_gap)}"


def _below(facts: Facts, gap: float) -> str:
    value = facts.plan.certificate.value
    share = f" ({percent(gap / abs(value))})" if value else ""
    return f"at most {facts.worth.apart(gap)}{share}"


def _homes(facts: Facts) -> Iterable[Child]:
    """Name the selected experts by device: ``A and B on X, C on Y``."""
    selected = [facts.experts[name] for name in facts.plan.decision.selected]
    order = [device.name for device in facts.problem.devices]
    selected.sort(key=lambda expert: order.index(expert.device))
    for index, (device, group) in enumerate(groupby(selected, key=lambda expert: expert.device)):
        names = [expert.name for expert in group]
        yield ", " if index else None
        for place, name in enumerate(names):
            yield None if place == 0 else " and " if place == len(names) - 1 else ", "
            yield tag("strong", named(name))
        yield " on "
        yield named(device)


def _tiles(facts: Facts) -> Element:
    worth, value = facts.worth, facts.plan.certificate.value
    tiles: list[Element] = [_tile(worth.title, worth.amount(value), _bound_words(facts))]
    for quantity in ("quality", "energy_j", "price_usd"):
        prediction = facts.prediction(quantity)
        title = "Mean quality" if quantity == "quality" else TITLES[quantity]
        if prediction is None or (title == worth.title and prediction.budget is None):
            continue
        of = ""
        if prediction.budget is not None:
            limit = amount(prediction.budget, unit_of(prediction))
            of = f"at least {limit} asked for" if quantity == "quality" else f"of {limit} allowed"
        tiles.append(_tile(title, amount(prediction.value, unit_of(prediction)), of, prediction.basis))
    latencies = [item for item in facts.plan.predictions if item.quantity == "latency_s" and item.budget]
    if latencies:
        tightest = max(latencies, key=lambda item: item.value / (item.budget or 1.0))
        of = f"of {amount(tightest.budget or 0.0, 's')} promised in {tightest.category or 'all categories'}"
        tiles.append(_tile("Tightest latency", amount(tightest.value, "s"), of, tightest.basis))
    tiles.append(_tile("Proof", *_proof_words(facts)))
    return tag("div", tiles, class_="tiles")


def _bound_words(facts: Facts) -> str:
    """Say which limit on the value is known, and how well."""
    if facts.shown_bound is None:
        return "no bound"
    bound, name = facts.shown_bound
    return f"{name}: {facts.worth.limit} {facts.worth.amount(bound)}"


def _proof_words(facts: Facts) -> tuple[str, str]:
    verified = sum(claim.standing == "verified" for claim in facts.plan.certificate.claims)
    head = "verified" if facts.verified else "claimed" if verified == 0 else "partly verified"
    return head, f"{verified} of {count(len(facts.plan.certificate.claims), 'claim')} re-checked"


def _tile(title: str, value: str, below: str, basis: str | None = None) -> Element:
    mark = badge(basis) if basis is not None else None
    return tag("div", tag("h3", title), tag("p", value, class_="big"), tag("p", below, " ", mark, class_="note"))


def _gate(facts: Facts) -> Element:
    """Say what router the plan supposes, and what other ones would make of the same experts."""
    text = {
        "oracle": "This plan supposes a router that knows the best expert for each prompt, which no real router does.",
        "category": "This plan needs a router that knows only the category of a prompt.",
        "softmax": "This plan is for the deployed gate, which draws the expert of a prompt by its scores (softmax).",
        "top_1": "This plan is for the deployed gate, which takes the selected expert with the largest score (top_1).",
    }[facts.problem.gate]
    told = [text, routers(facts.plan.alternatives, facts.worth, facts.problem)]
    told += [] if facts.plan.gate_report is None else [regret(facts.plan.gate_report)]
    return note(" ".join(told).rstrip())


def answers(facts: Facts) -> Element:
    """Tabulate which expert answers which category, and at what latency and energy."""
    statistic = facts.problem.latency_statistic
    priced = facts.problem.objective == "cost_of_pass"  # quality and energy have their columns anyway
    worth = [f"{facts.worth.title}#"] if priced else []
    rows = [
        (
            named(category) if place == 0 else tag("span", named(category), class_="again"),
            named(answer.expert.name),
            percent(answer.share),
            digits(answer.quality),
            *([facts.worth.amount(answer.value)] if priced else []),
            *_latency_cells(answer),
            [figure(answer.energy_j, "J"), " ", badge(answer.energy_basis) if answer.energy_basis else None],
        )
        for category in facts.weights
        for place, answer in enumerate(facts.answers(category))
    ]
    unused = [category for category in facts.weights if not facts.rows[category]]
    return section(
        "answers",
        "Who answers what",
        table(
            f"Answers by category; latency is the {statistic}, network included; energy is per request",
            ("Category", "Expert", "Share#", "Quality#", *worth, "Latency#", "Promise#", "Energy#"),
            rows,
        ),
        note("No calibration prompt, and so no traffic planned: ", ", ".join(unused), ".") if unused else None,
    )


def _latency_cells(answer: Answer) -> tuple[Child, Child]:
    if answer.promise_s is None:
        return figure(answer.latency_s, "s", "not measured"), "none"
    if answer.latency_s is None:
        return "not measured", amount(answer.promise_s, "s")
    kept = answer.latency_s <= answer.promise_s
    share = percent(answer.latency_s / answer.promise_s if answer.promise_s else 0.0)
    return amount(answer.latency_s, "s"), [
        amount(answer.promise_s, "s"),
        tag("small", f" {share} used" if kept else " exceeded", class_=None if kept else "bad"),
    ]


def budgets(facts: Facts) -> Element:
    """Draw every limit with what is used of it."""
    used = [usage for usage in evaluate(facts.problem, facts.plan.decision).usage if usage.what in LIMITS]
    lines = sorted(used, key=lambda usage: list(LIMITS).index(usage.what))
    if not lines:
        return section("budgets", "Budgets", tag("p", "The problem sets no limit."))
    return section(
        "budgets",
        "Budgets",
        table(
            "What the plan uses of each limit",
            ("Limit", "Used", "Used#", "Limit#", "Slack#", "State"),
            [_budget_row(facts, usage) for usage in lines],
            class_="budgets",
        ),
        note(
            f"Binding: at least {percent(BINDING)} of the limit is used, tight: at least {percent(TIGHT)}. "
            "A better value needs more of what is binding or tight."
        ),
    )


def _budget_row(facts: Facts, usage: Usage) -> Sequence[Child]:
    title, unit = LIMITS[usage.what]
    used, limit, slack = usage.used, usage.limit, usage.slack
    share = used / limit if limit else (0.0 if used == 0.0 else 2.0)
    if usage.what == "quality_floor":  # what counts there is how much of the quality is missing
        limit = facts.problem.quality_floor or 0.0
        used = limit - usage.used
        share = limit / used if limit > 0.0 and used > 0.0 else 2.0 if slack < 0.0 else 0.0
    slack = 0.0 if abs(share - 1.0) <= 1e-9 else slack  # rounding, not a breach
    level = "over" if share > 1.0 + 1e-9 else "binding" if share >= BINDING else "tight" if share >= TIGHT else "free"
    return (
        [title, *((": ", named(usage.where)) if usage.where != "all" else ())],
        bar(share, level),
        amount(used, unit),
        amount(limit, unit),
        [amount(slack, unit), tag("small", f" ({percent(max(1.0 - share, 0.0))})")],
        badge("over the limit" if level == "over" else level, "") if level != "free" else "free",
    )


def left_out(facts: Facts) -> Element:
    """Say of each expert that was not selected which figures kept it out."""
    out = [expert for expert in facts.problem.experts if expert.name not in facts.plan.decision.selected]
    if not out:
        return section("left-out", "Experts left out", tag("p", "Every expert was selected."))
    rows = [(named(expert.name), named(expert.device), listing(reasons(facts, expert))) for expert in out]
    return section(
        "left-out",
        "Experts left out",
        table("Experts that were not selected, and why", ("Expert", "Device", "Why"), rows, class_="reasons"),
        note(
            "Worked out from the figures of the problem, one expert at a time; the optimum weighs all of them at once."
        ),
    )
