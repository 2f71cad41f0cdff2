"""Plain tables and arrays of qualities become the problem that they hold, or one sentence."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import CoinferError, InputError
from coinfer.models.problem import read_problem
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.imports import ImportOptions, import_csv, import_npz, write_problem
from coinfer.records import Matrix
from coinfer.testing.selection import selection_problems

QUALITY = "prompt,category,small,large\np1,chat,0.4,0.9\np2,code,1,true\n"
EXPERTS = "name,device,category,latency_s,energy_j,energy_basis,price_usd,memory_bytes,group\n"
PLAIN = ImportOptions()


def two(folder: Path, quality: str = QUALITY, experts: str | None = None) -> list[Path]:
    paths = [folder / "quality.csv"]
    paths[0].write_text(quality, encoding="utf-8", newline="")
    if experts is not None:
        paths.append(folder / "experts.csv")
        paths[1].write_text(EXPERTS + experts, encoding="utf-8", newline="")
    return paths


def test_tables_are_read_as_they_stand(tmp_path: Path) -> None:
    """Figures hold for the category of their row, or for all; what is not said stays absent, and is told."""
    rows = "small,edge,,0.5,2,measured,,4000000000,g\nsmall,,code,0.75,,,0.5,,\nextra,,,1,,,,,\n"
    made = import_csv(two(tmp_path, experts=rows), ImportOptions(device="desk", gate="oracle", experts_budget=1))
    small, large = made.problem.experts

    assert made.problem.quality.array.tolist() == [[0.4, 0.9], [1.0, 1.0]]
    assert (small.device, small.memory_bytes, small.group, large.device) == ("edge", 4 * 10**9, "g", "desk")
    assert small.latency_s == {"chat": 0.5, "code": 0.75}
    assert (small.energy_j, small.energy_basis) == ({"chat": 2.0, "code": 2.0}, "measured")
    assert small.price_usd == {"code": 0.5}
    assert (large.latency_s, large.energy_j, large.price_usd, large.memory_bytes) == ({}, None, None, None)
    assert (made.problem.gate, made.problem.budgets.experts, made.problem.name) == ("oracle", 1, "quality")
    assert made.notes == (
        "experts without a quality left out: extra",
        "nothing is known of latency, energy or price of: large",
    )


def test_energy_without_a_basis_counts_as_declared(tmp_path: Path) -> None:
    """The weakest basis is assumed, and said."""
    made = import_csv(two(tmp_path, experts="small,,,1,2,,,,\nlarge,,,1,2,derived,,,\n"), PLAIN)

    assert [expert.energy_basis for expert in made.problem.experts] == ["declared", "derived"]
    assert made.notes == ("energy without an energy_basis counts as declared: small",)


@settings(max_examples=40)
@given(problem=selection_problems())
def test_a_problem_survives_the_tables(problem: SelectionProblem, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any problem's qualities and figures, written as tables, come back as they were."""
    folder = tmp_path_factory.mktemp("tables")
    paths = [folder / "quality.csv", folder / "experts.csv"]
    with paths[0].open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["prompt", "category", *(expert.name for expert in problem.experts)])
        for prompt, row in zip(problem.prompts, problem.quality.array.tolist(), strict=True):
            writer.writerow([prompt.name, prompt.category, *row])
    used = list(dict.fromkeys(prompt.category for prompt in problem.prompts))
    with paths[1].open("w", newline="") as stream:
        stream.write(EXPERTS)
        writer = csv.writer(stream)
        for expert in problem.experts:
            for name in used:
                figures = [
                    table.get(name) for table in (expert.latency_s, expert.energy_j or {}, expert.price_usd or {})
                ]
                basis = expert.energy_basis if figures[1] is not None else None
                fixed = (expert.memory_bytes, expert.group)
                row = [expert.name, expert.device, name, figures[0], figures[1], basis, figures[2], *fixed]
                writer.writerow(["" if cell is None else cell for cell in row])
    found = import_csv(paths, PLAIN).problem

    assert found.quality == problem.quality
    assert [(p.name, p.category) for p in found.prompts] == [(p.name, p.category) for p in problem.prompts]
    for was, now in zip(problem.experts, found.experts, strict=True):
        assert (now.name, now.device, now.memory_bytes, now.group) == (
            was.name,
            was.device,
            was.memory_bytes,
            was.group,
        )
        for field in ("latency_s", "energy_j", "price_usd"):
            there = {name: figure for name, figure in (getattr(was, field) or {}).items() if name in used}
            assert (getattr(now, field) or {}) == there


