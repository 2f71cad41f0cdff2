"""Rows: whether on the bundled models more budget gives more right answers, and plans keep what they promise.

Models, prompts and checkers are real: the tiny generalist answers, others vote with it. Pilot, plan and run are those
of the command line.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import Row
from coinfer.executor.grade import grade
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.executor.strategies.endpoints import Endpoints, RoleEndpoint
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.live import run_plan
from coinfer.executor.strategies.opening import opened
from coinfer.executor.strategies.pilot import pilot
from coinfer.executor.strategies.registry import option_to_run, strategies, strategy_named
from coinfer.executor.strategies.requests import prompt_of
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.models.budget.parts import Budget
from coinfer.models.endpoint import Endpoint
from coinfer.planner.budget.make import plan
from coinfer.zoo import tasks

CATEGORIES = ("sort", "mod")
VOTERS = ("generalist-tiny", "specialist-strings", "generalist-small", "specialist-arithmetic", "generalist-medium")
OPTIONS = RunOptions(concurrency=32, seed=0)
LADDERS: tuple[tuple[str, tuple[dict[str, float], ...]], ...] = (
    ("self_consistency", tuple({"samples": n} for n in (1.0, 5.0, 32.0))),
    ("early_stopping", tuple({"samples": n, "window": w} for n, w in ((4.0, 2.0), (16.0, 4.0), (40.0, 5.0)))),
    (
        "adaptive_consistency",
        tuple({"samples": n, "threshold": t, "dirichlet": 0.0} for n, t in ((2.0, 0.7), (16.0, 0.9), (40.0, 0.99))),
    ),
    ("perplexity_selection", tuple({"samples": n} for n in (1.0, 4.0, 32.0))),
    ("probability_vote", tuple({"samples": n} for n in (1.0, 4.0, 32.0))),
    ("perplexity_consistency", tuple({"samples": n, "prune": 0.0} for n in (1.0, 4.0, 32.0))),
    ("one_sample_gate", tuple({"samples": n, "threshold": 0.1} for n in (1.0, 4.0, 32.0))),
    ("top_two_vote", tuple({"voters": n, "threshold": 0.999} for n in (1.0, 3.0, 5.0))),
)
"""Strategies with three budgets each, small to large."""
PLANNED = ("single", "self_consistency", "adaptive_consistency", "perplexity_selection", "probability_vote")


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows."""
    yield from _rising(60 if quick else 400)
    yield from _promised(runs=4 if quick else 30, piloted=20 if quick else 40, new=60 if quick else 200)


def _requests(seed: int, count: int) -> list[Request]:
    random = np.random.default_rng(seed)
    return [
        Request(id=f"{seed}-{category}-{i}", prompt=task.prompt, category=category, max_tokens=9, checker="task")
        for category in CATEGORIES
        for i, task in enumerate(tasks.sample_tasks(random, count=count, categories=(category,)))
    ]


def _endpoints() -> Endpoints:
    def role(name: str) -> RoleEndpoint:
        return RoleEndpoint(endpoint=Endpoint(backend="transformers", model=f"zoo:{name}", concurrency=4))

    agents = {f"agent {i}": role(name) for i, name in enumerate(VOTERS, start=1)}
    return Endpoints(roles={"answer": role("generalist-tiny"), **agents})


def _rising(count: int) -> Iterator[Row]:
    """Yield whether the largest of three budgets gives more right answers than the smallest, prompt by prompt."""
    requests = _requests(7, count)
    for name, ladder in LADDERS:
        began = time.perf_counter()
        right, taken = [], []
        for settings in ladder:
            own, tokens = asyncio.run(_answered(name, settings, requests))
            right.append(own)
            taken.append(tokens / len(requests))
        rise = right[-1] - right[0]
        error = float(rise.std(ddof=1) / len(rise) ** 0.5)
        shown = ", ".join(f"{100 * own.mean():.1f} % at {tokens:.1f}" for own, tokens in zip(right, taken, strict=True))
        yield Row(
            claim=f"{name}: accuracy rises with the budget",
            instance=f"{len(requests)} held-out prompts",
            figure=100.0 * float(rise.mean()),
            unit="points",
            target=0.0,
            holds=bool(rise.mean() > 2.0 * error),
            peer=f"tokens a prompt: {shown}; standard error {100 * error:.1f}",
            seconds=time.perf_counter() - began,
        )


