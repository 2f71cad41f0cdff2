"""The page: whole, self-contained, inert against hostile names, always the same, and honest about what is absent."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from coinfer import jsonfile
from coinfer.errors import PlanMismatch
from coinfer.models.selection.data import Budgets
from coinfer.planner.make import plan as make_plan
from coinfer.planner.report import build
from coinfer.planner.units import amount, digits, unit_of
from coinfer.profiler.profile import DeviceFacts, Entry, Estimate, Profile

VOID = {"meta", "br", "wbr", "hr", "col"}
HOSTILE = "\"><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>\u202e'&amp;"


class Balance(HTMLParser):
    """Fails on a tag that is closed out of order, and keeps what could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        self.seen.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [(name, value) for name, value in attrs if name in {"src", "href", "xlink:href", "srcset"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag, f"</{tag}> closes something else at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        """Keep the words of the page, not of its style sheet."""
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def read(page: str) -> Balance:
    """Parse a page and check that every tag is closed."""
    reader = Balance()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def words(page: str) -> str:
    """Return the text of a page."""
    return " ".join("".join(read(page).words).split(" "))


def rich(example: Any) -> str:
    """Return a page with every section."""
    narrow = replace(example.problem, budgets=Budgets(energy_j=30.0, experts=2))
    estimate = Estimate(value=12.0, samples=0, basis="declared", source="data sheet")
    profile = Profile(
        devices=(DeviceFacts(name="orin-25w", description="Jetson", energy_counter="jetson"),),
        entries=(Entry(device="orin-25w", model="m", engine="e", quantity="power_w", estimate=estimate),),
    )
    return build(
        problem=example.problem,
        plan=example.plan,
        front=example.front,
        rows=example.rows,
        profile=profile,
        previous=make_plan(narrow),
        run_summary={"answered": 150, "tokens": None},
    )


def test_the_page_is_whole_and_loads_nothing(example: Any) -> None:
    """Tags balance, links stay on the page and lead somewhere, and nothing is fetched or run."""
    page = rich(example)
    reader = read(page)

    targets = set(re.findall(r' id="([^"]+)"', page))
    assert {value for _, value in reader.links} <= {f"#{name}" for name in targets}
    assert not set(reader.seen) & {"script", "img", "link", "iframe", "object", "embed", "use", "image"}
    assert not {name for name in reader.attributes if name.startswith("on") or name == "style"}
    assert "url(" not in page
    assert "@import" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_headings_tables_and_charts_can_be_read_aloud(example: Any) -> None:
    """One h1, an h2 per section, a caption and scopes per table, each id once, a name for each chart."""
    page = rich(example)
    reader = read(page)

    assert reader.seen.count("h1") == 1
    assert reader.seen.count("section") == reader.seen.count("h2") == 10
    assert reader.seen.count("table") == reader.seen.count("caption")
    assert len(re.findall(r"<th ", page)) == len(re.findall(r"<th scope=", page))
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert len(re.findall("<svg", page)) == len(re.findall(r"<svg[^>]*(?:aria-hidden|aria-label)=", page))


def test_every_prediction_appears(example: Any) -> None:
    """Each predicted value stands on the page in its unit, beside its category or device."""
    text = words(rich(example))

    for item in example.plan.predictions:
        assert amount(item.value, unit_of(item)) in text
        assert (item.device or item.category or "whole workload") in text


def test_what_was_not_measured_says_so_and_is_never_zero(example: Any) -> None:
    """Without rows every prediction is marked, and no measured column holds a figure."""
    page = build(problem=example.problem, plan=example.plan)
    measured = re.findall(r'<td [^>]*data-label="Measured">(.*?)</td>', page, flags=re.DOTALL)

    assert len(measured) == len(example.plan.predictions)
    assert all('<span class="absent">not measured</span>' in cell for cell in measured)
    assert 'class="found"' not in page


def test_the_chosen_plan_is_marked_in_both_charts_and_in_the_table(example: Any) -> None:
    """One ring per chart besides the one of the legend, and one row; the other points are there too."""
    page = rich(example)

    assert page.count('class="ring"') == 3
    assert page.count('class="chosen"') == 2
    assert page.count(">this plan</span>") == 1
    assert len(re.findall(r"<title>(?:alternative|this plan)", page)) == 2 * len(example.front)


def test_the_same_input_gives_the_same_page(example: Any) -> None:
    """No clock, no hash order, no counter enters the page."""
    assert rich(example) == rich(example)


def test_hostile_names_are_inert(example: Any) -> None:
    """Markup, quotes, overrides and very long names in every free text stay text."""
    printable = "".join(letter for letter in HOSTILE if letter.isprintable())  # names hold nothing else
    plain = {expert.name for expert in example.problem.experts} | {"code", "rtx-4070", "mixed fleet"}
    text = msgspec.json.encode(jsonfile.to_builtins(example.problem)).decode()
    for name in plain:
        text = text.replace(f'"{name}"', msgspec.json.encode(name + printable + "ü" * 300).decode())
    problem = jsonfile.convert(
        {key: value for key, value in msgspec.json.decode(text).items() if key != "format"},
        type(example.problem),
        where="p",
    )
    plan = replace(make_plan(problem), notes=(HOSTILE,), engine=HOSTILE, coinfer_version=HOSTILE)
    page = build(problem=problem, plan=plan, title=HOSTILE, run_summary={HOSTILE: HOSTILE})
    reader = read(page)

    assert not set(reader.seen) & {"script", "img"}
    assert not {name for name in reader.attributes if name.startswith("on")}
    assert "\u202e" not in page
    assert "<script>alert(1)" in "".join(reader.words)


def test_a_plan_of_another_problem_is_pointed_out(example: Any) -> None:
    """Another hash gives a warning on the page; names the problem does not have are refused."""
    page = build(problem=replace(example.problem, description="another"), plan=example.plan)
    assert "made for another version of the problem" in words(page)
    assert "made for another version" not in words(rich(example))

    decision = replace(example.plan.decision, selected=("nobody",))
    with pytest.raises(PlanMismatch, match="nobody"):
        build(problem=example.problem, plan=replace(example.plan, decision=decision))


def test_a_claim_is_never_called_proven(example: Any) -> None:
    """Proven needs every claim verified and a proof; an open gap, a bare claim and no bound each say what they are."""
    whole = example.plan.certificate
    claimed = tuple(replace(claim, standing="claimed") if claim.what == "bound" else claim for claim in whole.claims)
    bare = replace(whole, claims=claimed, proof=None, verified_bound=None)

    def lead(certificate: Any) -> str:
        page = build(problem=example.problem, plan=replace(example.plan, certificate=certificate))
        return re.sub("<[^>]+>", "", re.search(r'class="lead">(.*?)</p>', page, flags=re.DOTALL)[1])

    assert "proven optimal within the budgets" in lead(whole)
    assert "as the engine claims, not re-checked" in lead(bare)
    assert "proven" not in lead(bare)
    assert "proven" not in lead(replace(whole, proof=None, verified_bound=None))
    assert "not known" in lead(replace(bare, bound=None))
    wide = replace(whole, status="feasible", bound=whole.value + 0.1, verified_bound=whole.value + 0.1, limit="time")
    assert f"proven to be at most {digits(0.1, 2)}" in lead(wide)
    part = replace(bare, verified_bound=whole.value + 0.2)
    assert f"as the engine claims, and proven to be at most {digits(0.2, 2)}" in lead(part)


def test_the_certificate_names_proof_hashes_and_the_command(example: Any) -> None:
    """A reader learns how long the proof is, which files it belongs to, and how to check it."""
    text = words(rich(example))
    leaves = len(example.plan.certificate.proof.leaves)

    assert f"has {leaves}\u00a0lea" in text
    assert example.plan.problem_sha256 in text
    assert "coinfer verify problem.json plan.json" in text


def test_experts_left_out_are_explained_by_their_figures(example: Any) -> None:
    """The slow expert breaks every promise, the large one does not fit; both with figures and units."""
    page = build(problem=example.problem, plan=example.plan)
    rows = dict(
        re.findall(r'class="name">([^<]+)</bdi></th>(.*?)</tr>', page.split('id="left-out"')[1], flags=re.DOTALL)
    )

    assert set(rows) >= {expert.name for expert in example.problem.experts} - set(example.plan.decision.selected)
    assert "breaks every latency promise" in rows["phi-14b-q4"]
    assert "5.12\u00a0s against 1.20\u00a0s" in rows["phi-14b-q4"]
    assert "needs 8.54\u00a0GB" in rows["llama-8b-q8"]


def test_shares_of_a_category_add_up(example: Any) -> None:
    """The table of answers has every route of the plan, with the share it has."""
    page = build(problem=example.problem, plan=example.plan)

    for route in example.plan.decision.routes:
        assert f">{route.expert}</bdi>" in page.split('id="answers"')[1].split("</section>")[0]
    shares = re.findall(r'data-label="Share">([\d.]+)', page)
    assert sum(map(float, shares)) == pytest.approx(100.0 * len(example.problem.categories), abs=0.2)
