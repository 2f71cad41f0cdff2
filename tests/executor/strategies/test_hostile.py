"""A hostile endpoint with a meter of its own: what it bills, coinfer charges; nothing hangs on the order of arrival."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from coinfer import jsonfile
from coinfer.errors import EndpointError
from coinfer.executor.backends.openai import OpenAIBackend
from coinfer.executor.backends.openai_probe import PROBE_CALLS
from coinfer.executor.budget import Amount
from coinfer.executor.options import RunOptions
from coinfer.executor.repetition import request_seed
from coinfer.executor.strategies.endpoints import Endpoints, RoleEndpoint
from coinfer.executor.strategies.journal import AskLine, LossLine, ReplyLine, SessionJournal, SessionsHeader
from coinfer.executor.strategies.opening import MOST_PROBED, opened
from coinfer.executor.strategies.provider import LanguageModel, TokenPrice
from coinfer.executor.strategies.registry import option_to_run, strategy_named
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer
from coinfer.models.endpoint import Endpoint
from coinfer.testing.hostile import Bill, Character, HostileServer, Hostility
from coinfer.testing.strategies import question

PRICE = TokenPrice(prompt_usd=1e-6, output_usd=4e-6)
HEADER = SessionsHeader(work_sha256="hostile", seed=0)
MOST = 24
EVERY_FAULT = {
    Hostility.ERROR: 0.02,
    Hostility.LATE_ERROR: 0.01,
    Hostility.DROP: 0.02,
    Hostility.BUSY: 0.03,
    Hostility.CUT: 0.02,
    Hostility.CUT_STREAM: 0.02,
    Hostility.GARBAGE: 0.01,
    Hostility.NO_USAGE: 0.02,
    Hostility.FEWER: 0.03,
    Hostility.NO_CHOICES: 0.01,
}
OPTIONS = {
    "single": {},
    "self_consistency": {"samples": 5.0},
    "early_stopping": {"samples": 16.0, "window": 3.0},
    "adaptive_consistency": {"samples": 16.0, "threshold": 0.9, "dirichlet": 0.0},
    "perplexity_selection": {"samples": 4.0},
    "probability_vote": {"samples": 3.0},
    "one_sample_gate": {"samples": 2.0, "threshold": 0.2},
    "judged_best_of": {"samples": 2.0},
}


def work(sessions: int, names: tuple[str, ...] = tuple(OPTIONS)) -> list[Work]:
    """Give each prompt a strategy, in turn."""
    return [
        Work(
            prompt=question(id=f"q{i}", max_tokens=MOST, tokens=20.0 + i % 7),
            strategy=strategy_named(names[i % len(names)]),
            option=option_to_run(names[i % len(names)], OPTIONS[names[i % len(names)]]),
        )
        for i in range(sessions)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did, by coinfer's books and by the server's."""

    answers: dict[str, Answer]
    spent: Amount
    used: Amount
    bills: list[Bill]
    lines: list[AskLine | ReplyLine | LossLine]


def run(path: Path, character: Character, items: list[Work], *, several: bool = True, **limits: float) -> Outcome:
    """Run the work against a server of this character."""

    async def main(url: str) -> tuple[dict[str, Answer], SessionScheduler]:
        backend = OpenAIBackend(url, model="m", chat=True, timeout_s=30.0)
        model = LanguageModel(backend, price=PRICE, several=several, concurrency=32, timeout_s=30.0)
        options = RunOptions(
            concurrency=32,
            backoff_s=0.001,
            breaker_failures=10**6,
            **limits,  # type: ignore[arg-type]
        )
        with SessionJournal(path, HEADER) as journal:
            scheduler = SessionScheduler(providers={"answer": model, "judge": model}, journal=journal, options=options)
            try:
                return await scheduler.run(items), scheduler
            finally:
                await backend.close()

    with HostileServer(character) as server:
        answers, scheduler = asyncio.run(main(server.url))
    used = Amount()
    for each in scheduler.used.values():
        used = used.plus(each)
    texts = path.read_text().splitlines()[1:]
    lines = [
        jsonfile.convert(jsonfile.parse(text, where="journal"), AskLine | ReplyLine | LossLine, where="journal")
        for text in texts
    ]
    return Outcome(answers=answers, spent=scheduler.spent, used=used, bills=server.bills, lines=lines)


def billed(bills: list[Bill]) -> tuple[int, int]:
    return sum(bill.prompt_tokens for bill in bills), sum(bill.output_tokens for bill in bills)


