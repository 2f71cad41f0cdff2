"""The report of a test-time budget: who gets what, what it gains over treating all alike, and what proves the bound."""

from __future__ import annotations

from coinfer import jsonfile
from coinfer.models.budget.data import BudgetProblem
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.budget.frontier import Frontier, frontier
from coinfer.planner.budget.wording import (
    between,
    ended,
    evidence,
    gain,
    gap,
    information,
    quantity,
    sentence,
    small,
    spend_row,
    worth,
)
from coinfer.planner.report.budget_economics import economics
from coinfer.planner.report.curves import curves
from coinfer.planner.report.element import Element, named, tag
from coinfer.planner.report.parts import badge, facts_list, listing, note, section, table
from coinfer.planner.report.shell import contents, document
from coinfer.planner.units import NO_FIGURE, amount, count, digits, percent

MOST_STRATA = 60
"""Strata that are listed; the plan file has all."""


def build_budget(*, problem: BudgetProblem, plan: BudgetPlan, title: str | None = None) -> str:
    """Return the report of a budget plan as the text of one self-contained HTML page."""
    drawn = frontier(problem)
    sections = [
        _decision(problem, plan),
        _frontier(problem, plan, drawn),
        _budgets(plan),
        _options(problem, plan),
        economics(problem),
        _certificate(problem, plan),
        section("notes", "Notes", listing(plan.notes)) if plan.notes else None,
    ]
    name = title or f"Plan: {plan.problem}"
    return document(name, _body(name, problem, plan, [part for part in sections if part is not None]))


def _body(title: str, problem: BudgetProblem, plan: BudgetPlan, sections: list[Element]) -> Element:
    other = None
    if jsonfile.sha256(problem) != plan.problem_sha256:
        words = "This plan was made for another version of the problem."
        other = tag("p", tag("strong", words), class_="warning", role="alert")
    header = tag(
        "header",
        tag("p", "coinfer plan report", class_="note"),
        tag("h1", tag("bdi", title)),
        tag("p", problem.description) if problem.description else None,
        other,
        contents(sections),
    )
    footer = tag("footer", tag("p", f"Written by coinfer {plan.coinfer_version}. Needs no network, runs no script."))
    skip = tag("a", "Skip to the decision", href="#decision", class_="skip")
    return tag("body", skip, header, tag("main", sections), footer)


def _decision(problem: BudgetProblem, plan: BudgetPlan) -> Element:
    """Say what is decided, what was known for it, and what that gains."""
    left = gap(plan)
    interval = plan.interval
    spread = "no standard errors in the menus"
    if interval is not None:
        spread = f"{percent(interval.level)} between {digits(interval.low, 4)} and {digits(interval.high, 4)}"
    tiles = [("Mean value of a prompt", digits(plan.mean_value, 4), spread)]
    for spend in plan.spend[:2]:
        limit = "no limit" if spend.limit is None else f"of {quantity(spend.limit, spend.resource)}"
        tiles.append((f"Expected {spend.resource}", quantity(spend.expected, spend.resource), limit))
    need = next((each for each in plan.alternatives if each.what == "same_value"), None)
    if need is not None and need.bound is not None and plan.spend[0].expected > 0.0:
        ratio = need.bound / plan.spend[0].expected
        words = f"of {plan.spend[0].resource} for the same value, all prompts alike"
        tiles.append(("Without telling prompts apart", f"{ratio:.2f} times", words))
    closed = plan.certificate.limit is None
    words = "nothing better exists" if closed else ended(plan.certificate.limit or "gap")
    tiles.append(("Proven gap", "none" if left is None else percent(0.0) if closed else small(left), words))
    shown = [tag("div", tag("h3", name), tag("p", big, class_="big"), note(under)) for name, big, under in tiles]
    told = [line for line in (gain(plan, problem), between(plan)) if line is not None]
    return section(
        "decision",
        "The plan",
        tag("p", sentence(plan, problem), class_="lead"),
        tag("div", shown, class_="tiles"),
        tag("p", tag("strong", information(problem))),
        [tag("p", line) for line in told],
    )


