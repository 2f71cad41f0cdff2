"""Models of this process decode together, from endpoints to answers, metered and charged by role."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from coinfer import zoo
from coinfer.cli import main
from coinfer.errors import EndpointError, InputError, RequestError
from coinfer.executor.backends.base import CompletionRequest
from coinfer.executor.backends.transformers import TransformersBackend
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import Decode, Sample, Sampled
from coinfer.executor.strategies.decode import STRATEGIES, FsGen, Hogwild, Speculative
from coinfer.executor.strategies.decoding.provider import Decoder, InProcess, in_process
from coinfer.executor.strategies.endpoints import Endpoints, RoleEndpoint
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.opening import Opened, opened
from coinfer.executor.strategies.provider import TokenPrice
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import user
from coinfer.executor.strategies.strategy import Prior, Prompt
from coinfer.models.endpoint import Endpoint
from coinfer.testing.tiny_models import saved_model

pytest.importorskip("torch")
MODELS = {
    "answer": "zoo:generalist-medium",
    "amateur": "zoo:generalist-tiny",
    "tuned": "zoo:specialist-arithmetic",
    "untuned": "zoo:generalist-small",
    "small": "zoo:generalist-small",
    "draft": "zoo:generalist-tiny",
}
PROMPTS = ("47+85=", "r:abcd=", "s:3121=", "12*3=")
PRIOR = Prior(prompt_tokens=8, output_tokens=4, max_tokens=9)
HEADER = SessionsHeader(work_sha256="0", seed=3)


def endpoints(**models: str) -> Endpoints:
    """Return a file of models in process; prices differ by role."""
    return Endpoints(
        roles={
            role: RoleEndpoint(
                endpoint=Endpoint(backend="transformers", model=model),
                price=TokenPrice(prompt_usd=1e-6 * (i + 1), output_usd=1e-3 * (i + 1)),
            )
            for i, (role, model) in enumerate(models.items())
        }
    )


def within(file: Endpoints, path: Path, work: Callable[[Opened, SessionJournal], Awaitable[Any]]) -> Any:
    """Run work on opened endpoints."""

    async def run() -> Any:
        with SessionJournal(path, HEADER) as journal:
            async with opened(file, journal=journal, options=RunOptions()) as reached:
                return await work(reached, journal)

    return asyncio.run(run())


def test_every_method_runs_from_a_file_of_endpoints_and_resumes(tmp_path: Path) -> None:
    """All options of all strategies answer; what is charged is what was metered; a resumed run asks nothing again."""
    work = [
        Work(prompt=Prompt(id=f"{text} {option.name}", text=text, max_tokens=9), strategy=strategy, option=option)
        for strategy in STRATEGIES
        for option in strategy.options(PRIOR)[:2]
        for text in PROMPTS[:2]
        if strategy.name != "hogwild"
    ]

    async def run(reached: Opened, journal: SessionJournal) -> Any:
        for role in MODELS:
            assert {"logits", "logprobs", "prefix"} <= reached.offers[role]
        scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=RunOptions())
        answers = await scheduler.run(work)
        lines = [line for line in journal.replies.values() if isinstance(line.reply, Sampled)]
        asks = {item.prompt.id: next(item.strategy.start(item.prompt, item.option)).asks[0] for item in work}
        for line in lines:
            worst = reached.providers["decoder"].worst(asks[line.key.rsplit("/", 3)[0]])
            assert line.charged.tokens <= worst.tokens
            assert line.charged.prompt_tokens <= worst.prompt_tokens
            assert line.charged.usd <= worst.usd
            assert isinstance(line.reply, Sampled)
            taken = line.reply.metered
            assert line.charged.tokens == sum(each.output_tokens for each in taken.values())
            assert line.charged.prompt_tokens == sum(each.prompt_tokens for each in taken.values())
            price = {role: i + 1 for i, role in enumerate(MODELS)}
            usd = sum(price[r] * (1e-6 * each.prompt_tokens + 1e-3 * each.output_tokens) for r, each in taken.items())
            assert line.charged.usd == pytest.approx(usd)
        return answers, scheduler.spent, len(lines)

    path = tmp_path / "run.journal"
    answers, spent, lines = within(endpoints(**MODELS), path, run)
    assert lines == len(work)
    assert all(answer.text is not None for answer in answers.values())
    again, same, _ = within(endpoints(**MODELS), path, run)
    assert again == answers
    assert same == spent


def test_speculation_writes_what_the_target_writes_alone() -> None:
    """On bundled models the text is that of the backend's own greedy completion, with fewer passes of the target."""

    async def run() -> tuple[list[str], list[str], int, int]:
        target, draft = (TransformersBackend(f"zoo:generalist-{each}") for each in ("medium", "small"))
        models = {"t": target, "d": draft}
        decoder = Decoder({role: InProcess(backend=each, price=TokenPrice()) for role, each in models.items()})
        found, alone, passes, tokens = [], [], 0, 0
        try:
            for prompt in PROMPTS:
                ask = Decode(
                    method="speculative",
                    messages=user(prompt),
                    max_tokens=9,
                    roles=("t", "d"),
                    settings={"drafts": 3.0},
                )
                served = await decoder.serve(ask, seed=1)
                worst = decoder.worst(ask)
                assert served.charged.tokens <= worst.tokens
                assert served.charged.prompt_tokens <= worst.prompt_tokens
                assert isinstance(served.reply, Sampled)
                found.append(served.reply.completions[0].text)
                passes += served.reply.metered["t"].output_tokens
                tokens += served.reply.completions[0].output_tokens
                reply = await target.complete(CompletionRequest(prompt=prompt, max_tokens=9))
                alone.append(reply.completions[0].text)
        finally:
            await target.close()
            await draft.close()
        return found, alone, passes, tokens

    found, alone, passes, tokens = asyncio.run(run())
    assert found == alone
    assert passes < tokens


