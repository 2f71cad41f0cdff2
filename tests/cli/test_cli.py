"""The command line: quick help, one sentence and the right exit code for whatever is wrong, files whole or absent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import coinfer
from coinfer.cli import main
from coinfer.cli.app import VERBS
from coinfer.cli.schema import FILES, LINES

VERB_NAMES = [module.__name__.rpartition(".")[2].removesuffix("_").replace("_", "-") for module in VERBS]
HEAVY = (
    "torch",
    "transformers",
    "scipy",
    "ortools",
    "highspy",
    "pulp",
    "httpx",
    "rich",
    "matplotlib",
    "numpy",
    "msgspec",
)

PROBLEM: dict[str, Any] = {
    "format": "coinfer/problem/1",
    "kind": "selection",
    "name": "two experts",
    "devices": [{"name": "box", "memory_bytes": 10}],
    "categories": [{"name": "chat", "latency_budget_s": 1.0}, {"name": "code"}],
    "experts": [
        {"name": "small", "device": "box", "latency_s": {"chat": 0.5, "code": 0.5}, "memory_bytes": 4},
        {"name": "large", "device": "box", "latency_s": {"chat": 2.0, "code": 2.0}, "memory_bytes": 6},
    ],
    "prompts": [{"name": "chat", "category": "chat"}, {"name": "code", "category": "code"}],
    "quality": [[0.5, 0.9], [0.3, 0.8]],
    "budgets": {},
    "gate": "category",
}


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(PROBLEM))
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


def test_importing_coinfer_loads_nothing_heavy() -> None:
    """A host program that only imports coinfer pays for nothing it does not use."""
    assert modules_after("import coinfer").isdisjoint(HEAVY)


def test_help_loads_nothing_heavy() -> None:
    """Help comes at once: neither numpy nor any engine is loaded for it."""
    code = "from coinfer.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert modules_after(code).isdisjoint(HEAVY)


def test_every_public_name_is_there() -> None:
    """The list of public names is what the package offers, no more and no less, and each can be loaded."""
    assert sorted(coinfer.__all__) == sorted([*coinfer._MODULE_OF, "__version__"])
    for name in coinfer.__all__:
        assert getattr(coinfer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = coinfer.nothing


@pytest.mark.parametrize("verb", VERB_NAMES)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb explains itself and exits with 0."""
    with pytest.raises(SystemExit) as ended:
        run(verb, "--help")
    assert ended.value.code == 0
    assert "usage: coinfer" in capsys.readouterr().out


