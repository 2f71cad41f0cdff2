"""What stands in the documents is true of the repository, and the repository keeps its own rules."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 300
MAX_FUNCTION_LINES = 60
LONGER_FILES = {
    "tests/planner/export/placement/test_hostile_files.py",
    "tests/profiler/trace/test_formats.py",
    "tests/solver/certificate/test_tree.py",
    "tests/solver/knapsack/test_single.py",
}
LONGER_FUNCTIONS = {
    ("tests/planner/report/conftest.py", "make_plan"),  # one literal plan
    # Loops that numba compiles as they stand: a call would cost more than a step.
    ("src/coinfer/solver/assignment/fan_out/steps.py", "set_steps"),
    ("src/coinfer/solver/assignment/replicas/anneal_steps.py", "anneal_steps"),
    ("src/coinfer/solver/assignment/search/anneal.py", "steps"),
}

# Written in two halves, so that this file does not hold what it looks for.
FOREIGN = [
    first + second
    for first, second in (
        ("/wo", "rk/"),
        ("/tmp/v", "env"),
        ("/tmp/bash", "_jobs"),
        ("/opt/py", "pi"),
        ("/opt/wh", "eels"),
        ("/ro", "ot/"),
        ("/home", "/"),
        ("pypi.org/", "simple"),
        ("python", "hosted"),
        ("extra-", "index-url"),
    )
]


def files(*suffixes: str) -> list[Path]:
    """Return the files that are, or are about to be, under version control."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    paths = [ROOT / name for name in sorted(set(listed.split("\0"))) if name]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def read(path: Path) -> str | None:
    """Return the text of a file; None where it is binary."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def section(text: str, title: str) -> str:
    """Return what stands under a heading."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


needs_git = pytest.mark.skipif(not files(), reason="this copy is not under version control: no list of its files")


@needs_git
def test_every_relative_link_leads_somewhere() -> None:
    """Links between the documents, and from them to files, are not broken; nor are their anchors."""
    broken = []
    for path in files(".md"):
        text = re.sub(r"```.*?```", "", read(path) or "", flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            end = (path.parent / name).resolve() if name else path
            anchors = {
                re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", (read(end) or "") if end.suffix == ".md" else "", re.MULTILINE)
            }
            if not end.exists() or (anchor and anchor not in anchors):
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert not broken


def test_setting_up_takes_exactly_two_commands() -> None:
    """The set-up section of the README names ``make demo`` and ``make test``, and no other command."""
    text = section((ROOT / "README.md").read_text(encoding="utf-8"), "Set-up")
    commands = [
        line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.split("\n") if line
    ]
    assert commands == ["make demo", "make test"]


def test_the_commands_that_documents_name_exist() -> None:
    """Every ``make TARGET`` in README and CONTRIBUTING is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"`make ([a-z]+)", (ROOT / name).read_text(encoding="utf-8")))
        assert named <= targets, name


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example of the README measures, plans, verifies, runs and replans as it stands there."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    text = section((ROOT / "README.md").read_text(encoding="utf-8"), "In Python")
    monkeypatch.chdir(tmp_path)
    exec(compile(text.partition("```python\n")[2].partition("```")[0], "README.md", "exec"), {})
    assert " 12 " in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} >= {"rows.jsonl", "run.journal", "run.jsonl"}


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    """Unreleased changes have their section, and it is the first."""
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"


@needs_git
def test_no_file_names_a_machine_or_a_package_index() -> None:
    """Nothing that is true only of one machine stands in the repository."""
    found = [f"{path.relative_to(ROOT)}: {word}" for path in files() for word in FOREIGN if word in (read(path) or "")]
    assert not found


@needs_git
def test_files_stay_short() -> None:
    """A file of Python fits into a reading; the few exceptions are listed above."""
    longer = {str(path.relative_to(ROOT)) for path in files(".py") if (read(path) or "").count("\n") > MAX_LINES}
    assert longer <= LONGER_FILES


@needs_git
def test_functions_stay_short() -> None:
    """A function, without its docstring, fits onto a screen."""
    longer = set()
    for path in files(".py"):
        for node in ast.walk(ast.parse(read(path) or "")):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            head = node.body[0].lineno - node.lineno
            if (node.end_lineno or 0) - first.lineno + 1 + head > MAX_FUNCTION_LINES:
                longer.add((str(path.relative_to(ROOT)), node.name))
    assert longer <= LONGER_FUNCTIONS


@needs_git
def test_every_test_states_its_property() -> None:
    """Each test has a docstring, and so does each test file."""
    silent = []
    for path in files(".py"):
        if "tests" not in path.parts or not path.name.startswith("test_"):
            continue
        tree = ast.parse(read(path) or "")
        tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        silent += [
            f"{path.relative_to(ROOT)}: {node.name}"
            for node in tests
            if node.name.startswith("test_") and not ast.get_docstring(node)
        ]
        if not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
    assert not silent


def test_every_strategy_has_one_row_in_the_documents() -> None:
    """The tables of docs/strategies.md list the strategies that there are, each once."""
    from coinfer.executor.strategies.registry import strategies

    text = read(ROOT / "docs" / "strategies.md") or ""
    tables = re.findall(r"^\| name \| needs .*\n\|[-|]+\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    named = [
        name for table in tables for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    assert sorted(named) == sorted(strategies())
