"""The report of a placement: before and after, affinity by device, loads, and what proves the bound."""

from __future__ import annotations

import numpy as np

from coinfer import jsonfile
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import Copies, Flow, PlacementScores, copies
from coinfer.models.placement.formulate import contiguous, distances, stacked
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.placement.wording import ended, evidence, gap, sentence, worth
from coinfer.planner.report.drawings import matrix, over_time, paired_bars, reordered
from coinfer.planner.report.element import Element, named, tag
from coinfer.planner.report.parts import badge, facts_list, listing, note, section, table
from coinfer.planner.report.shell import contents, document
from coinfer.planner.units import NO_FIGURE, amount, count, digits, percent
from coinfer.solver.assignment.program import imbalance
from coinfer.solver.program import FloatArray


def build_placement(*, problem: PlacementProblem, plan: PlacementPlan, title: str | None = None) -> str:
    """Return the report of a placement as the text of one self-contained HTML page.

    Raises
    ------
    CertificateError
        If the decision does not have the shape of the problem.
    """
    facts = _Facts(problem, plan)
    sections = [
        _decision(facts),
        _crossings(facts),
        _affinity(facts),
        _loads(facts),
        _certificate(facts),
        _notes(facts),
    ]
    name = title or f"Plan: {plan.problem}"
    return document(name, _body(name, facts, [part for part in sections if part is not None]))


class _Facts:
    """Problem and plan side by side, and where the tokens go before and after."""

    def __init__(self, problem: PlacementProblem, plan: PlacementPlan) -> None:
        self.problem, self.plan = problem, plan
        self.made = copies(problem, plan.decision)
        self.plain = copies(problem, PlacementDecision(slots=contiguous(problem)))
        self.counts = stacked(problem.transitions, problem.layers, problem.experts)
        self.known = problem.transitions is not None and bool(self.counts.any())

    def device_loads(self, made: Copies) -> FloatArray:
        """Return the load of each device in each layer, (layers, devices)."""
        flow = Flow.of(self.problem, made, self.counts, distances(self.problem))
        loads: FloatArray = np.einsum("le,leg->lg", self.problem.loads.array, flow.served)
        return loads


def _body(title: str, facts: _Facts, sections: list[Element]) -> Element:
    problem, plan = facts.problem, facts.plan
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


def _decision(facts: _Facts) -> Element:
    problem, plan = facts.problem, facts.plan
    left = gap(plan)
    better = _change(plan.contiguous_fit.crossing, plan.fit.crossing)
    tiles = [
        ("Crossing, fitted tokens", _share(plan.fit.crossing), better),
        (
            "Crossing, held-out tokens",
            _share(None if plan.heldout is None else plan.heldout.crossing),
            "no tokens were held out"
            if plan.heldout is None or plan.contiguous_heldout is None
            else _change(plan.contiguous_heldout.crossing, plan.heldout.crossing),
        ),
        ("Mean imbalance", digits(plan.fit.imbalance_mean, 4), f"worst layer {digits(plan.fit.imbalance_worst, 4)}"),
        ("Proven gap", "none" if left is None else percent(left), ended(plan.certificate.limit or "optimum")),
    ]
    if plan.certificate.limit is None:
        tiles[-1] = ("Proven gap", percent(0.0), "nothing better exists")
    shown = [tag("div", tag("h3", name), tag("p", big, class_="big"), note(small)) for name, big, small in tiles]
    return section(
        "decision",
        "The placement",
        tag("p", sentence(plan, problem), class_="lead"),
        tag("div", shown, class_="tiles"),
        _scores(plan),
        _slots(facts),
    )


def _share(number: float | None) -> str:
    return NO_FIGURE if number is None else percent(number)


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None or before == 0.0:
        return "without transitions there is no crossing"
    return f"{percent(after / before - 1.0, signed=True)} against experts in order ({percent(before)})"


