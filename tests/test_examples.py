"""Every example script runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = ("solve_file.py", "planner_api.py", "monotonic_engine.py", "replan_loop.py", "spend_budget.py")


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs(script: str, repository: Path) -> None:
    """A reader who copies the command from the head of an example sees it work."""
    if script == "replan_loop.py":
        pytest.importorskip("torch", reason="this example runs models in process")
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_shipped_problem_is_what_its_script_makes(repository: Path) -> None:
    """The Jetson and RTX 4090 problem file is exactly what its script builds from the published rows."""
    import importlib.util

    from coinfer.models.problem import read_problem

    path = repository / "examples" / "make_jetson_problem.py"
    spec = importlib.util.spec_from_file_location("make_jetson_problem", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.build() == read_problem(repository / "examples" / "problems" / "jetson_rtx4090.json")
