"""The example problem of a placement keeps its proven optimum."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import coinfer
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.problem import read_problem_of


def test_the_example_keeps_its_optimum(repository: Path) -> None:
    """Planned anew, the example has the value that stands beside it, proven."""
    folder = repository / "examples" / "problems" / "placement"
    problem = read_problem_of(folder / "zoo_two_devices.json", PlacementProblem)
    known = json.loads((folder / "zoo_two_devices.optimum.json").read_text())
    made = coinfer.plan(problem)
    assert made.certificate.status == known["status"] == "optimal"
    assert made.certificate.value == pytest.approx(known["value"], rel=1e-9)
    assert coinfer.verify(problem, made).proven


def test_every_field_of_the_problem_is_described(repository: Path) -> None:
    """Each field of a placement problem stands in its page of the documentation."""
    text = (repository / "docs" / "placement.md").read_text(encoding="utf-8")
    missing = [field for field in PlacementProblem.__struct_fields__ if f"`{field}`" not in text]
    assert missing == []