@pytest.mark.parametrize(
    ("quality", "experts", "sentence"),
    [
        ("", None, "quality.csv: line 1: expected names of columns; found an empty file"),
        ("prompt,category\np,c\n", None, "line 1: expected a column of qualities for each expert; found none"),
        ("category,a\nc,1\n", None, "line 1: expected a column 'prompt'; found category, a"),
        ("prompt,a\np,1\np,1\n", None, "line 3: prompt: expected a prompt that is not also at"),
        ("prompt,a,b\np,1,\n", None, "line 2: b: expected a number, or --missing drop"),
        ("prompt,a\np,high\n", None, "line 2: a: expected a number, or an empty cell; found 'high'"),
        ("prompt,a\n,1\n", None, "line 2: prompt: expected text; found an empty cell"),
        ("prompt,category,a\np,,1\n", None, "line 2: category: expected text; found an empty cell"),
        (QUALITY, "small,,,-1,,,,,\n", "experts.csv: line 2: latency_s: expected a number, at least 0"),
        (
            QUALITY,
            "small,,,1,,guess,,,\n",
            "line 2: energy_basis: expected measured or published or declared or derived",
        ),
        (QUALITY, "small,a,,1,,,,,\nsmall,b,chat,1,,,,,\n", "line 3: device: expected 'a' as before; found 'b'"),
        (
            QUALITY,
            "small,,chat,1,,,,,\nsmall,,chat,2,,,,,\n",
            "line 3: latency_s: expected one figure for each category",
        ),
        (QUALITY, "small,,,1,,,,1.5,\n", "line 2: memory_bytes: expected whole bytes; found '1.5'"),
        (QUALITY, ",,,1,,,,,\n", "line 2: name: expected text; found an empty cell"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path: Path, quality: str, experts: str | None, sentence: str) -> None:
    """Whatever is wrong in either table is said with file, line and column."""
    with pytest.raises(InputError) as caught:
        import_csv(two(tmp_path, quality, experts), PLAIN)

    assert sentence in str(caught.value)


def test_other_bad_input_is_one_sentence(tmp_path: Path) -> None:
    """Too many files, none, an unknown column and a budget without figures are refused."""
    paths = two(tmp_path, experts="small,,,1,,,,,\nlarge,,,1,,,,,\n")
    with pytest.raises(InputError, match="files: expected 1 to 2 files; found 3"):
        import_csv([*paths, paths[1]], PLAIN)
    with pytest.raises(InputError, match="files: expected 1 to 2 files; found 0"):
        import_npz([], PLAIN)
    with pytest.raises(
        InputError, match=r"quality\.csv: experts\[0\]\.energy_j: expected a figure for category 'chat'"
    ):
        import_csv(paths, ImportOptions(energy_budget_j=1.0))
    paths[1].write_text("name,watt\nsmall,1\n")
    with pytest.raises(InputError, match=r"experts\.csv: line 1: expected columns among name, device.*found 'watt'"):
        import_csv(paths, PLAIN)


@settings(max_examples=60)
@given(text=st.text(max_size=60), which=st.booleans())
def test_any_text_is_a_problem_or_a_sentence(text: str, which: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No text makes the importer fail in any other way than by an error of ours."""
    folder = tmp_path_factory.mktemp("tables")
    for paths in (two(folder, text), two(folder, QUALITY + text), two(folder, QUALITY, text)):
        try:
            import_csv(paths, ImportOptions(missing="drop" if which else "refuse"))
        except CoinferError as error:
            assert "\n" not in str(error)


def save(folder: Path, **arrays: Any) -> Path:
    path = folder / "matrix.npz"
    np.savez(path, **arrays)
    return path


def test_arrays_are_read_as_they_stand(tmp_path: Path) -> None:
    """Q is (experts, prompts), and M, P and C name its rows, its columns, and their categories."""
    quality = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    path = save(tmp_path, Q=quality, M=np.array(["a", "b"]), P=np.array(["x", "y", "z"]), C=np.array(["k", "l", "k"]))
    problem = import_npz([path], PLAIN).problem

    assert np.array_equal(problem.quality.array, quality.T)
    assert [expert.name for expert in problem.experts] == ["a", "b"]
    assert [(p.name, p.category) for p in problem.prompts] == [("x", "k"), ("y", "l"), ("z", "k")]


def test_a_nan_is_an_absent_quality(tmp_path: Path) -> None:
    """NaN is refused with its column and expert, or the prompt is dropped; it is no number."""
    path = save(tmp_path, Q=np.array([[0.1, np.nan], [0.4, 0.5]]), M=np.array(["a", "b"]), other=np.zeros(3))
    with pytest.raises(InputError, match=r"Q\[:, 1\]: a: expected a number, or --missing drop"):
        import_npz([path], PLAIN)
    made = import_npz([path], ImportOptions(missing="drop"))

    assert made.problem.quality.array.tolist() == [[0.1, 0.4]]
    assert "arrays left out: other" in made.notes


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"Q": np.zeros((1, 2))}, "expected an array 'M'; found ['Q']"),
        ({"Q": np.zeros(2), "M": np.array(["a"])}, "Q: expected a matrix of numbers (experts, prompts); found 1 dim"),
        ({"Q": np.array([["x"]]), "M": np.array(["a"])}, "Q: expected a matrix of numbers (experts, prompts)"),
        ({"Q": np.zeros((1, 2)), "M": np.array(["a", "b"])}, "M: expected 1 texts, since Q has as many; found 2"),
        ({"Q": np.zeros((1, 2)), "M": np.array([1])}, "M: expected a list of texts; found 1 dimension(s) of int64"),
        ({"Q": np.zeros((2, 1)), "M": np.array(["a", "a"])}, "M: expected names that differ; found 'a'"),
        ({"Q": np.zeros((1, 0)), "M": np.array(["a"])}, "expected at least one prompt; found none"),
        ({"Q": np.zeros((1, 1)), "M": np.array(["a"], dtype=object)}, "(no pickle); found Object arrays cannot be"),
        ({"Q": np.full((1, 1), np.inf), "M": np.array(["a"])}, "[0][0]: expected a finite number; found inf"),
    ],
)
def test_bad_arrays_are_one_sentence(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    """Arrays of another shape or kind, and objects, are refused; nothing is unpickled."""
    with pytest.raises(InputError) as caught:
        import_npz([save(tmp_path, **arrays)], PLAIN)

    assert sentence in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip file", b"\x80\x04."])
def test_what_is_no_archive_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    """A damaged or foreign file is refused as such."""
    path = tmp_path / "matrix.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"matrix\.npz: expected an \.npz file of plain numbers"):
        import_npz([path], PLAIN)
    with pytest.raises(InputError, match=r"absent\.npz: expected a readable file"):
        import_npz([tmp_path / "absent.npz"], PLAIN)


@pytest.mark.parametrize("prompts", [2, 15_000])
def test_a_written_problem_is_the_same_when_read(tmp_path: Path, prompts: int) -> None:
    """Small matrices stand in the JSON file, large ones beside it; the problem is the same either way."""
    quality = np.random.default_rng(0).random((2, prompts))
    problem = import_npz([save(tmp_path, Q=quality, M=np.array(["a", "b"]))], PLAIN).problem
    problem = msgspec.structs.replace(problem, gate_scores=Matrix(quality.T - 0.5))
    beside = write_problem(tmp_path / "p.json", problem)

    assert (beside is None) == (prompts == 2)
    assert isinstance(json.loads((tmp_path / "p.json").read_text())["quality"], list if beside is None else dict)
    found = read_problem(tmp_path / "p.json")
    assert found == problem
    assert beside is None or jsonfile.sha256(found) == jsonfile.sha256(
        msgspec.structs.replace(problem, quality=found.quality, gate_scores=found.gate_scores)
    )


def test_the_real_matrix_is_read(shared_data: Path) -> None:
    """AlpacaEval's 58 models come whole; the 8 prompts that some model left out are dropped and told."""
    path = shared_data / "alpaca_eval_quality_58x805.npz"
    made = import_npz([path], ImportOptions(missing="drop", gate="oracle", experts_budget=2))

    assert made.problem.quality.shape == (797, 58)
    assert made.notes[0].startswith("8 of 805 prompts dropped, because a cell is absent")
    with np.load(path, allow_pickle=False) as arrays:
        kept = ~np.isnan(arrays["Q"]).any(axis=0)
        assert np.array_equal(made.problem.quality.array, arrays["Q"][:, kept].T)