def test_models_with_other_tokenizers_do_not_offer_logits(tmp_path: Path) -> None:
    """The role with other words is named, the rest decode; asked all the same, the call fails in one sentence."""
    folder = tmp_path / "other"
    shutil.copytree(zoo.path("generalist-tiny"), folder)
    text = json.loads((folder / "tokenizer.json").read_text())
    words = text["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (folder / "tokenizer.json").write_text(json.dumps(text))

    async def look(reached: Opened, _: SessionJournal) -> None:
        assert "logits" in reached.offers["answer"]
        assert "logits" not in reached.offers["draft"]
        assert "tokenizer of 'answer', which 'draft' has not" in reached.missing["logits"]
        assert reached.offers["decoder"] == {"logits"}

    within(endpoints(answer="zoo:generalist-small", draft=str(folder)), tmp_path / "a.journal", look)

    async def ask() -> None:
        models = {"answer": TransformersBackend("zoo:generalist-small"), "draft": TransformersBackend(str(folder))}
        decoder = Decoder({role: InProcess(backend=each, price=TokenPrice()) for role, each in models.items()})
        prompt, option = Prompt(id="q", text="1+1=", max_tokens=4), Speculative().options(PRIOR)[0]
        step = next(Speculative().start(prompt, option))
        try:
            await decoder.serve(step.asks[0], seed=0)
        finally:
            for each in models.values():
                await each.close()

    with pytest.raises(EndpointError, match=r"answer .* and draft .* have different tokenizers"):
        asyncio.run(ask())


def test_workers_answer_from_a_file_of_endpoints(tmp_path: Path) -> None:
    """Two workers write on a saved model, each up to its own limit, and charge what they wrote."""
    folder = saved_model(tmp_path / "saved", 3, kind="Qwen2")
    work = [
        Work(prompt=Prompt(id=text, text=text, max_tokens=9), strategy=Hogwild(), option=Hogwild().options(PRIOR)[0])
        for text in PROMPTS
    ]

    async def run(reached: Opened, journal: SessionJournal) -> Any:
        scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=RunOptions())
        answers = await scheduler.run(work)
        for line in journal.replies.values():
            assert isinstance(line.reply, Sampled)
            counts = [each.output_tokens for each in line.reply.completions]
            assert len(counts) == 2
            assert 1 <= min(counts) <= max(counts) <= 9
            assert line.charged.tokens == sum(counts)
        return answers

    answers = within(endpoints(answer=str(folder)), tmp_path / "run.journal", run)
    assert all(answer.details == {"workers": 2.0} for answer in answers.values())
    assert len({answer.text for answer in answers.values()}) > 1


