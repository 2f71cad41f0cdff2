"""A run that is killed at any moment resumes: every request answered exactly once, nothing journaled asked again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.executor.request import Request
from coinfer.executor.run import RunOptions, run
from coinfer.models.endpoint import Endpoint
from coinfer.planner.selection.document import SelectionPlan
from coinfer.profiler.measurement import read_measurements
from coinfer.testing.backends import OpenAIServer

COUNT = 60
KILLS = 4
PROGRAM = """
import sys
from coinfer.executor.request import read_requests
from coinfer.executor.run import RunOptions, run
from coinfer.planner.plan import read_plan
folder = sys.argv[1]
run(read_plan(folder + "/plan.json"), read_requests(folder + "/requests.jsonl"), journal_path=folder + "/journal",
    answers_path=folder + "/answers.jsonl", measurements_path=folder + "/rows.jsonl",
    options=RunOptions(concurrency=4, max_requests=int(sys.argv[2])))
"""


def journaled(path: Path) -> list[str]:
    """Return the ids of the answers that stand whole in a journal, in order."""
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()[1:] if path.exists() else []
    return [line["request"] for line in map(json.loads, whole) if line["event"] == "answer"]


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_nine_loses_and_repeats_nothing(
    make_plan: Callable[..., SelectionPlan], recorded: Path, tmp_path: Path, seed: int
) -> None:
    """SIGKILL at random moments: what the journal holds is final, and the server is never asked for it again."""
    rng = np.random.default_rng(seed)
    cap = COUNT + KILLS * 4  # every kill may cost the calls in flight, and no more
    requests = [
        Request(id=f"r{i}", prompt=f"ask {i}", category="c", answer=str(i), checker="exact") for i in range(COUNT)
    ]
    text = "".join(json.dumps(jsonfile.to_builtins(request)) + "\n" for request in requests)
    (tmp_path / "requests.jsonl").write_text(text, encoding="utf-8")
    final: list[tuple[int, set[str]]] = []  # requests the server had taken, and what was journaled then
    with OpenAIServer(ReplayBackend(recorded), delay_s=0.01) as server:
        plan = make_plan({"m": Endpoint(backend="openai", model="x", url=server.url, concurrency=4)})
        jsonfile.write(tmp_path / "plan.json", plan)
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(cap)]
        for _ in range(KILLS):
            goal = len(server.log) + int(rng.integers(1, COUNT // KILLS))
            with subprocess.Popen(command) as process:
                while len(server.log) < goal and process.poll() is None:
                    time.sleep(0.001)
                time.sleep(float(rng.uniform(0.0, 0.01)))
                process.kill()
            done = journaled(tmp_path / "journal")
            final.append((len(server.log), set(done)))
        subprocess.run(command, check=True, timeout=60.0)
        log = [exchange.prompt.removeprefix("ask ") for exchange in server.log]

    assert any(done for _, done in final), "no kill came after an answer: the test shows nothing"
    assert len(final[-1][1]) < COUNT, "no kill came before the end: the test shows nothing"
    for taken, done in final:
        again = {f"r{number}" for number in log[taken:]} & done
        assert not again
    assert Counter(journaled(tmp_path / "journal")) == Counter(request.id for request in requests)
    assert len(log) <= cap, "a killed run's calls count towards its caps"
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [(answer["id"], answer["text"]) for answer in answers] == [(f"r{i}", str(i)) for i in range(COUNT)]
    assert Counter(row.prompt for row in read_measurements(tmp_path / "rows.jsonl")) == Counter(
        request.id for request in requests
    )


def test_a_journal_cut_after_any_line_resumes(
    make_plan: Callable[..., SelectionPlan], recorded: Path, requests: tuple[Request, ...], tmp_path: Path
) -> None:
    """From every prefix of a journal the run ends with the same answers, and asks only for those missing in it."""
    plan = make_plan({"m": Endpoint(backend="replay", model=str(recorded), concurrency=3)})
    whole = run(plan, requests, journal_path=tmp_path / "j")
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    for cut in range(0, len(lines) + 1):
        path = tmp_path / f"cut-{cut}"
        path.write_bytes(b"".join(lines[:cut]) + b'{"event": "ans')
        if cut == 0:
            path.write_bytes(b"")
        kept = len(journaled(path))
        summary = run(plan, requests, journal_path=path, options=RunOptions(max_requests=10_000))
        assert (summary.answered, summary.resumed) == (12, kept)
        assert [answer.text for answer in summary.answers] == [answer.text for answer in whole.answers]