def _scores(plan: PlacementPlan) -> Element:
    """List every score before and after."""
    head = (
        "Tokens",
        "Placement",
        "Crossing#",
        "Node crossing#",
        "Mean cost#",
        "Imbalance#",
        "Worst layer#",
        "Fan-out#",
    )
    given = [
        ("fitted", "experts in order", plan.contiguous_fit),
        ("fitted", "this plan", plan.fit),
        ("held out", "experts in order", plan.contiguous_heldout),
        ("held out", "this plan", plan.heldout),
    ]

    def row(tokens: str, name: str, scores: PlacementScores) -> list[str | Element]:
        figures = [scores.crossing, scores.node_crossing]
        numbers = [scores.transition_cost, scores.imbalance_mean, scores.imbalance_worst, scores.fan_out]
        words: list[str | Element] = [f"{tokens} ({scores.tokens:,})", name]
        words += ["–" if share is None else percent(share) for share in figures]
        return words + ["–" if number is None else digits(number, 4) for number in numbers]

    rows = [row(tokens, name, scores) for tokens, name, scores in given if scores is not None]
    return table("What each placement does to the tokens; loads by device over their mean", head, rows)


def _slots(facts: _Facts) -> Element:
    """List which experts lie where, layer by layer, folded away."""
    problem = facts.problem
    ends = np.cumsum(problem.device_slots).tolist()
    rows = []
    for layer, slots in enumerate(facts.plan.decision.slots):
        cells = []
        for start, end in zip([0, *ends], ends, strict=False):
            held = [expert for expert in slots[start:end] if expert >= 0]
            cells.append(" ".join(str(expert) for expert in held) or "none")
        rows.append([f"layer {layer}", *cells])
    head = ("Layer", *(device.name for device in problem.devices))
    words = f"Experts of each device in each of {count(problem.layers, 'layer')}"
    if len(problem.devices) > 12:
        return note("Which expert lies where stands in the plan file; the table is left out for more than 12 devices.")
    return tag("details", tag("summary", words), table("Experts by number", head, rows))


def _crossings(facts: _Facts) -> Element | None:
    if not facts.known:
        return None
    plan = facts.plan
    chart = paired_bars(
        plan.contiguous_fit.crossing_by_layer,
        plan.fit.crossing_by_layer,
        label="Share of transitions that change device, by layer",
        names=("experts in order", "this plan"),
    )
    return section(
        "crossings",
        "Crossings by layer",
        tag("p", "Share of the transitions from each layer to the next that change device, on the fitted tokens."),
        tag("figure", chart),
        _legend(("other", "experts in order"), ("this", "this plan")),
    )


def _legend(*marks: tuple[str, str]) -> Element:
    def key(class_: str) -> Element:
        square = tag("rect", x="2", y="2", width="12", height="12", class_=class_)
        return tag("svg", square, viewBox="0 0 16 16", class_="key", aria_hidden="true")

    return tag("ul", [tag("li", key(class_), " ", words) for class_, words in marks], class_="legend")


def _affinity(facts: _Facts) -> Element | None:
    """Draw the counts of the pair of layers that gained most, before and after, and the traffic between devices."""
    if not facts.known:
        return None
    problem, plan = facts.problem, facts.plan
    saved = np.subtract(plan.contiguous_fit.crossing_by_layer, plan.fit.crossing_by_layer)
    layer = int(np.argmax(saved))
    figures = []
    for made, words in ((facts.plain, "experts in order"), (facts.made, "this plan")):
        rows, columns = made.shares[layer].argmax(axis=1), made.shares[layer + 1].argmax(axis=1)
        ordered = reordered(facts.counts[layer], rows, columns)
        edges = np.cumsum(np.bincount(rows, minlength=len(problem.devices)))[:-1].tolist()
        label = f"Transitions from layer {layer} to layer {layer + 1}, experts by device: {words}"
        drawn = matrix(ordered, edges=edges, label=label, rows=f"experts of layer {layer}", columns="of the next layer")
        figures.append(tag("figure", drawn, tag("figcaption", f"{label}. Dark inside the boxes stays on its device.")))
    traffic = np.einsum("leg,lef,lfh->gh", facts.made.shares[:-1], facts.counts, facts.made.shares[1:])
    label = "Transitions between devices, all layers together, this plan"
    drawn = matrix(
        traffic,
        edges=list(range(1, len(problem.devices))),
        label=label,
        rows="from device",
        columns="to device",
    )
    figures.append(tag("figure", drawn, tag("figcaption", f"{label}. What is off the diagonal crosses.")))
    return section("affinity", "Affinity, reordered by device", tag("div", figures, class_="charts"))