async def _answered(name: str, settings: dict[str, float], requests: Sequence[Request]) -> tuple[np.ndarray, int]:
    """Return which prompts were answered right, and the tokens taken."""
    strategy, option = strategy_named(name), option_to_run(name, settings)
    work = [Work(prompt=prompt_of(request), strategy=strategy, option=option) for request in requests]
    with tempfile.TemporaryDirectory() as folder:
        with SessionJournal(Path(folder) / "journal", SessionsHeader(work_sha256="0", seed=0)) as journal:
            async with opened(_endpoints(), journal=journal, options=OPTIONS) as reached:
                scheduler = SessionScheduler(providers=reached.providers, journal=journal, options=OPTIONS)
                answers = await scheduler.run(work)
        right = [grade(request, answers[request.id].text or "") == 1.0 for request in requests]
    return np.array(right, dtype=np.float64), scheduler.spent.tokens


def _promised(*, runs: int, piloted: int, new: int) -> Iterator[Row]:
    """Yield how often plans reach what they promise: pilots, budgets and prompts differ from run to run."""
    began = time.perf_counter()
    inside, costs, within = [], [], []
    for seed in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            budget = (20.0, 40.0, 80.0)[seed % 3]
            found = asyncio.run(_run(Path(folder), seed, piloted, new, budget))
        inside.append(found[0])
        costs.append(found[1])
        within.append(found[2])
    seconds = time.perf_counter() - began
    yield Row(
        claim="accuracy within the plan's 95 % interval",
        instance=f"{runs} pilots of {2 * piloted}",
        figure=100.0 * float(np.mean(inside)),
        unit="%",
        target=90.0,
        holds=bool(np.mean(inside) >= 0.9),
        peer=f"{2 * new} new prompts each; their own noise is not in the interval",
        seconds=seconds,
    )
    yield Row(
        claim="tokens taken over tokens planned",
        instance=f"{runs} pilots of {2 * piloted}",
        figure=float(np.mean(costs)),
        unit="x",
        target=1.05,
        holds=bool(0.95 <= np.mean(costs) <= 1.05),
        peer=f"{np.min(costs):.3f} to {np.max(costs):.3f}; at most what is planned in {100 * np.mean(within):.0f} %",
        seconds=0.0,
    )


async def _run(folder: Path, seed: int, piloted: int, new: int, budget: float) -> tuple[bool, float, bool]:
    """Return whether accuracy lay in the interval, tokens over those planned, and whether they were at most those."""
    options = RunOptions(concurrency=32, seed=seed)
    endpoints = Endpoints(roles={"answer": _endpoints().roles["answer"]})
    made = await pilot(
        _requests(1000 + seed, piloted),
        endpoints,
        [strategies()[name] for name in PLANNED],
        name="zoo",
        samples=16,
        prompts=dict.fromkeys(CATEGORIES, 1000),
        budgets=(Budget(resource="tokens", limit=2000.0 * budget),),
        journal_path=folder / "pilot",
        options=options,
    )
    planned = plan(made.menu.problem)
    run = await run_plan(
        made.menu.problem,
        planned.decision,
        _requests(5000 + seed, new),
        endpoints,
        journal_path=folder / "run",
        options=options,
    )
    assert planned.interval is not None  # a pilot's menu has errors
    assert run.accuracy is not None
    spend = next(each for each in planned.spend if each.resource == "tokens")
    expected = (spend.expected - (spend.information or 0.0)) / 2000.0 * len(run.answers)
    most = (spend.worst or spend.expected) / 2000.0 * len(run.answers)
    inside = planned.interval.low <= run.accuracy <= planned.interval.high
    return inside, run.spent.tokens / expected, run.spent.tokens <= most