def test_models_elsewhere_cannot_decode() -> None:
    """Without a model in this process there is no decoder, and no endpoint may take its name."""
    assert asyncio.run(in_process({}, first="answer", timeout_s=1.0)) == (
        None,
        "only models of backend transformers offer them",
    )
    with pytest.raises(InputError, match="other names"):
        endpoints(answer="zoo:generalist-tiny", decoder="zoo:generalist-tiny")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "telepathy"}, "one of contrastive"),
        ({"roles": ("answer",)}, "2 of them"),
        ({"roles": ("answer", "nobody")}, "of answer, small"),
        ({"settings": {}}, "settings.threshold"),
    ],
)
def test_asks_that_make_no_sense_are_refused(change: dict[str, Any], words: str) -> None:
    """Unknown methods, models and settings are one sentence each; other asks too."""
    model = InProcess(backend=TransformersBackend("zoo:generalist-tiny"), price=TokenPrice())
    decoder = Decoder({"answer": model, "small": model})
    fine = {"method": "fs_gen", "roles": ("answer", "small"), "settings": {"threshold": 0.5, "entropy": 0.0}}
    ask = Decode(messages=user("1+1="), max_tokens=4, **{**fine, **change})
    with pytest.raises(RequestError, match=words):
        decoder.worst(ask)
    with pytest.raises(RequestError, match="a text to decode"):
        decoder.worst(Sample(messages=user("1+1="), max_tokens=4))


def test_too_long_a_prompt_is_refused_before_any_work(tmp_path: Path) -> None:
    """No room in the smallest context: the session ends without an answer, and only the call is charged."""
    prompt = Prompt(id="q", text="1+" * 40, max_tokens=9)
    item = Work(prompt=prompt, strategy=FsGen(), option=FsGen().options(PRIOR)[0])

    async def run(reached: Opened, journal: SessionJournal) -> None:
        scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=RunOptions())
        answers = await scheduler.run([item])
        assert answers["q"].text is None
        assert (scheduler.spent.calls, scheduler.spent.tokens) == (1, 0)

    within(endpoints(answer="zoo:generalist-small", small="zoo:generalist-tiny"), tmp_path / "a.journal", run)


def test_from_a_pilot_to_answers_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tried in a pilot, decoding strategies are planned and run; the others leave the menu with the missing role."""
    problem, plan, ends, old, new = (
        str(tmp_path / name) for name in ("problem.json", "plan.json", "ends.json", "old.jsonl", "new.jsonl")
    )
    roles = {
        role: {
            "endpoint": {"backend": "transformers", "model": MODELS[role]},
            "price": {"output_usd": usd},
        }
        for role, usd in (("answer", 1e-3), ("small", 1e-5))
    }
    Path(ends).write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": roles}))
    for name, low in ((old, 11), (new, 51)):
        rows = [
            {"id": f"{i}", "prompt": f"{i}+{i + 7}=", "category": "add", "max_tokens": 9, "checker": "task"}
            for i in range(low, low + 8)
        ]
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    pilot = ["pilot", old, "--endpoints", ends, "--samples", "2", "-o", problem, "--budget", "usd=1"]
    assert main([*pilot, "--strategies", "fs_gen", "contrastive", "--try", "fs_gen"]) == 0
    said = capsys.readouterr().out
    assert "nobody serves the role 'amateur': contrastive (6)" in said
    options = json.loads(Path(problem).read_text())["options"]
    assert {each["strategy"] for each in options} == {"fs_gen"}
    assert main(["plan", problem, "-o", plan]) == 0
    run = ["run", plan, new, "--problem", problem]
    capsys.readouterr()
    assert main([*run, "--endpoints", ends, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["answered"] == 8
    assert done["usd"] > 0.0
