"""The run of a plan of strategies on live endpoints."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coinfer import jsonfile
from coinfer.executor.budget import Amount
from coinfer.executor.grade import check_gradable, grades
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.executor.strategies.endpoints import Endpoints, programs_of
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.opening import opened
from coinfer.executor.strategies.prices import cost_by
from coinfer.executor.strategies.requests import prompt_of
from coinfer.executor.strategies.scheduler import SessionScheduler
from coinfer.executor.strategies.session import Answer
from coinfer.executor.strategies.work import planned_work, work_sha256
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One line of an answers file.

    Attributes
    ----------
    id, category, option
        The request's, and what the plan gave it.
    text, value, confidence
        The answer; ``None`` where there is none.
    correct
        How right it is, 0..1; ``None`` where the request names no checker.
    """

    id: str
    category: str
    option: str
    text: str | None
    value: str | None
    confidence: float | None
    correct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """What a run did.

    Attributes
    ----------
    answers
        One for each request, in order.
    resumed
        Calls whose replies stood in the journal.
    unanswered
        Requests without an answer, by reason; the most frequent first.
    capped
        Whether each of them is for a cap of the run.
    spent, seconds
        Of all parts of the run.
    """

    answers: tuple[Answered, ...]
    unanswered: Mapping[str, int]
    capped: bool
    resumed: int
    spent: Amount
    seconds: float

    @property
    def accuracy(self) -> float | None:
        """Mean of ``correct`` over the graded requests; a request without an answer is wrong; ``None`` without any."""
        graded = [each.correct for each in self.answers if each.correct is not None]
        return sum(graded) / len(graded) if graded else None


async def run_plan(
    problem: BudgetProblem,
    decision: BudgetDecision,
    requests: Sequence[Request],
    endpoints: Endpoints,
    *,
    journal_path: Path,
    options: RunOptions | None = None,
    prices: Mapping[str, float] | None = None,
    typical: Mapping[str, float] | None = None,
    on_answer: Callable[[str, Answer], None] | None = None,
) -> LiveRun:
    """Answer requests as a plan says; strata are categories. Run again with the same journal to go on.

    Parameters
    ----------
    problem, decision
        The plan.
    requests, endpoints
        Who asks, and who can answer.
    journal_path
        What was asked and replied stands there.
    options
        Concurrency, repetition, seed and hard caps.
    prices
        Value per unit of each resource: a step that names a gain is left where its cost at these prices is more.
        Absent: every step of a strategy is taken.
    typical
        Mean tokens of a completion by role, for the cost of steps; absent: the most that it may have.
    on_answer
        Called with the id and the answer of each request.

    Raises
    ------
    PlanMismatch
        If a request's category is no stratum of the plan, or the journal is of another run.
    EndpointError, BackendMissing, InputError
        As :func:`coinfer.executor.strategies.opening.opened`.
    """
    check_gradable(requests)
    options = options or RunOptions()
    prompts = [prompt_of(request) for request in requests]
    categories = {request.id: request.category for request in requests}
    work = planned_work(problem, decision, prompts, categories, seed=options.seed, programs=programs_of(endpoints))
    header = SessionsHeader(
        work_sha256=work_sha256(work), seed=options.seed, prices=None if prices is None else dict(prices)
    )
    with SessionJournal(journal_path, header) as journal:
        async with opened(endpoints, journal=journal, options=options) as reached:
            resumed = len(journal.replies)
            scheduler = SessionScheduler(
                providers=reached.providers,
                journal=journal,
                options=options,
                price=None if prices is None else 1.0,
                cost=cost_by(prices or {}),
                typical_tokens=typical,
            )
            answers = await scheduler.run(work, on_answer=on_answer)
    texts = [answers[request.id].text or "" for request in requests]
    graded = await asyncio.to_thread(grades, requests, texts)
    lines = []
    for request, item, right in zip(requests, work, graded, strict=True):
        answer = answers[request.id]
        correct = 0.0 if answer.text is None and request.checker else None
        lines.append(
            Answered(
                id=request.id,
                category=request.category,
                option=item.option.name,
                text=answer.text,
                value=answer.value,
                confidence=answer.confidence,
                correct=correct if answer.text is None else right,
            )
        )
    without = [scheduler.lost.get(each.id) for each in lines if each.text is None]
    reasons = Counter("no reply holds an answer" if lost is None else lost.reason for lost in without)
    return LiveRun(
        answers=tuple(lines),
        resumed=resumed,
        unanswered=dict(reasons.most_common()),
        capped=bool(without) and all(lost is not None and lost.why == "cap" for lost in without),
        spent=scheduler.spent,
        seconds=scheduler.elapsed_s,
    )


def write_answers(path: Path, run: LiveRun) -> None:
    """Write one line for each request, atomically; what is absent is left out."""
    rows = [
        {name: getattr(each, name) for name in each.__slots__ if getattr(each, name) is not None}
        for each in run.answers
    ]
    jsonfile.write_text(path, "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows))
