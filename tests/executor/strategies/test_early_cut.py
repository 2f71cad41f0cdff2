"""Early cut: unsure traces are not written to their end, and what is written goes on from where it was."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.early_cut import EarlyCut, lowest_mean
from coinfer.executor.strategies.endpoints import Endpoints, RoleEndpoint
from coinfer.executor.strategies.journal import ReplyLine, SessionJournal, SessionsHeader
from coinfer.executor.strategies.opening import opened
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer
from coinfer.executor.strategies.strategy import CHARACTERS_PER_TOKEN, Prior, Prompt, Usage
from coinfer.models.endpoint import Endpoint
from coinfer.testing.strategies import MARK, check_contract, drive, question

PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, rate={"answer": 0.5}, output_s=0.01)


class Traces:
    """Completions that go on from their prefix: each has a length, an answer and a log-probability of its own."""

    def __init__(self, seed: int, *, scale: float = 0.3) -> None:
        self._random, self._scale = np.random.default_rng(seed), scale
        self._left: dict[str, int] = {}
        self.asks: list[Sample] = []

    def __call__(self, ask: Ask) -> Reply:
        """Return the next piece of a trace, or the first of new ones."""
        assert isinstance(ask, Sample)
        self.asks.append(ask)
        if ask.prefix:
            return Sampled(completions=(self._piece(ask, self._left.get(ask.prefix, 5)),))
        mean = int(PRIOR.output_tokens)
        lengths = self._random.integers(mean - mean // 2, mean + mean // 2 + 1, ask.count).tolist()
        return Sampled(completions=tuple(self._piece(ask, length) for length in lengths))

    def _piece(self, ask: Sample, left: int) -> Completion:
        written = min(left, ask.max_tokens)
        said = f" {MARK}{self._random.integers(3)}." if written == left else ""
        name = f"{self._random.integers(10**9)}"
        size = max(0, int(written * CHARACTERS_PER_TOKEN) - len(said) - len(name))
        text = name + "w" * size + said
        self._left[ask.prefix + text] = left - written
        return Completion(
            text=text,
            output_tokens=written,
            finish="stop" if written == left else "length",
            logprobs=tuple((-self._random.exponential(self._scale, written)).tolist()),
        )


def test_it_keeps_the_contract_of_strategies() -> None:
    """It ends within its worst case, with traces that go on and with replies that know nothing of prefixes."""
    check_contract(EarlyCut(), PRIOR, runs=3)
    check_contract(EarlyCut(), PRIOR, runs=3, respond=Traces)
    check_contract(EarlyCut(), replace(PRIOR, max_tokens=3, output_tokens=2), runs=2)


def test_what_it_takes_is_what_its_menu_says() -> None:
    """Calls and tokens within 5 % of traces that are written piece by piece, for every option."""
    for option in EarlyCut().options(PRIOR):
        total = defaultdict[str, Usage](Usage)
        runs = 120
        for seed in range(runs):
            done = drive(EarlyCut().start(question(max_tokens=64, tokens=40), option), Traces(seed))
            total["answer"] = total["answer"].plus(done.usage["answer"])
        used, mean = total["answer"].times(1 / runs), option.expected["answer"]
        assert used.calls == pytest.approx(mean.calls, rel=0.05)
        assert used.output_tokens == pytest.approx(mean.output_tokens, rel=0.05)
        assert used.prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
        assert mean.output_tokens < option.settings["samples"] * PRIOR.output_tokens  # something is saved


def piece(text: str, logprob: float, tokens: int, finish: str) -> Completion:
    """Return a piece whose tokens are all as likely."""
    return Completion(text=text, output_tokens=tokens, finish=finish, logprobs=(logprob,) * tokens)


def test_an_unsure_trace_is_cut_and_a_sure_one_goes_on() -> None:
    """Of two traces behind a warm-up at -0.5 the one at -0.9 is never asked for again; the other goes on and votes."""
    option = replace(EarlyCut().options(PRIOR)[0], settings={"samples": 4.0, "warmup": 2.0, "keep": 0.5, "pieces": 4.0})
    asked: list[Sample] = []

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        asked.append(ask)
        if len(asked) == 1:
            assert (ask.count, ask.max_tokens, ask.logprobs) == (2, 40, True)
            return Sampled(completions=(piece(f"{MARK}1", -0.5, 12, "stop"), piece(f"{MARK}2", -0.8, 12, "stop")))
        if len(asked) == 2:
            assert (ask.count, ask.max_tokens) == (2, 10)
            return Sampled(completions=(piece("unsure", -0.9, 10, "length"), piece("sure", -0.1, 10, "length")))
        assert (ask.prefix, ask.count, ask.max_tokens) == ("sure", 1, 10)
        return Sampled(completions=(piece(f" {MARK}3", -0.3, 7, "stop"),))

    done = drive(EarlyCut().start(question(max_tokens=40), option), respond)
    assert len(asked) == 3
    assert done.answer.value == "3"
    assert done.answer.text == f"sure {MARK}3"
    lowest = (7 * -0.3 + 3 * -0.1) / 10  # the last ten tokens
    assert done.answer.votes == pytest.approx({"1": np.exp(-0.5), "3": np.exp(lowest)})
    assert done.answer.details == {"samples": 4.0, "kept": 2.0}


def test_a_trace_that_is_lost_half_way_does_not_vote() -> None:
    """A missing piece drops its trace; the warm-up still answers."""
    option = replace(EarlyCut().options(PRIOR)[0], settings={"samples": 3.0, "warmup": 1.0, "keep": 1.0, "pieces": 4.0})

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        if ask.prefix:
            return Missing(why="failed")
        if ask.max_tokens == 40:
            return Sampled(completions=(piece(f"{MARK}1", -0.5, 12, "stop"),))
        return Sampled(completions=(piece(f"{MARK}2", -0.1, 10, "length"),) * 2)

    done = drive(EarlyCut().start(question(max_tokens=40), option), respond)
    assert done.answer.votes == pytest.approx({"1": np.exp(-0.5)})


def test_traces_stop_at_their_limit() -> None:
    """Endpoints that never end are asked for no more tokens than a completion has."""

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        return Sampled(completions=(piece("w" * 4, -0.5, ask.max_tokens, "length"),) * ask.count)

    option = EarlyCut().options(PRIOR)[0]
    done = drive(EarlyCut().start(question(max_tokens=42), option), respond)
    assert done.usage["answer"].output_tokens == 8 * 42
    assert done.usage["answer"].calls == 4 + 4 * 4


def test_pieces_go_on_from_each_other_on_a_real_model(tmp_path: Path) -> None:
    """On a bundled model traces are written in pieces of three tokens, and no trace passes its nine."""
    pytest.importorskip("torch")
    ends = Endpoints(
        roles={"answer": RoleEndpoint(endpoint=Endpoint(backend="transformers", model="zoo:generalist-small"))}
    )
    option = replace(
        EarlyCut().options(PRIOR)[0], settings={"samples": 12.0, "warmup": 4.0, "keep": 0.5, "pieces": 3.0}
    )
    work = [
        Work(prompt=Prompt(id=text, text=text, max_tokens=9), strategy=EarlyCut(), option=option)
        for text in ("47+85=", "r:abcdefg=", "12*3=")
    ]

    async def run() -> tuple[dict[str, Answer], list[ReplyLine]]:
        with SessionJournal(tmp_path / "journal", SessionsHeader(work_sha256="0", seed=1)) as journal:
            async with opened(ends, journal=journal, options=RunOptions()) as reached:
                scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=RunOptions())
                return await scheduler.run(work), list(journal.replies.values())

    answers, lines = asyncio.run(run())
    assert all(answer.text for answer in answers.values())
    assert all(answer.details["samples"] == 12.0 for answer in answers.values())
    sizes = [each.output_tokens for line in lines if isinstance(line.reply, Sampled) for each in line.reply.completions]
    later = [line for line in lines if int(line.key.split("/")[1]) >= 2]
    assert later
    assert max(sizes) <= 9
    for line in later:
        assert isinstance(line.reply, Sampled)
        assert all(each.output_tokens <= 3 for each in line.reply.completions)


def test_the_lowest_window_is_found() -> None:
    """Against a loop over all windows; fewer tokens than a window are one."""
    random = np.random.default_rng(1)
    for size in (1, 3, 8):
        values = (-random.exponential(1.0, 20)).tolist()
        assert lowest_mean(values, size) == pytest.approx(min(np.mean(values[i : i + size]) for i in range(21 - size)))
    assert lowest_mean([-1.0, -2.0], 5) == -1.5
    assert lowest_mean([], 5) == -np.inf


@pytest.mark.parametrize(
    "settings", [{"keep": 0.0}, {"keep": float("nan")}, {"warmup": 8.0}, {"samples": 1.0}, {"pieces": 0.5}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    """One sentence names the setting, before anything is asked."""
    option = EarlyCut().options(PRIOR)[0]
    with pytest.raises(RequestError, match=f"settings.{next(iter(settings))}"):
        next(EarlyCut().start(question(), replace(option, settings={**option.settings, **settings})))
