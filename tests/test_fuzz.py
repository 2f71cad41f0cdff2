"""Mutated files: readers and the checker refuse them with a sentence, or what they say is true."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import CoinferError
from coinfer.models.problem import read_problem
from coinfer.planner.make import plan
from coinfer.planner.plan import read_plan
from coinfer.planner.verify import verify
from coinfer.profiler.profile import read_profile
from coinfer.profiler.published import published_profile

ROOT = Path(__file__).parents[1]
PROBLEM: dict[str, Any] = json.loads((ROOT / "examples" / "problems" / "coupled_energy_split.json").read_text())
PLAN: dict[str, Any] = jsonfile.to_builtins(
    plan(read_problem(ROOT / "examples" / "problems" / "coupled_energy_split.json"))
)
PROFILE: dict[str, Any] = jsonfile.to_builtins(published_profile())
PROFILE["entries"] = PROFILE["entries"][:4]
PROFILE["devices"] = PROFILE["devices"][:2]

JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=6)
    | st.builds(list)
    | st.builds(dict)
    | st.builds(lambda: [[]])
    | st.builds(lambda: {"a": [1]})
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@st.composite
def mutated(draw: st.DrawFn, data: dict[str, Any]) -> str:
    """The text of ``data`` with up to three values replaced, dropped or doubled, or cut short."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(data)))
        holder = data
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "drop", "double"]))
        if kind == "replace":
            holder[path[-1]] = draw(JUNK)
        elif kind == "drop":
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder[f"{path[-1]}_"] = holder[path[-1]]
        if not places(data):
            break
    text = json.dumps(data)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "problem.json").write_text(json.dumps(PROBLEM))
    (folder / "plan.json").write_text(json.dumps(PLAN))
    return folder


def sentence(error: CoinferError) -> None:
    assert str(error)
    assert "\n" not in str(error)


@given(text=mutated(PROBLEM))
@settings(max_examples=300)
def test_a_mutated_problem_is_refused_or_solved(folder: Path, text: str) -> None:
    """Reading, planning and checking either refuse a mutated problem or prove its plan; nothing else comes out."""
    (folder / "mutated.json").write_text(text)
    try:
        problem = read_problem(folder / "mutated.json")
        made = plan(problem)
        verify(problem, made)
    except CoinferError as error:
        sentence(error)


@given(text=mutated(PLAN))
@settings(max_examples=300)
def test_a_mutated_plan_is_refused_or_true(folder: Path, text: str) -> None:
    """A mutated plan file that verifies still states the proven optimum of its problem."""
    (folder / "mutated.json").write_text(text)
    problem = read_problem(folder / "problem.json")
    try:
        changed = read_plan(folder / "mutated.json")
        verify(problem, changed)
    except CoinferError as error:
        sentence(error)
        return
    assert changed.certificate.value == pytest.approx(PLAN["certificate"]["value"], abs=1e-9)


@given(text=mutated(PROFILE))
@settings(max_examples=300)
def test_a_mutated_profile_is_refused_or_read(folder: Path, text: str) -> None:
    """A mutated profile either gets its sentence or survives being written and read again."""
    (folder / "mutated.json").write_text(text)
    try:
        profile = read_profile(folder / "mutated.json")
    except CoinferError as error:
        sentence(error)
        return
    jsonfile.write(folder / "again.json", profile)
    assert read_profile(folder / "again.json") == profile