def told(outcome: Outcome) -> dict[int, list[tuple[int, int]]]:
    """Return the bills that the client could read, by seed."""
    found: dict[int, list[tuple[int, int]]] = {}
    for bill in outcome.bills:
        if bill.told:
            assert bill.seed is not None
            found.setdefault(bill.seed, []).append((bill.prompt_tokens, bill.output_tokens))
    return found


@pytest.mark.parametrize("several", [True, False])
def test_the_meter_of_the_server_is_the_meter_of_the_run(tmp_path: Path, several: bool) -> None:
    """Replies that arrived whole are charged to the token; all others at least what the server billed for them.

    What can be known: a reply that came whole with its usage. What cannot: one cut, dropped, garbled, without usage,
    or cancelled; it is charged at what was set aside, which is no less, since this server keeps max_tokens.
    """
    outcome = run(
        tmp_path / "journal", Character(seed=3, faults=EVERY_FAULT, delay_s=0.002), work(320), several=several
    )
    bills, known = outcome.bills, told(outcome)
    assert set(EVERY_FAULT) - {bill.fault for bill in bills} <= (set() if several else {Hostility.FEWER})
    settled: dict[str, list[ReplyLine | LossLine]] = {}
    for line in outcome.lines:
        if not isinstance(line, AskLine):
            settled.setdefault(line.key, []).append(line)
    exact: Counter[str] = Counter()
    for key, lines in settled.items():
        seed = request_seed(0, key)
        mine = known.pop(seed, [])
        assert len(mine) <= 1, "a reply that arrived was asked for again"
        equal = [line for line in lines if (line.charged.prompt_tokens, line.charged.tokens) in mine]
        exact.update(type(line).__name__ for line in equal)
        if not equal and mine:
            assert lines[-1].reason.startswith("cancelled"), "a bill that was readable was not read"  # type: ignore[union-attr]
        for line in lines:
            if isinstance(line, ReplyLine) and line not in equal:
                (bill,) = (each for each in bills if each.seed == seed and each.fault is Hostility.NO_USAGE)
                assert bill.prompt_tokens <= line.charged.prompt_tokens
                assert bill.output_tokens <= line.charged.tokens
    assert not known, "the server was asked for something that is not in the journal"
    assert exact["ReplyLine"] > 350
    assert exact["LossLine"] > 0
    read, written = billed(bills)
    assert read <= outcome.spent.prompt_tokens
    assert written <= outcome.spent.tokens
    assert len(bills) == outcome.spent.calls
    assert outcome.used.tokens == outcome.spent.tokens
    assert sum(answer.text is not None for answer in outcome.answers.values()) > 300


def test_without_losses_both_meters_are_equal_to_the_token(tmp_path: Path) -> None:
    """Where every failure comes before any work, totals are equal: prompt tokens, output tokens, calls and price."""
    faults = {Hostility.BUSY: 0.1, Hostility.FEWER: 0.1, Hostility.LONG: 0.05, Hostility.NO_CHOICES: 0.02}
    names = ("single", "self_consistency", "perplexity_selection", "judged_best_of")
    outcome = run(tmp_path / "journal", Character(seed=1, faults=faults, delay_s=0.001), work(200, names))
    assert {bill.fault for bill in outcome.bills} == {None, *faults}
    assert billed(outcome.bills) == (outcome.spent.prompt_tokens, outcome.spent.tokens)
    assert outcome.spent.calls == len(outcome.bills)
    read, written = billed(outcome.bills)
    assert outcome.spent.usd == pytest.approx(read * PRICE.prompt_usd + written * PRICE.output_usd)


@pytest.mark.parametrize("several", [True, False])
def test_answers_do_not_depend_on_delays(tmp_path: Path, several: bool) -> None:
    """The same replies, late and reordered in other ways, give the same answers, faults and all."""
    found = []
    for number, delay_s in enumerate((0.0, 0.004, 0.004)):
        character = Character(seed=5, faults=EVERY_FAULT, delay_s=delay_s, delay_seed=number)
        outcome = run(tmp_path / str(number), character, work(80), several=several)
        found.append(outcome)
    assert found[0].answers == found[1].answers == found[2].answers
    orders = [[bill.seed for bill in outcome.bills] for outcome in found]
    assert orders[1] != orders[2], "nothing was reordered: the test shows nothing"


