"""A run brings every request to exactly one final state, writes what it measured, and asks nothing it should not."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from coinfer.errors import InputError, PlanMismatch, RequestError
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.executor.demo import bundled_requests, candidates
from coinfer.executor.request import Request
from coinfer.executor.run import RunInterrupted, RunOptions, run
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.decision import Route
from coinfer.planner.selection.document import SelectionPlan
from coinfer.profiler.measurement import Measurement, append_measurements, read_measurements
from coinfer.testing.backends import FaultyBackend


@pytest.fixture
def endpoint(recorded: Path) -> Endpoint:
    """Return the endpoint of the recorded outcomes, with room for three calls at once."""
    return Endpoint(backend="replay", model=str(recorded), concurrency=3)


@pytest.fixture
def plan(make_plan: Callable[..., SelectionPlan], endpoint: Endpoint) -> SelectionPlan:
    """Return a plan of one expert that knows every answer."""
    return make_plan({"m": endpoint})


def test_everything_is_answered_and_written(plan: SelectionPlan, requests: tuple[Request, ...], tmp_path: Path) -> None:
    """Answers stand in the order of the requests, graded; rows name expert, device and where they come from."""
    answers, rows = tmp_path / "answers.jsonl", tmp_path / "rows.jsonl"
    summary = run(
        plan, requests, journal_path=tmp_path / "j", answers_path=answers, measurements_path=rows, options=RunOptions()
    )

    assert (summary.answered, summary.failed, summary.skipped, summary.resumed) == (12, 0, 0, 0)
    assert [answer.id for answer in summary.answers] == [request.id for request in requests]
    assert all(answer.correct == 1.0 and answer.calls == 1 and not answer.fallback for answer in summary.answers)
    assert summary.by_expert == {"m": 12}
    assert summary.output_tokens == sum(len(str(i)) for i in range(12))
    assert summary.energy_j is None, "nothing measured energy"
    assert [json.loads(line)["text"] for line in answers.read_text().splitlines()] == [str(i) for i in range(12)]
    written = list(read_measurements(rows))
    assert {row.prompt for row in written} == {request.id for request in requests}
    assert {(row.model, row.device, row.phase, row.category) for row in written} == {("m", "d", "request", "c")}
    assert {row.source for row in written} == {"replay of outcomes.jsonl"}


def test_running_again_asks_and_changes_nothing(
    plan: SelectionPlan, requests: tuple[Request, ...], tmp_path: Path
) -> None:
    """A finished run that is run again sends no call and writes the same files."""
    paths = {"answers_path": tmp_path / "a", "measurements_path": tmp_path / "m"}
    run(plan, requests, journal_path=tmp_path / "j", **paths)
    before = [(tmp_path / name).read_bytes() for name in ("j", "a", "m")]
    backend = FaultyBackend(ReplayBackend(Path(plan.deployments[0].endpoint.model)))  # type: ignore[union-attr]
    summary = run(plan, requests, journal_path=tmp_path / "j", backends={"m": backend}, **paths)

    assert backend.asked == []
    assert (summary.answered, summary.resumed) == (12, 12)
    assert [(tmp_path / name).read_bytes() for name in ("j", "a", "m")] == before


def test_rows_of_others_are_not_overwritten(plan: SelectionPlan, requests: tuple[Request, ...], tmp_path: Path) -> None:
    """A measurements file with rows of another run is refused before anything is sent."""
    path = tmp_path / "rows.jsonl"
    row = Measurement(device="d", model="x", engine="e", phase="request", seconds=1.0, source="measured")
    append_measurements(path, [row])
    with pytest.raises(InputError, match="a new file, or one that this run wrote"):
        run(plan, requests, journal_path=tmp_path / "j", measurements_path=path)

    assert list(read_measurements(path)) == [row]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"category": "z"}, "one that the plan routes"),
        ({"id": "r0"}, "ids that stand once"),
        ({"checker": "numeric", "answer": "many"}, "a number"),
        ({"checker": "task"}, "category"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_sent(
    plan: SelectionPlan,
    requests: tuple[Request, ...],
    recorded: Path,
    tmp_path: Path,
    change: dict[str, str],
    words: str,
) -> None:
    """An unknown category, an id twice and an answer without verdict are sentences, and no call is made."""
    fields = {"id": "last", "prompt": "ask 1", "category": "c", **change}
    backend = FaultyBackend(ReplayBackend(recorded))
    with pytest.raises(RequestError, match=words):
        run(plan, (*requests, Request(**fields)), journal_path=tmp_path / "j", backends={"m": backend})  # type: ignore[arg-type]

    assert backend.asked == []


def test_the_journal_of_another_plan_is_refused(
    plan: SelectionPlan,
    make_plan: Callable[..., SelectionPlan],
    endpoint: Endpoint,
    requests: tuple[Request, ...],
    tmp_path: Path,
) -> None:
    """Resuming with a plan that decides differently is refused."""
    run(plan, requests, journal_path=tmp_path / "j")
    with pytest.raises(PlanMismatch, match="another plan"):
        run(make_plan({"m": endpoint, "n": endpoint}), requests, journal_path=tmp_path / "j")


@pytest.mark.parametrize(("overall", "expected"), [(2, 2), (9, 3)])
def test_concurrency_is_kept_and_used(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path, overall: int, expected: int
) -> None:
    """As many calls as allowed are in flight, and never more: over all endpoints, and at this one."""
    backend = FaultyBackend(ReplayBackend(recorded), delay_s=lambda _: 0.01)
    options = RunOptions(concurrency=overall)
    run(plan, requests, journal_path=tmp_path / "j", backends={"m": backend}, options=options)

    assert backend.most_in_flight == expected


def test_sampling_does_not_depend_on_the_order_of_arrival(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """The seed sent with a request is the same alone, among others, and in any order; it differs between requests."""

    def seeds(subset: tuple[Request, ...], name: str) -> dict[str, int]:
        backend = FaultyBackend(ReplayBackend(recorded))
        options = RunOptions(temperature=0.7, seed=4)
        run(plan, subset, journal_path=tmp_path / name, backends={"m": backend}, options=options)
        return {asked.prompt: asked.seed for asked in backend.asked}

    together = seeds(requests, "a")
    assert seeds(requests[::-1], "b") == together
    assert seeds(requests[3:4], "c") == {"ask 3": together["ask 3"]}
    assert len(set(together.values())) == len(requests)


def test_progress_ends_at_the_total(plan: SelectionPlan, requests: tuple[Request, ...], tmp_path: Path) -> None:
    """Progress rises one by one from 0 to all requests."""
    told: list[tuple[int, int]] = []
    run(plan, requests, journal_path=tmp_path / "j", on_progress=lambda done, total: told.append((done, total)))

    assert told == [(done, 12) for done in range(13)]


def test_an_interrupted_run_says_so_and_resumes(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """Ctrl-C writes what is done and what is pending; running again answers only the rest."""
    backend = FaultyBackend(ReplayBackend(recorded), delay_s=lambda _: 0.005)

    def interrupt(done: int, total: int) -> None:
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(RunInterrupted, match="run again to resume") as caught:
        run(
            plan,
            requests,
            journal_path=tmp_path / "j",
            answers_path=tmp_path / "a",
            backends={"m": backend},
            on_progress=interrupt,
        )
    done = caught.value.summary
    assert done.answered >= 4
    assert done.answered + done.pending == 12
    states = [json.loads(line)["state"] for line in (tmp_path / "a").read_text().splitlines()]
    assert states.count("pending") == done.pending
    answered = {answer.id for answer in done.answers}
    backend.asked.clear()
    summary = run(plan, requests, journal_path=tmp_path / "j", backends={"m": backend})
    assert (summary.answered, summary.resumed) == (12, done.answered)
    assert {f"r{asked.prompt.removeprefix('ask ')}" for asked in backend.asked}.isdisjoint(answered)


def test_calibration_prompts_follow_their_own_route(
    make_plan: Callable[..., SelectionPlan], endpoint: Endpoint, requests: tuple[Request, ...], tmp_path: Path
) -> None:
    """A request that is a calibration prompt goes where the plan sends that prompt, the others by preference."""
    routes = [Route(category="c", prompt="r3", expert="b", fraction=1.0)]
    plan = make_plan({"a": endpoint, "b": endpoint}, routes=routes, preference={"c": ("a", "b")})
    summary = run(plan, requests, journal_path=tmp_path / "j")

    assert {answer.id for answer in summary.answers if answer.expert == "b"} == {"r3"}
    assert not any(answer.fallback for answer in summary.answers)


@pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None, reason="needs pip install 'coinfer[torch]'"
)
def test_bundled_models_run_a_plan(make_plan: Callable[..., SelectionPlan], tmp_path: Path) -> None:
    """Two real models answer real tasks where the plan sends them, graded, with memory and time measured."""
    arithmetic, strings = candidates(["specialist-arithmetic", "specialist-strings"])
    _, asked = bundled_requests(calibration=6, workload=24, seed=3)
    experts = {
        name: arithmetic if name in ("add", "sub", "mul", "mod") else strings
        for name in dict.fromkeys(request.category for request in asked)
    }
    plan = make_plan(
        {item.name: item.endpoint for item in (arithmetic, strings)},
        routes=[Route(category=name, expert=item.name, fraction=1.0) for name, item in experts.items()],
        preference={name: (item.name,) for name, item in experts.items()},
    )
    summary = run(plan, asked, journal_path=tmp_path / "j", measurements_path=tmp_path / "m")

    assert summary.answered == 24
    right = [answer for answer in summary.answers if answer.category != "mod" and answer.correct == 1.0]
    assert len(right) >= 17, "the specialists are right on 98 % of their tasks but mod"
    for row in read_measurements(tmp_path / "m"):
        assert row.source == "measured"
        assert row.memory_bytes is not None
        assert row.memory_bytes > 10_000
        assert row.energy_j is None
