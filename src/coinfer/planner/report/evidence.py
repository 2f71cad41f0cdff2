"""Sections on the evidence: predicted against measured, certificate, where the figures come from, notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from coinfer.planner.claims import Claim
from coinfer.planner.comparison import Compared
from coinfer.planner.report.chart import Axis, interval_plot
from coinfer.planner.report.decision import quality_of_proof
from coinfer.planner.report.element import Child, Element, named, tag
from coinfer.planner.report.facts import Facts
from coinfer.planner.report.parts import BASES, badge, facts_list, listing, note, section, table
from coinfer.planner.sample import Measured
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.units import NOT_MEASURED, TITLES, amount, count, digits, interval, percent, precise, unit_of
from coinfer.planner.wording import proof
from coinfer.profiler.profile import Profile

CLAIMS = {
    "feasibility": "The decision keeps every budget and promise.",
    "objective": "The decision is worth what is stated.",
    "bound": "No other decision is better than the bound.",
}

SUPPOSED = {  # by gate: what the predictions rest on
    "oracle": "The predictions suppose that each prompt goes to its best expert, which no real router reaches: a "
    "measured quality below the predicted one is to be expected.",
    "softmax": "The predictions suppose that the gate scores new prompts as it scored those of the problem.",
    "top_1": "The predictions suppose that the gate scores new prompts as it scored those of the problem.",
}


def predictions(facts: Facts, compared: Sequence[Compared], *, run: bool) -> Element:
    """Put predictions and measurements side by side, one table for each quantity."""
    tables = [
        _quantity(name, tuple(group))
        for name, group in groupby(_by_quantity(compared), key=lambda item: item.prediction.quantity)
    ]
    head = (
        "The plan has not been run, or its measurements were not given: every line below is a prediction only."
        if not run
        else "Bar: prediction with its interval, where the profile has one. Dot: measured value with its 95 % interval."
    )
    verdicts = note(
        badge("inside"),
        " measured value in the predicted interval. ",
        badge("near"),
        " outside, but the intervals overlap. ",
        badge("outside"),
        " they do not. Where a prediction has no interval, it ",
        badge("agrees"),
        " or ",
        badge("differs"),
        " by whether it lies in the measured interval.",
    )
    supposed = note(SUPPOSED[facts.problem.gate]) if facts.problem.gate in SUPPOSED else None
    return section("predictions", "Predicted and measured", tag("p", head), supposed, verdicts if run else None, tables)


def _by_quantity(compared: Sequence[Compared]) -> list[Compared]:
    order = list(TITLES)
    return sorted(compared, key=lambda item: order.index(item.prediction.quantity))


def _quantity(name: str, compared: Sequence[Compared]) -> Element:
    unit = unit_of(compared[0].prediction)
    ends = [value for item in compared for value in _ends(item)]
    axis = Axis.over(ends, 6.0, 194.0)
    statistic = ", ".join(dict.fromkeys(item.statistic for item in compared))
    scale = f"{amount(axis.low, unit)} to {amount(axis.high, unit)}{', logarithmic' if axis.logarithmic else ''}"
    rows = [
        (
            _place(item),
            _predicted(item, unit),
            _measured(item, unit),
            _plot(axis, item),
            "–" if item.relative_error is None else percent(item.relative_error, signed=True),
            _verdict(item),
        )
        for item in compared
    ]
    caption = f"{TITLES[name]} ({'per device' if name == 'memory_bytes' else statistic}); plots from {scale}"
    head = ("For", "Predicted#", "Measured#", "Both", "Error#", "Verdict")
    return table(caption, head, rows, class_="compared")


def _ends(item: Compared) -> list[float]:
    values = [item.prediction.value, item.prediction.low, item.prediction.high]
    if item.measured is not None:
        values += [item.measured.value, item.measured.low, item.measured.high]
    return [value for value in values if value is not None]


def _plot(axis: Axis, item: Compared) -> Element:
    found = item.measured
    return interval_plot(
        axis,
        (item.prediction.value, item.prediction.low, item.prediction.high),
        None if found is None else (found.value, found.low, found.high),
    )


def _place(item: Compared) -> Child:
    place = item.prediction.device or item.prediction.category
    return "whole workload" if place is None else named(place)


def _small(low: float | None, high: float | None, unit: str) -> list[Element]:
    written = interval(low, high, unit)
    return [] if written is None else [tag("br"), tag("small", written)]


def _predicted(item: Compared, unit: str) -> Child:
    prediction = item.prediction
    mark = badge(prediction.basis) if prediction.basis is not None else None
    return [amount(prediction.value, unit), " ", mark, *_small(prediction.low, prediction.high, unit)]


def _measured(item: Compared, unit: str) -> Child:
    """Write the measured value, or why there is none; a declared figure is named and kept apart."""
    if item.measured is not None:
        return _with_samples(item.measured, unit)
    parts: list[Element | str] = [tag("span", NOT_MEASURED, class_="absent")]
    if item.absent_because is not None:
        parts += [tag("br"), tag("small", item.absent_because)]
    if item.declared is not None:
        parts += [tag("br"), badge("declared"), tag("small", f" {amount(item.declared.value, unit)}, not compared")]
    return parts


def _with_samples(found: Measured, unit: str) -> list[Element | str]:
    return [
        amount(found.value, unit),
        *_small(found.low, found.high, unit),
        tag("br"),
        tag("small", count(found.samples, "sample")),
    ]


def _verdict(item: Compared) -> Child:
    """Say whether the measurement bears the prediction out, and whether the limit was kept."""
    if item.measured is None:
        return "–"
    budget = {None: None, True: "within the limit", False: "over the limit"}[item.keeps_budget]
    words: Element | str = "no interval to judge by"
    if item.inside is not None:
        words = _within(inside=item.inside, overlaps=item.overlaps is True)
    elif item.plausible is not None:  # the problem carried a bare number: turn the question round
        words = badge("agrees", "the predicted value lies in the measured 95 % interval")
        if not item.plausible:
            words = badge("differs", "the predicted value lies outside the measured 95 % interval")
    return [words, tag("br") if budget else None, tag("small", budget) if budget else None]


def _within(*, inside: bool, overlaps: bool) -> Element:
    if inside:
        return badge("inside", "the measured value lies in the predicted interval")
    if overlaps:
        return badge("near", "outside the predicted interval, but the two intervals overlap")
    return badge("outside", "outside the predicted interval, and the two intervals do not overlap")


def certificate(facts: Facts) -> Element:
    """Say in plain words what was re-checked, by what method, and how to check it again."""
    plan = facts.plan
    shown = proof(plan.certificate)
    carried = "It carries no data from which the bound could be re-derived."
    if shown is not None:
        carried = f"Its proof of the bound has {shown}."
    rows = [
        (CLAIMS[claim.what], badge(claim.standing, _standing(claim)), claim.method) for claim in plan.certificate.claims
    ]
    return section(
        "certificate",
        "Why to believe it",
        tag("p", f"The plan is {quality_of_proof(facts)}. {carried}"),
        table("Claims of the certificate, as the plan file states them", ("Claim", "Standing", "Method"), rows),
        note(
            badge("verified"),
            " re-derived from the problem alone by a checker that shares nothing with the solvers. ",
            badge("claimed"),
            " an engine said so. ",
            "This page repeats the plan file. To check it again on your own machine, without any solver:",
        ),
        tag("pre", tag("code", "coinfer verify problem.json plan.json"), tabindex="0"),
        facts_list(_identity(facts)),
    )


def _standing(claim: Claim) -> str:
    return "re-derived by the checker" if claim.standing == "verified" else "an engine said so"


def _identity(facts: Facts) -> list[tuple[str, Child]]:
    plan, worth = facts.plan, facts.worth
    certificate = plan.certificate

    def figure(value: float | None) -> str:
        if value is None:
            return "none"
        return worth.exact(value) + (f" (in the file: {precise(value, '')})" if worth.cost else "")

    return [
        ("Value", figure(certificate.value)),
        ("Bound", figure(certificate.bound)),
        ("Bound shown by the proof", figure(certificate.verified_bound)),
        (
            "Status",
            certificate.status if certificate.limit is None else f"{certificate.status}, ended by: {certificate.limit}",
        ),
        ("Found by", f"{plan.engine}, {amount(plan.seconds, 's')} of search and proof"),
        ("coinfer", plan.coinfer_version),
        ("Problem SHA-256", tag("code", plan.problem_sha256)),
        (
            "Profile SHA-256",
            tag("code", plan.profile_sha256) if plan.profile_sha256 else "the problem carries its figures",
        ),
    ]


def sources(facts: Facts, profile: Profile | None) -> Element:
    """Explain the marks of the figures, and count the estimates of the profile by where they come from."""
    legend = tag("ul", [tag("li", badge(word), f" {meaning}") for word, meaning in BASES.items()], class_="legend")
    by_source: dict[str, list[str]] = {}
    for expert in facts.problem.experts:
        if expert.source is not None:
            by_source.setdefault(expert.source, []).append(expert.name)
    listed = listing([f"{source}: ", *_apart(names)] for source, names in by_source.items()) if by_source else None
    return section("sources", "Where the figures come from", legend, _profile(profile), listed)


def _apart(names: Sequence[str]) -> list[Element | str]:
    """Put commas between names."""
    return [part for index, name in enumerate(names) for part in ((", ",) if index else ()) + (named(name),)]


def _profile(profile: Profile | None) -> Child:
    if profile is None:
        return tag("p", "No profile was given; the figures are those of the problem file.")
    bases = Counter(entry.estimate.basis for entry in profile.entries)
    devices = [
        (
            named(device.name),
            device.description,
            device.energy_counter or "none: energy is declared or published, never measured",
        )
        for device in profile.devices
    ]
    counted = ", ".join(f"{number} {basis}" for basis, number in sorted(bases.items()))
    return [
        tag("p", f"The profile holds {count(len(profile.entries), 'estimate')}: {counted or 'none'}."),
        table("Devices of the profile", ("Device", "Description", "Energy counter"), devices),
    ]


def notes(plan: SelectionPlan, summary: Mapping[str, object] | None) -> Element | None:
    """List what the planner left on the menu's side, and what a run reported."""
    told = listing(plan.notes) if plan.notes else None
    ran = facts_list((key, _plain(value)) for key, value in summary.items()) if summary else None
    if told is None and ran is None:
        return None
    return section("notes", "Notes", told, tag("h3", "The run") if ran is not None else None, ran)


def _plain(value: object) -> str:
    """Write a figure of the run; what is absent is said to be."""
    if value is None:
        return NOT_MEASURED
    return digits(value, 4) if isinstance(value, float) else str(value)
