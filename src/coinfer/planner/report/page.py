"""The report: one HTML page that needs no network, runs no script and shows what a plan rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from coinfer import jsonfile
from coinfer.models.selection.data import SelectionProblem
from coinfer.planner.comparison import compare
from coinfer.planner.front import FrontPoint
from coinfer.planner.report import context, decision, evidence
from coinfer.planner.report.element import Element, tag
from coinfer.planner.report.facts import Facts
from coinfer.planner.report.shell import contents, document
from coinfer.planner.selection.document import SelectionPlan
from coinfer.profiler.measurement import Measurement
from coinfer.profiler.profile import Profile


def build(
    *,
    problem: SelectionProblem,
    plan: SelectionPlan,
    front: Sequence[FrontPoint] = (),
    rows: Iterable[Measurement] = (),
    profile: Profile | None = None,
    previous: SelectionPlan | None = None,
    run_summary: Mapping[str, object] | None = None,
    title: str | None = None,
) -> str:
    """Return the report of a plan as the text of one self-contained HTML page; the same input gives the same text.

    Parameters
    ----------
    problem, plan
        The problem and a plan for it.
    front
        Plans for other budgets, for the charts of quality against energy and latency.
    rows
        Measurements of a run of this plan.
    profile
        The profile the problem was assembled from.
    previous
        The plan that this one replaces.
    run_summary
        Figures of the run by name; ``None`` as a value is shown as not measured.
    title
        Title of the page; absent: the name of the problem.

    Raises
    ------
    PlanMismatch
        If the plan names experts, categories or prompts that the problem does not have.
    """
    facts = Facts(problem, plan)
    measured = tuple(rows)
    compared = compare(plan, measured, latency_statistic=problem.latency_statistic, category_weights=facts.weights)
    sections = [
        decision.headline(facts),
        decision.answers(facts),
        decision.budgets(facts),
        decision.left_out(facts),
        context.front(facts, front),
        evidence.predictions(facts, compared, run=bool(measured)),
        context.changes(facts, previous) if previous is not None else None,
        evidence.certificate(facts),
        evidence.sources(facts, profile),
        evidence.notes(plan, run_summary),
    ]
    name = title or f"Plan: {plan.problem}"
    return document(name, _body(name, facts, [part for part in sections if part is not None]))


def _body(title: str, facts: Facts, sections: Sequence[Element]) -> Element:
    header = tag(
        "header",
        tag("p", "coinfer plan report", class_="note"),
        tag("h1", tag("bdi", title)),
        tag("p", facts.problem.description) if facts.problem.description else None,
        _mismatch(facts),
        contents(sections),
    )
    footer = tag(
        "footer", tag("p", f"Written by coinfer {facts.plan.coinfer_version}. Needs no network, runs no script.")
    )
    skip = tag("a", "Skip to the decision", href="#decision", class_="skip")
    return tag("body", skip, header, tag("main", sections), footer)


def _mismatch(facts: Facts) -> Element | None:
    """Warn when the plan was made for another problem: the figures beside each other would mislead."""
    if jsonfile.sha256(facts.problem) == facts.plan.problem_sha256:
        return None
    return tag(
        "p",
        tag("strong", "This plan was made for another version of the problem."),
        " The hashes differ, so figures from the problem and from the plan may not belong together.",
        class_="warning",
        role="alert",
    )
