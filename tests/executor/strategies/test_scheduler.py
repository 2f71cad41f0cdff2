"""The scheduler of sessions: replies in order, caps kept, nothing paid for twice."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import EndpointError, PlanMismatch
from coinfer.executor.backends.base import RefusedError, RetryableError
from coinfer.executor.budget import Amount
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.provider import Served
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer, Session, Step, user
from coinfer.executor.strategies.strategy import Need, Prior, Prompt, StrategyOption, Usage
from coinfer.testing.strategies import Simulated, answer_of, drive, question

PRIOR = Prior(prompt_tokens=20, output_tokens=20, max_tokens=32, rate={"answer": 0.5})
OPTION = StrategyOption(
    strategy="rounds", settings={}, value=None, expected={"answer": Usage()}, worst={"answer": Usage(calls=9)}
)


class Rounds:
    """Three rounds of three samples; the answers of all are the answer."""

    name = "rounds"

    def __init__(self, *, gain: float | None = None, most: int | None = None) -> None:
        self._gain, self._most = gain, most

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return its option."""
        return (OPTION,)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Ask three at a time; what the second round asks depends on the first."""
        found: list[str] = []
        most = self._most
        enough = None if most is None else (lambda replies: len(replies) >= most)
        for number in range(3):
            text = f"{prompt.text} {number} {' '.join(found)}"
            asks = tuple(Sample(messages=user(text + str(i)), max_tokens=prompt.max_tokens) for i in range(3))
            replies = yield Step(asks=asks, gain=self._gain if number else None, enough=enough)
            for reply in replies:
                found += [answer_of(text) or "" for text in reply.texts] if isinstance(reply, Sampled) else ["-"]
        return Answer(text=" ".join(found), value=found[0])


def reply_of(ask: Ask) -> Reply:
    """Return the reply to an ask: the same for the same ask, whoever asks and when."""
    assert isinstance(ask, Sample)
    return Simulated(PRIOR, seed=zlib.crc32(ask.messages[-1].content.encode()))(ask)


class Model:
    """Serves samples out of order, and fails as it is told; notes what it did."""

    def __init__(self, *, seed: int = 0, faults: float = 0.0, concurrency: int = 5) -> None:
        self._random, self._faults = np.random.default_rng(seed), faults
        self.offers: frozenset[Need] = frozenset({"completions"})
        self.concurrency = concurrency
        self.done: list[str] = []
        self.tokens = 0

    def parts(self, ask: Ask) -> tuple[Ask, ...]:
        """Return the ask."""
        return (ask,)

    def worst(self, ask: Ask) -> Amount:
        """Return all its tokens."""
        assert isinstance(ask, Sample)
        return Amount(calls=1, tokens=ask.max_tokens)

    async def serve(self, ask: Ask, *, seed: int) -> Served:
        """Wait for a while, then fail or reply."""
        for _ in range(int(self._random.integers(0, 6))):
            await asyncio.sleep(0)
        if self._random.random() < self._faults:
            kind = self._random.integers(0, 3)
            if kind == 0:
                raise RetryableError("busy", refused=True, retry_after_s=0.0)
            raise RetryableError("gone") if kind == 1 else EndpointError("broken")
        reply = reply_of(ask)
        assert isinstance(ask, Sample)
        assert isinstance(reply, Sampled)
        self.done.append(ask.messages[-1].content)
        tokens = reply.completions[0].output_tokens
        self.tokens += tokens
        return Served(reply=reply, charged=Amount(calls=1, tokens=tokens), seconds=0.001)


def header(**fields: object) -> SessionsHeader:
    return SessionsHeader(**{"work_sha256": "work", "seed": 0, **fields})  # type: ignore[arg-type]


def work(count: int, strategy: Rounds) -> list[Work]:
    prompts = [question(id=f"q{i}", max_tokens=32, tokens=20.0 + i) for i in range(count)]
    return [Work(prompt=prompt, strategy=strategy, option=OPTION) for prompt in prompts]


def options(**fields: object) -> RunOptions:
    given: dict[str, object] = {"backoff_s": 0.0, "breaker_failures": 10**6, "concurrency": 8}
    return RunOptions(**{**given, **fields})  # type: ignore[arg-type]


def run(
    path: Path, model: Model, items: list[Work], *, cut_after: int | None = None, **fields: object
) -> tuple[dict[str, Answer], Amount]:
    """Run the work, or cancel it after so many replies."""

    async def main() -> tuple[dict[str, Answer], Amount]:
        price = fields.pop("price", None)
        with SessionJournal(path, header(prices=None if price is None else {"tokens": price})) as journal:
            scheduler = SessionScheduler(
                providers={"answer": model},
                journal=journal,
                options=options(**fields),
                price=price,  # type: ignore[arg-type]
            )
            task = asyncio.ensure_future(scheduler.run(items))
            while not task.done() and (cut_after is None or len(model.done) < cut_after):
                await asyncio.sleep(0)
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return {}, scheduler.spent
            return task.result(), scheduler.spent

    return asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_answers_do_not_depend_on_the_order_of_arrival(tmp_path: Path, seed: int) -> None:
    """Whatever is delayed or repeated, each session gets its replies in the order of its asks."""
    items = work(12, Rounds())
    answers, spent = run(tmp_path / "journal", Model(seed=seed, concurrency=7), items)
    for item in items:
        assert answers[item.prompt.id] == drive(Rounds().start(item.prompt, OPTION), reply_of).answer
    assert spent.calls == 12 * 9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), tokens=st.integers(0, 900), calls=st.integers(0, 60))
def test_no_cap_is_ever_passed(tmp_path_factory: pytest.TempPathFactory, seed: int, tokens: int, calls: int) -> None:
    """With faults, repetitions and sixty calls at once, tokens and calls stay within their caps; sessions still end."""
    model = Model(seed=seed, faults=0.2)
    path = tmp_path_factory.mktemp("run") / "journal"
    answers, spent = run(path, model, work(6, Rounds()), max_output_tokens=tokens, max_requests=calls)
    assert len(answers) == 6
    assert model.tokens <= spent.tokens <= tokens
    assert spent.calls <= calls


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 60))
def test_a_resumed_run_repeats_no_completed_request_and_loses_none(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cut: int
) -> None:
    """Cancelled anywhere and resumed, every request is completed once, and the answers are those of one whole run."""
    path = tmp_path_factory.mktemp("run") / "journal"
    items = work(8, Rounds())
    first, second = Model(seed=seed), Model(seed=seed + 1)
    _, before = run(path, first, items, cut_after=cut)
    with SessionJournal(path, header()) as journal:
        kept = len(journal.replies)
    answers, after = run(path, second, items)
    assert len(first.done) - kept <= 8  # what was under way when it was cut
    assert len(second.done) == 8 * 9 - kept
    assert after.tokens >= before.tokens
    for item in items:
        assert answers[item.prompt.id] == drive(Rounds().start(item.prompt, OPTION), reply_of).answer


def test_a_journal_belongs_to_its_work(tmp_path: Path) -> None:
    """Other work, another seed or another price is refused."""
    with SessionJournal(tmp_path / "journal", header()):
        pass
    for fields in ({"work_sha256": "other"}, {"seed": 1}, {"prices": {"tokens": 0.5}}):
        with pytest.raises(PlanMismatch):
            SessionJournal(tmp_path / "journal", header(**fields))


def test_a_step_that_is_not_worth_its_price_is_not_taken(tmp_path: Path) -> None:
    """Gain below price x cost: the asks are missing and nothing is spent; above: they are made."""
    (item,) = work(1, Rounds(gain=0.01))
    answers, spent = run(tmp_path / "dear", Model(), [item], price=0.01 / 95)
    assert spent.calls == 3
    assert answers["q0"] == drive(Rounds(gain=0.01).start(item.prompt, OPTION), reply_of, price=0.01 / 95).answer
    _, spent = run(tmp_path / "cheap", Model(), [item], price=0.01 / 97)
    assert spent.calls == 9


def test_what_a_session_can_do_without_is_cancelled_and_charged(tmp_path: Path) -> None:
    """With two replies enough of three, the third is missing, whichever came first, and its cost is counted."""
    (item,) = work(1, Rounds(most=2))
    for seed in range(4):
        answers, spent = run(tmp_path / f"journal{seed}", Model(seed=seed), [item])
        assert answers["q0"] == drive(Rounds(most=2).start(item.prompt, OPTION), reply_of).answer
        assert 6 <= spent.calls <= 9


def test_a_prompt_that_cannot_be_served_costs_a_call_and_leaves_the_endpoint_in_service(tmp_path: Path) -> None:
    """Twenty prompts that are too long are missing, charged no tokens, and the next prompt is answered."""

    class Short(Model):
        """Takes no prompt longer than so much."""

        async def serve(self, ask: Ask, *, seed: int) -> Served:
            """Refuse what is too long."""
            assert isinstance(ask, Sample)
            if len(ask.messages[-1].content) > 500:
                raise RefusedError("the prompt is too long")
            return await super().serve(ask, seed=seed)

    items = work(1, Rounds())
    long = [replace(items[0], prompt=replace(items[0].prompt, id=f"l{i}", text="x" * 900)) for i in range(20)]
    first, alone = run(tmp_path / "alone", Short(), items, breaker_failures=3)
    answers, spent = run(tmp_path / "journal", Short(), [*long, *items], breaker_failures=3)
    assert answers["q0"] == first["q0"]
    assert all(set(str(answers[f"l{i}"].text)) <= {"-", " "} for i in range(20))
    assert spent.tokens == alone.tokens
    assert spent.prompt_tokens == alone.prompt_tokens


def test_a_role_that_nobody_serves_is_missing(tmp_path: Path) -> None:
    """A session whose role has no provider gets missing replies and ends."""

    async def main() -> dict[str, Answer]:
        with SessionJournal(tmp_path / "journal", header()) as journal:
            return await SessionScheduler(providers={}, journal=journal, options=options()).run(work(1, Rounds()))

    assert asyncio.run(main())["q0"].text == " ".join(["-"] * 9)


def test_a_provider_with_a_defect_costs_a_call_and_not_the_run(tmp_path: Path) -> None:
    """An unexpected exception of a provider is a failed call."""

    class Defect(Model):
        async def serve(self, ask: Ask, *, seed: int) -> Served:
            raise ZeroDivisionError

    answers, spent = run(tmp_path / "journal", Defect(), work(2, Rounds()))
    assert answers["q1"].text == " ".join(["-"] * 9)
    assert spent.calls == 18
    assert isinstance(reply_of(Sample(messages=user("x"), max_tokens=3)), Sampled)
    assert Missing(why="cap").reason == ""