def _loads(facts: _Facts) -> Element:
    """Compare the loads of the devices, and their imbalance by layer."""
    problem = facts.problem
    before, after = facts.device_loads(facts.plain), facts.device_loads(facts.made)
    chart = paired_bars(
        imbalance(before).tolist(),
        imbalance(after).tolist(),
        label="Largest load over mean load, by layer",
        names=("experts in order", "this plan"),
    )
    total_before, total_after = before.sum(axis=0), after.sum(axis=0)
    whole = max(1.0, float(total_after.sum()))
    rows: list[list[Element | str]] = [
        [named(device.name), device.node or "–", str(slots), percent(float(old) / whole), percent(float(new) / whole)]
        for device, slots, old, new in zip(
            problem.devices, problem.device_slots, total_before, total_after, strict=True
        )
    ]
    head = ("Device", "Node", "Slots a layer#", "Load, experts in order#", "Load, this plan#")
    cap = problem.load_cap
    limit = None
    if cap is not None:
        words = "in every layer" if cap.over == "worst_layer" else "in the mean over the layers"
        limit = tag("p", f"The cap is {digits(cap.imbalance, 4)} {words}.")
    return section(
        "loads",
        "Load by device",
        tag("p", "Largest load of a device over the mean load of the devices, layer by layer, on the fitted tokens."),
        limit,
        tag("figure", chart),
        _legend(("other", "experts in order"), ("this", "this plan")),
        table("Tokens served over all layers", head, rows),
    )


def _certificate(facts: _Facts) -> Element:
    plan, certificate = facts.plan, facts.plan.certificate
    moments = plan.trajectory
    chart = over_time(
        [moment.seconds for moment in moments],
        [moment.value for moment in moments],
        [moment.bound for moment in moments],
        label="Best placement and proven bound over time",
    )
    rows = [[claim.what, badge(claim.standing), claim.method] for claim in certificate.claims]
    drawn = None
    if chart is not None:
        drawn = tag("figure", chart, tag("figcaption", f"{worth(facts.problem)}: best found, and bound (dashed)"))
    numbers = facts_list(
        [
            ("Value", digits(certificate.value, 6)),
            ("No placement is below", NO_FIGURE if certificate.bound is None else digits(certificate.bound, 6)),
            ("Found by", plan.engine),
            ("Time of search and proof", amount(plan.seconds, "s")),
            ("Problem SHA-256", tag("code", plan.problem_sha256)),
        ]
    )
    return section(
        "certificate",
        "What is proven",
        tag("p", evidence(plan)),
        drawn,
        table("Claims", ("Claim", "Standing", "How"), rows),
        numbers,
    )


def _notes(facts: _Facts) -> Element | None:
    problem, plan = facts.problem, facts.plan
    told: list[str] = list(plan.notes)
    if plan.moved is not None:
        told.append(f"{count(plan.moved, 'copy', 'copies')} must be loaded on a device that does not hold it now.")
    shrinkage = problem.shrinkage
    if shrinkage is not None:
        how = "given" if shrinkage.folds is None else f"chosen by {shrinkage.folds}-fold cross-validation"
        guess = "the tokens' other choices" if shrinkage.toward == "other_choices" else "independent layers"
        told.append(f"Counts were drawn toward {guess} with strength {shrinkage.strength:g} ({how}).")
    return section("notes", "Notes", listing(told)) if told else None
