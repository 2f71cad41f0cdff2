"""Run a plan: every request to the expert the plan names, each in exactly one final state, resumable at any moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import Plain, RequestError
from coinfer.executor.backends import Backend, open_backend
from coinfer.executor.gate import request_scores
from coinfer.executor.grade import check_gradable
from coinfer.executor.journal import Header, Journal
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.executor.results import (
    Answer,
    RunSummary,
    check_measurements_path,
    summarize,
    write_answers,
    write_measurements,
)
from coinfer.executor.route import Router
from coinfer.executor.scheduler import OnProgress, Scheduler
from coinfer.executor.worst_case import WorstCase
from coinfer.models.selection.gate import Gate
from coinfer.planner.selection.document import SelectionPlan

__all__ = ["Answer", "RunInterrupted", "RunOptions", "RunSummary", "run", "run_plan"]

PathLike = str | os.PathLike[str]
OnSummary = Callable[[RunSummary], None]


class RunInterrupted(KeyboardInterrupt):
    """The run was stopped by Ctrl-C after its journal and results were written; running again resumes it.

    Attributes
    ----------
    summary
        What was done.
    """

    def __init__(self, summary: RunSummary) -> None:
        self.summary = summary
        total = len(summary.answers) + len(summary.unanswered)
        super().__init__(f"interrupted: {summary.answered} of {total} requests are answered; run again to resume")


def run(
    plan: SelectionPlan,
    requests: Sequence[Request],
    *,
    journal_path: PathLike,
    answers_path: PathLike | None = None,
    measurements_path: PathLike | None = None,
    options: RunOptions | None = None,
    gate: Gate | None = None,
    on_progress: OnProgress | None = None,
    backends: Mapping[str, Backend] | None = None,
) -> RunSummary:
    """Run a plan to its end; see :func:`run_plan`, whose parameters it has.

    Raises
    ------
    RunInterrupted
        On Ctrl-C, after everything was written.
    """
    outcome: list[RunSummary] = []

    async def main() -> None:
        await run_plan(
            plan,
            requests,
            journal_path=journal_path,
            answers_path=answers_path,
            measurements_path=measurements_path,
            options=options,
            gate=gate,
            on_progress=on_progress,
            backends=backends,
            on_summary=outcome.append,
        )

    try:
        asyncio.run(main())
    except KeyboardInterrupt as error:
        if outcome:
            raise RunInterrupted(outcome[0]) from error
        raise
    return outcome[0]


async def run_plan(
    plan: SelectionPlan,
    requests: Sequence[Request],
    *,
    journal_path: PathLike,
    answers_path: PathLike | None = None,
    measurements_path: PathLike | None = None,
    options: RunOptions | None = None,
    gate: Gate | None = None,
    on_progress: OnProgress | None = None,
    backends: Mapping[str, Backend] | None = None,
    on_summary: OnSummary | None = None,
) -> RunSummary:
    """Answer every request as the plan says.

    Parameters
    ----------
    plan
        Whose deployments have endpoints.
    requests
        With ids that stand once.
    journal_path
        Journal of this run; an existing one is resumed.
    answers_path, measurements_path
        Where to write one line per request, and one row per answer; both are derived from the journal.
    options
        How to run.
    gate
        Decides who answers the requests that are no calibration prompts, among the experts the plan lets answer;
        absent: the plan alone.
    on_progress
        Told after each request with those in a final state and all.
    backends
        Open backends by expert, to be used instead of the endpoints and not closed.
    on_summary
        Told the summary once it is written; also when the run is cancelled, which a returned value could not say.

    Raises
    ------
    RequestError
        Before anything is sent: an unknown category, an id twice, an answer that cannot be graded.
    PlanMismatch
        If the journal belongs to another run, the plan cannot be run, or the gate does not know one of its experts.
    InputError, BackendMissing
        If a file, a model or a package is not there.
    """
    options = options or RunOptions()
    scores = None if gate is None else request_scores(gate, plan, requests)
    router, worst_case = Router(plan, scores=scores), WorstCase(plan, options)
    _check(requests, router)
    header = Header(
        plan_sha256=jsonfile.sha256(plan),
        requests_sha256=jsonfile.sha256(tuple(requests)),
        temperature=float(options.temperature),
        seed=options.seed,
        gate_sha256=None if gate is None else jsonfile.sha256(gate),
    )
    with Journal(Path(journal_path), header) as journal:
        resumed = len(journal.answers)
        if measurements_path is not None:
            check_measurements_path(Path(measurements_path), journal.answers)
        async with _open(plan, backends or {}, options) as in_use:
            scheduler = Scheduler(
                router=router,
                deployments={item.expert: item for item in plan.deployments},
                backends=in_use,
                journal=journal,
                options=options,
                worst_case=worst_case,
                on_progress=on_progress,
            )
            try:
                await scheduler.run(requests)
            except BaseExceptionGroup as group:
                raise _first(group) from group
            finally:
                summary = summarize(
                    requests,
                    journal.answers,
                    scheduler.unanswered,
                    resumed=resumed,
                    spent=scheduler.spent,
                    seconds=scheduler.elapsed_s,
                    notes=worst_case.notes,
                )
                if answers_path is not None:
                    write_answers(Path(answers_path), summary, requests)
                if measurements_path is not None:
                    write_measurements(Path(measurements_path), journal.answers)
                if on_summary is not None:
                    on_summary(summary)
    return summary


@asynccontextmanager
async def _open(
    plan: SelectionPlan, given: Mapping[str, Backend], options: RunOptions
) -> AsyncIterator[dict[str, Backend]]:
    """Open the backends of a plan that were not given, and close those in the end."""
    in_use = dict(given)
    try:
        for item in plan.deployments:
            if item.expert not in in_use and item.endpoint is not None:
                in_use[item.expert] = open_backend(item.endpoint, timeout_s=options.timeout_s)
        yield in_use
    finally:
        for expert, backend in in_use.items():
            if expert not in given:
                await backend.close()


def _check(requests: Sequence[Request], router: Router) -> None:
    """Reject requests that cannot be run, before anything is sent."""
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            raise RequestError("requests", expected="ids that stand once", found=Plain(f"{request.id!r} twice"))
        seen.add(request.id)
        router.order(request)
    check_gradable(requests)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