@pytest.mark.parametrize(("seed", "cap"), [(1, 0), (2, 700), (3, 4000), (4, 9000)])
def test_a_cap_holds_against_every_fault_of_an_endpoint_that_keeps_max_tokens(
    tmp_path: Path, seed: int, cap: int
) -> None:
    """What the server billed, cut and dropped replies among it, stays within the caps on tokens and on price."""
    character = Character(seed=seed, faults=EVERY_FAULT, delay_s=0.001)
    usd = cap * PRICE.output_usd * 1.5
    outcome = run(tmp_path / "journal", character, work(120), max_output_tokens=cap, max_price_usd=usd)
    read, written = billed(outcome.bills)
    assert written <= outcome.spent.tokens <= cap
    assert read * PRICE.prompt_usd + written * PRICE.output_usd <= outcome.spent.usd <= usd
    assert len(outcome.answers) == 120


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ignored_max_tokens_are_metered_and_every_call_that_is_sent_fits(tmp_path: Path, seed: int) -> None:
    """An endpoint that ignores max_tokens is charged what it bills; no call is sent that could pass the cap as known.

    Only the excess of a call over what was set aside for it can pass the cap, and after that nothing is sent.
    """
    cap = 6_000
    faults = {Hostility.LONG: 0.2, Hostility.BUSY: 0.05}
    character = Character(seed=seed, faults=faults, mean_tokens=30.0, tail=1.3, delay_s=0.002)
    outcome = run(tmp_path / "journal", character, work(250, ("single", "self_consistency")), max_output_tokens=cap)
    assert billed(outcome.bills) == (outcome.spent.prompt_tokens, outcome.spent.tokens)
    held: dict[int, int] = {}
    spent = excess = worst = widened = 0
    for line in outcome.lines:
        worst = max(worst, line.reserved.tokens if isinstance(line, AskLine) else 0)
        if not isinstance(line, AskLine):
            excess += max(0, line.charged.tokens - held.pop(line.call))
            spent += line.charged.tokens
        elif line.call in held:
            assert line.reserved.tokens >= held[line.call], "what is set aside was narrowed"
            widened += 1
            held[line.call] = line.reserved.tokens
        else:
            held[line.call] = line.reserved.tokens
            worst = max(worst, line.reserved.tokens)
            assert spent + sum(held.values()) <= cap, "a call was sent that did not fit"
    assert outcome.spent.tokens == spent
    assert excess > 0
    assert widened > 0, "calls in flight were not set aside more for"
    assert spent - excess <= cap
    assert worst > 5 * MOST, "an endpoint that took more was not set aside more for"
    assert any(answer.text is None for answer in outcome.answers.values()), "the cap never bound: nothing is shown"


@pytest.mark.parametrize("seed", range(3))
def test_what_finding_out_costs_is_charged_and_not_paid_again(tmp_path: Path, seed: int) -> None:
    """Questions of what an endpoint offers get past its failures, are charged as billed, and are not asked twice."""
    faults = {Hostility.BUSY: 0.2, Hostility.ERROR: 0.1, Hostility.CUT: 0.1, Hostility.NO_USAGE: 0.2}
    with HostileServer(Character(seed=seed, faults=faults, most_in_row=2)) as server:
        endpoint = Endpoint(backend="openai", model="m", url=server.url, chat=True)
        ends = Endpoints(roles={"answer": RoleEndpoint(endpoint=endpoint, price=PRICE)})

        async def main() -> tuple[frozenset[str], int]:
            with SessionJournal(tmp_path / "journal", HEADER) as journal:
                async with opened(ends, journal=journal, options=RunOptions()) as reached:
                    return reached.offers["answer"], journal.spent.tokens

        offers, tokens = asyncio.run(main())
        asked = len(server.bills)
        assert asyncio.run(main()) == (offers, tokens)
        assert len(server.bills) == asked > PROBE_CALLS
    assert offers == {"completions", "logprobs"}
    assert billed(server.bills)[1] <= tokens <= MOST_PROBED[2]


def test_a_cap_that_leaves_no_room_for_questions_stops_the_run(tmp_path: Path) -> None:
    """With less than they can take, nothing is sent, and a sentence says so."""
    with HostileServer() as server:
        endpoint = Endpoint(backend="openai", model="m", url=server.url, chat=True)
        ends = Endpoints(roles={"answer": RoleEndpoint(endpoint=endpoint)})

        async def main() -> None:
            options = RunOptions(max_output_tokens=MOST_PROBED[2] - 1)
            with SessionJournal(tmp_path / "journal", HEADER) as journal:
                async with opened(ends, journal=journal, options=options):
                    raise AssertionError

        with pytest.raises(EndpointError, match="no room"):
            asyncio.run(main())
        assert server.bills == []