def test_python_m_coinfer_works() -> None:
    """The module runs like the command."""
    done = subprocess.run([sys.executable, "-m", "coinfer", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"coinfer {coinfer.__version__}"


def test_plan_and_verify(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan is printed, written, and verifies."""
    plan = problem.with_name("plan.json")
    assert run("plan", problem, "-o", plan) == 0
    said = capsys.readouterr().out
    assert "proven optimal" in said
    assert "large" in said
    assert run("verify", problem, plan) == 0
    assert "Proven: mean quality 0.65 is optimal." in capsys.readouterr().out


def test_json_output_is_one_object(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For machines each verb prints one JSON object, errors included."""
    plan = problem.with_name("plan.json")
    assert run("plan", problem, "-o", plan, "--json", "--front", 4) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["plan"]["certificate"]["value"] == pytest.approx(0.65)
    assert len(said["front"]) >= 1
    assert run("verify", problem, plan, "--json") == 0
    assert json.loads(capsys.readouterr().out)["proven"] is True
    assert run("verify", problem, problem, "--json") == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ({"gate": "none"}, 2, "'category', 'oracle'"),
        ({"quality": [[0.5, float("nan")], [0.3, 0.8]]}, 2, "NaN"),
        ({"categories": [{"name": "chat", "latency_budget_s": 0.1}, {"name": "code"}]}, 3, "'chat'"),
        ({"devices": [{"name": "box", "memory_bytes": 3}]}, 3, "no decision satisfies every constraint"),
    ],
)
def test_what_is_wrong_gets_one_sentence_and_its_code(
    problem: Path, change: dict[str, Any], code: int, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input is 2, infeasible is 3; one line on standard error, and no plan file."""
    problem.write_text(json.dumps({**PROBLEM, **change}))
    plan = problem.with_name("plan.json")
    assert run("plan", problem, "-o", plan) == code
    said = capsys.readouterr().err
    assert part in said
    assert said.startswith("coinfer plan: ")
    assert said.count("\n") == 1
    assert sorted(path.name for path in problem.parent.iterdir()) == ["problem.json"]


def test_a_limit_without_a_plan_is_code_4(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No time at all: there is no plan, and the sentence says which limit it was."""
    assert run("plan", problem, "--time-limit", 0) in (0, 4)  # an engine may still round a start in no time
    assert run("plan", problem, "--time-limit", -1) == 2
    assert "limits.time_s" in capsys.readouterr().err


def test_a_flipped_quality_is_another_problem(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Change one number of the problem: its plan no longer belongs to it."""
    plan = problem.with_name("plan.json")
    assert run("plan", problem, "-o", plan) == 0
    problem.write_text(json.dumps({**PROBLEM, "quality": [[0.9, 0.5], [0.3, 0.8]]}))
    assert run("verify", problem, plan) == 2
    assert "another problem" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that does not exist gets a sentence, not a traceback."""
    assert run("plan", problem, "-o", problem.parent / "none" / "plan.json") == 2
    assert "writable folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [*FILES, *LINES])
def test_schemas_are_valid(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each exported schema is itself a valid JSON Schema."""
    import jsonschema

    assert run("schema", kind) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_schemas_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a kind every schema that can be printed is named with its format, for people and for machines."""
    assert run("schema") == 0
    said = capsys.readouterr().out
    assert all(kind in said for kind in (*FILES, *LINES))
    assert run("schema", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["schemas"]
    assert [entry["kind"] for entry in listed] == [*FILES, *LINES]
    assert {"coinfer/gate/1", "coinfer/acceleration-decision/1"} <= {entry["format"] for entry in listed}


def test_files_fit_their_schema(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What coinfer reads and writes is valid under the schema it exports."""
    import jsonschema

    plan = problem.with_name("plan.json")
    assert run("plan", problem, "-o", plan) == 0
    for kind, path in (("selection", problem), ("plan", plan)):
        capsys.readouterr()
        assert run("schema", kind) == 0
        schema = json.loads(capsys.readouterr().out)
        jsonschema.validate(json.loads(path.read_text()), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**json.loads(path.read_text()), "unknown": 1}, schema)


def test_export_writes_programs(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The integer program goes into an MPS and an LP file; with neither asked for, a sentence says so."""
    assert run("export", problem, "--mps", problem.with_suffix(".mps"), "--lp", problem.with_suffix(".lp")) == 0
    assert "ENDATA" in problem.with_suffix(".mps").read_text()
    assert "select" in problem.with_suffix(".lp").read_text()
    assert run("export", problem) == 2
    assert "--mps FILE or --lp FILE" in capsys.readouterr().err


def test_a_report_is_written(problem: Path) -> None:
    """The page stands in one file, and a plan that does not hold gets none."""
    plan, page = problem.with_name("plan.json"), problem.with_name("report.html")
    assert run("plan", problem, "-o", plan) == 0
    assert run("report", problem, plan, "-o", page, "--front", 4) == 0
    assert page.read_text().startswith("<!")
    page.unlink()
    plan.write_text(plan.read_text().replace('"status": "optimal"', '"status": "feasible"').replace("0.65", "0.75"))
    assert run("report", problem, plan, "-o", page) == 2
    assert not page.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_scripts_know_the_verbs(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each shell gets a script that names every verb."""
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in VERB_NAMES)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("plan", "PROBLEM", "--front", -1), "--front"),
        (("plan", "PROBLEM", "--front", 10**20), "--front"),
        (("plan", "PROBLEM", "-o", "/dev/full"), "a path of a file"),
        (("replan", "PROBLEM", "PLAN", "--measurements", "EMPTY"), "at least one row"),
        (("run", "PLAN", "PROBLEM", "--answers", "PROBLEM"), "a file of its own"),
        (("profile", "--measurements", "rows.jsonl"), "a model to measure"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    problem: Path, arguments: tuple[object, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each gets one sentence and exit code 2, and no file is touched."""
    plan, empty = problem.with_name("plan.json"), problem.with_name("empty.jsonl")
    assert run("plan", problem, "-o", plan) == 0
    empty.write_text('{"format": "coinfer/measurements/1"}\n')
    before = problem.read_text()
    files = {"PROBLEM": problem, "PLAN": plan, "EMPTY": empty}
    capsys.readouterr()
    assert run(*(files.get(str(argument), argument) for argument in arguments)) == 2
    assert part in capsys.readouterr().err
    assert problem.read_text() == before


def test_a_word_that_is_no_number_gets_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors of the command line itself are one line, like all others."""
    with pytest.raises(SystemExit) as ended:
        run("plan", "problem.json", "--time-limit", "soon")
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_link_is_followed_and_not_replaced(problem: Path) -> None:
    """Writing through a symbolic link leaves the link and changes the file behind it."""
    real, link = problem.with_name("real.json"), problem.with_name("link.json")
    real.write_text("old")
    link.symlink_to(real)
    assert run("plan", problem, "-o", link) == 0
    assert link.is_symlink()
    assert json.loads(real.read_text())["format"] == "coinfer/plan/1"


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_an_output_that_is_closed_or_full_is_no_traceback(problem: Path, redirection: str) -> None:
    """Without a standard output the files and the exit code still say what happened."""
    plan = problem.with_name("plan.json")
    assert run("plan", problem, "-o", plan) == 0
    command = f"exec '{sys.executable}' -m coinfer verify '{problem}' '{plan}' {redirection}"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode in (0, 2)
    assert "Traceback" not in done.stderr
