"""kill -9 against a hostile endpoint: what a journal holds is final, nothing of it is asked again, nothing is lost."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.cli import main
from coinfer.executor.backends.openai_probe import PROBE
from coinfer.executor.budget import Amount
from coinfer.executor.repetition import request_seed
from coinfer.executor.strategies.journal import AskLine, LossLine, ProbeLine, ReplyLine, SessionJournal, SessionsHeader
from coinfer.testing.hostile import Bill, Character, HostileServer, Hostility

FAULTS = {
    Hostility.ERROR: 0.03,
    Hostility.LATE_ERROR: 0.02,
    Hostility.DROP: 0.03,
    Hostility.BUSY: 0.05,
    Hostility.CUT: 0.03,
    Hostility.CUT_STREAM: 0.03,
}
CHARACTER = Character(seed=11, faults=FAULTS, delay_s=0.01, most_in_row=2)
KILLS = 3
STRATEGIES = ("single", "self_consistency", "early_stopping", "one_sample_gate", "probability_vote")
ASKED = {"model": "coinfer/a", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 24}
Line = AskLine | ReplyLine | LossLine | ProbeLine


def written(folder: Path, name: str, count: int) -> str:
    """Write requests of two categories."""
    rows = [
        {
            "id": f"{name}-{i}",
            "prompt": f"{name} question {i} " + "x " * (i % 5),
            "category": "ab"[i % 2],
            "max_tokens": 24,
            "checker": "numeric",
            "answer": "0",
        }
        for i in range(count)
    ]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def served_by(folder: Path, server: HostileServer) -> str:
    """Write the endpoints of a server."""
    endpoint = {"backend": "openai", "model": "m", "url": server.url, "chat": True, "concurrency": 8}
    price = {"prompt_usd": 1e-6, "output_usd": 4e-6}
    path = folder / "endpoints.json"
    path.write_text(
        json.dumps({"format": "coinfer/endpoints/1", "roles": {"answer": {"endpoint": endpoint, "price": price}}})
    )
    return str(path)


def ask_in_vain(address: str) -> None:
    """Ask a front that is killed meanwhile."""
    with contextlib.suppress(httpx.TransportError):
        httpx.post(f"{address}/chat/completions", json=ASKED, timeout=30.0)


def lines_of(journal: Path) -> list[Line]:
    """Return the whole lines of a journal, without its header."""
    whole = journal.read_text().rpartition("\n")[0].splitlines()[1:] if journal.exists() else []
    return [jsonfile.convert(jsonfile.parse(text, where="line"), Line, where="line") for text in whole]


def replies_of(journal: Path) -> dict[str, ReplyLine]:
    """Return the replies by key, each of which stands there once."""
    found = [line for line in lines_of(journal) if isinstance(line, ReplyLine)]
    assert len({line.key for line in found}) == len(found), "a reply was journalled twice"
    return {line.key: line for line in found}


def charged_in(journal: Path) -> Amount:
    """Return what a journal says was spent, requests that were never settled in full."""
    held: dict[int, Amount] = {}
    spent = Amount()
    for line in lines_of(journal):
        if isinstance(line, AskLine):
            held[line.call] = line.reserved
        else:
            held.pop(line.call, None)
            spent = spent.plus(line.charged)
    for amount in held.values():
        spent = spent.plus(amount)
    return spent


def asked(server: HostileServer) -> int:
    """Return how many requests came that were no questions of what the endpoint offers."""
    return sum(bill.prompt != PROBE for bill in server.bills)


def kill_and_resume(command: list[str], server: HostileServer, journal: Path, *, calls: int, seed: int) -> None:
    """Start a command, kill it at several moments, and in the end let it finish; check what was asked meanwhile."""
    random = np.random.default_rng(seed)
    final: list[tuple[int, set[str]]] = []
    for number in range(KILLS):
        goal = int(random.integers(1, 7)) if number == 0 else asked(server) + int(random.integers(3, calls // KILLS))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while (asked(server) if number else len(server.bills)) < goal and process.poll() is None:
                time.sleep(0.001)
            time.sleep(float(random.uniform(0.0, 0.03)))
            process.kill()
        final.append((len(server.bills), set(replies_of(journal) if journal.exists() else ())))
    subprocess.run(command, check=True, timeout=120.0, stdout=subprocess.DEVNULL)
    assert any(done for _, done in final), "no kill came after a reply: the test shows nothing"
    assert len(final[-1][1]) < len(replies_of(journal)), "no kill came before the end: the test shows nothing"
    for taken, done in final:
        seeds = {request_seed(0, key) for key in done}
        again = [bill for bill in server.bills[taken:] if bill.seed in seeds and bill.prompt != PROBE]
        assert not again, "a request whose reply was journalled was made again"


def check_books(journal: Path, bills: list[Bill]) -> None:
    """Check that each reply is charged as it was billed, and that no bill is left uncharged."""
    told: dict[int | None, list[tuple[int, int]]] = {}
    for bill in bills:
        if bill.told:
            told.setdefault(bill.seed, []).append((bill.prompt_tokens, bill.output_tokens))
    for key, line in replies_of(journal).items():
        assert (line.charged.prompt_tokens, line.charged.tokens) in told[request_seed(0, key)]
    header = json.loads(journal.read_text().splitlines()[0])
    del header["format"]
    with SessionJournal(journal, SessionsHeader(**header)) as held:
        spent = held.spent
    assert spent.tokens == charged_in(journal).tokens
    assert sum(bill.prompt_tokens for bill in bills) <= spent.prompt_tokens
    assert sum(bill.output_tokens for bill in bills) <= spent.tokens
    assert len(bills) <= spent.calls


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a pilot, its problem, its plan, and a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("planned")
    problem, plan = str(folder / "problem.json"), str(folder / "plan.json")
    with HostileServer(CHARACTER) as server:
        ends = served_by(folder, server)
        pilot = ["pilot", written(folder, "pilot", 16), "--endpoints", ends, "--samples", "4", "-o", problem]
        assert main([*pilot, "--budget", "tokens=6000", "--prompts", "a=20", "b=20", "--strategies", *STRATEGIES]) == 0
        assert main(["plan", problem, "-o", plan]) == 0
        run = ["run", plan, written(folder, "new", 80), "--problem", problem, "--endpoints", ends]
        assert main([*run, "--answers", str(folder / "answers.jsonl"), "--concurrency", "8"]) == 0
    return folder


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_repeats_nothing_and_loses_nothing(planned: Path, tmp_path: Path, seed: int) -> None:
    """Killed at its start and three times more, a run ends with the answers of the run that nothing disturbed."""
    journal, answers = tmp_path / "journal", tmp_path / "answers.jsonl"
    undisturbed = replies_of(planned / "new.journal")
    with HostileServer(CHARACTER) as server:
        command = [sys.executable, "-m", "coinfer", "run", str(planned / "plan.json"), str(planned / "new.jsonl")]
        command += ["--problem", str(planned / "problem.json"), "--endpoints", served_by(tmp_path, server)]
        command += ["--journal", str(journal), "--answers", str(answers), "--concurrency", "8"]
        kill_and_resume(command, server, journal, calls=len(undisturbed), seed=seed)
        bills = server.bills
    assert answers.read_text() == (planned / "answers.jsonl").read_text()
    found = replies_of(journal)
    assert {key: line.reply for key, line in found.items() if key in undisturbed} == {
        key: line.reply for key, line in undisturbed.items() if key in found
    }
    check_books(journal, bills)


@pytest.mark.slow
def test_a_pilot_that_is_killed_repeats_nothing_and_loses_nothing(planned: Path, tmp_path: Path) -> None:
    """Killed and resumed, a pilot has the samples of the pilot that nothing disturbed."""
    journal, problem = tmp_path / "journal", tmp_path / "problem.json"
    undisturbed = replies_of(planned / "pilot.pilot")
    with HostileServer(CHARACTER) as server:
        command = [sys.executable, "-m", "coinfer", "pilot", str(planned / "pilot.jsonl"), "--samples", "4"]
        command += ["--endpoints", served_by(tmp_path, server), "--journal", str(journal), "-o", str(problem)]
        kill_and_resume([*command, "--concurrency", "8"], server, journal, calls=len(undisturbed), seed=3)
        bills = server.bills
    assert {key: line.reply for key, line in replies_of(journal).items()} == {
        key: line.reply for key, line in undisturbed.items()
    }
    assert problem.exists()
    check_books(journal, bills)


def test_a_front_that_is_killed_keeps_its_books_and_takes_no_new_request_for_an_old_one(
    planned: Path, tmp_path: Path
) -> None:
    """Killed in the middle of answers, a front goes on: what it had sent counts to its cap, and seeds are new."""
    journal = tmp_path / "journal"
    with HostileServer(CHARACTER) as server:
        command = [sys.executable, "-m", "coinfer", "serve", str(planned / "plan.json"), "--port", "0"]
        command += ["--problem", str(planned / "problem.json"), "--endpoints", served_by(tmp_path, server)]
        command += ["--journal", str(journal), "--max-tokens", "24", "--json"]
        for _ in range(3):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                address = json.loads("".join(process.stdout.readline() for _ in range(3)))["address"]
                assert httpx.post(f"{address}/chat/completions", json=ASKED, timeout=30.0).status_code == 200
                before = len(server.bills)
                client = threading.Thread(target=ask_in_vain, args=(address,))
                client.start()
                while len(server.bills) == before:
                    time.sleep(0.001)
                process.kill()
                client.join()
        bills = server.bills
    keys = [line.key for line in lines_of(journal) if isinstance(line, AskLine) and not line.key.startswith("probe/")]
    assert len({key.partition("/")[0] for key in keys}) == 6, "a request was taken for an earlier one"
    check_books(journal, bills)