def _frontier(problem: BudgetProblem, plan: BudgetPlan, drawn: Frontier | None) -> Element | None:
    """Draw value against spend for both planners, and this plan."""
    if drawn is None or len(drawn.spend) < 2:
        return None
    spend = next(each for each in plan.spend if each.resource == drawn.resource)
    here = (spend.expected / problem.prompts, plan.mean_value)
    chart = curves(
        [("this", drawn.spend.tolist(), drawn.value.tolist()), ("other", *_corners(drawn))],
        mark=here,
        horizontal=lambda number: quantity(number, drawn.resource, significant=3),
        label=f"Mean value of a prompt against {drawn.resource} for a prompt",
    )
    rows: list[list[Element | str]] = [
        [named(name), quantity(cost, drawn.resource), digits(value, 4)]
        for name, cost, value in zip(drawn.alike_options, drawn.alike_spend, drawn.alike_value, strict=True)
    ]
    sampled = None
    if drawn.sampled is not None:
        sampled = note(f"Drawn from {drawn.sampled:,} of the {problem.rows:,} strata, evenly spaced.")
    legend = (("this", "prompts told apart, information paid for"), ("other", "all prompts alike"))
    return section(
        "frontier",
        "Value against spend",
        tag("p", f"What more or less {drawn.resource} would bring, other limits aside. The ring is this plan."),
        tag("figure", chart),
        tag("ul", [tag("li", _key(class_), " ", words) for class_, words in legend], class_="legend"),
        sampled,
        table(
            "Options that are best for some budget when all prompts are alike; between two of them, a mixture",
            ("Option", f"{drawn.resource} for a prompt#", "Mean value#"),
            rows,
        ),
    )


def _corners(drawn: Frontier) -> tuple[list[float], list[float]]:
    return drawn.alike_spend.tolist(), drawn.alike_value.tolist()


def _key(class_: str) -> Element:
    stroke = tag("line", x1="0", x2="28", y1="8", y2="8", class_=f"line {class_}")
    return tag("svg", stroke, viewBox="0 0 28 16", class_="key wide", aria_hidden="true")


def _budgets(plan: BudgetPlan) -> Element:
    head = ("Resource", "Expected#", "At most#", "Limit#", "Used#", "Price#")
    return section(
        "budgets",
        "Budgets",
        tag("p", "Expected over all prompts. The price is the value that one more unit would bring."),
        table("What the plan takes", head, [spend_row(each) for each in plan.spend]),
    )


def _options(problem: BudgetProblem, plan: BudgetPlan) -> Element:
    """List the options that are used, and who gets them."""
    rows: list[list[Element | str]] = [
        [
            named(use.option),
            f"{use.prompts:,}",
            percent(use.prompts / problem.prompts),
            digits(use.value / use.prompts, 4),
        ]
        for use in plan.used
    ]
    unused = len(problem.options) - len(plan.used)
    return section(
        "options",
        "Who gets what",
        table("Options used", ("Option", "Prompts#", "Share#", "Mean value#"), rows),
        note(f"{count(unused, 'option')} of the menu {'is' if unused == 1 else 'are'} not used.") if unused else None,
        _strata(problem, plan),
    )


def _strata(problem: BudgetProblem, plan: BudgetPlan) -> Element:
    if problem.rows > MOST_STRATA:
        return note(f"Which of the {problem.rows:,} strata gets what stands in the plan file.")
    by_stratum: dict[int, list[str]] = {}
    for stratum, option, prompts in plan.decision.taken.array.astype(int).tolist():
        by_stratum.setdefault(stratum, []).append(f"{problem.options[option].name} ({prompts:,})")
    names = problem.strata.names or tuple(f"stratum {i}" for i in range(problem.rows))
    rows: list[list[Element | str]] = [
        [named(names[stratum]), ", ".join(options)] for stratum, options in sorted(by_stratum.items())
    ]
    return table("Options of each stratum, with their prompts", ("Stratum", "Options"), rows)


def _certificate(problem: BudgetProblem, plan: BudgetPlan) -> Element:
    certificate = plan.certificate
    rows: list[list[Element | str]] = [
        [claim.what, badge(claim.standing), claim.method] for claim in certificate.claims
    ]
    prices = "none" if certificate.proof is None else ", ".join(f"{price:.9g}" for price in certificate.proof.prices)
    bound = NO_FIGURE if certificate.bound is None else worth(problem, certificate.bound, significant=9)
    numbers = facts_list(
        [
            ("Value", worth(problem, certificate.value, significant=9)),
            ("Nothing is better than", bound),
            ("Prices", prices),
            ("Found by", plan.engine),
            ("Time of search and proof", amount(plan.seconds, "s")),
            ("Problem SHA-256", tag("code", plan.problem_sha256)),
        ]
    )
    return section(
        "certificate",
        "What is proven",
        tag("p", evidence(plan)),
        table("Claims", ("Claim", "Standing", "How"), rows),
        numbers,
    )
