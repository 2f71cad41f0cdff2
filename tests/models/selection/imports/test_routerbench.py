"""RouterBench tables become the problem that they hold, or one sentence with file, line and column."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CoinferError, InputError
from coinfer.models.selection.imports import Imported, ImportOptions, import_routerbench

HEADER = "sample_id,prompt,eval_name,a,b,a|model_response,a|total_cost,b|total_cost,oracle_model_to_route_to"
ROW = "mmlu.1,\"['one,\ntwo']\",mmlu,0.0,1.0,['B'],0.001,0.02,b"
PLAIN = ImportOptions()
DROP = ImportOptions(missing="drop")

names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=8).filter(
    lambda name: not name.endswith(("|total_cost", "|model_response"))
)
cells = st.one_of(st.none(), st.floats(0.0, 1.0))


def read(folder: Path, text: str, options: ImportOptions = PLAIN) -> Imported:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return import_routerbench([path], options)


def test_a_table_is_read_as_it_stands(tmp_path: Path) -> None:
    """Samples, categories, qualities and mean costs are those of the table; the rest is left out and named."""
    more = "mmlu.2,x,mmlu,1.0,1.0,[],0.003,0.04,a\ngsm.1,x,gsm,0.5,True,[],0.005,0.06,b"
    made = read(tmp_path, f"{HEADER},split\n" + "\n".join(f"{row},test" for row in (ROW, *more.split("\n"))))
    problem = made.problem

    assert [(p.name, p.category) for p in problem.prompts] == [("mmlu.1", "mmlu"), ("mmlu.2", "mmlu"), ("gsm.1", "gsm")]
    assert problem.quality.array.tolist() == [[0.0, 1.0], [1.0, 1.0], [0.5, 1.0]]
    assert problem.experts[0].price_usd == {"mmlu": pytest.approx(0.002), "gsm": pytest.approx(0.005)}
    assert problem.experts[1].price_usd == {"mmlu": pytest.approx(0.03), "gsm": pytest.approx(0.06)}
    assert all(expert.energy_j is None and expert.latency_s == {} for expert in problem.experts)
    assert "columns left out: split" in made.notes


@settings(max_examples=40)
@given(data=st.data(), models=st.lists(names, min_size=1, max_size=4, unique=True))
def test_what_was_written_is_read_back(
    data: st.DataObject, models: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of any table, the prompts without an absent cell come back with their figures, and only those."""
    models = [model for model in models if model not in ("sample_id", "prompt", "eval_name")] or ["m"]
    rows = data.draw(
        st.lists(
            st.tuples(st.sampled_from(["x", "y"]), *[st.tuples(cells, cells) for _ in models]), min_size=1, max_size=6
        )
    )
    path = tmp_path_factory.mktemp("table") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sample_id", "eval_name", *models, *(f"{model}|total_cost" for model in models)])
        for i, (category, *pairs) in enumerate(rows):
            written = [*(quality for quality, _ in pairs), *(cost for _, cost in pairs)]
            writer.writerow([f"s{i}", category, *("" if cell is None else repr(cell) for cell in written)])
    whole = [(i, category, pairs) for i, (category, *pairs) in enumerate(rows) if None not in sum(pairs, ())]
    if len(whole) < len(rows):
        with pytest.raises(InputError, match=r"table\.csv: line \d+: "):
            import_routerbench([path], ImportOptions())
    if not whole:
        with pytest.raises(InputError, match="expected a prompt that lacks no cell; found none"):
            import_routerbench([path], DROP)
        return
    problem = import_routerbench([path], DROP).problem

    assert [(p.name, p.category) for p in problem.prompts] == [(f"s{i}", category) for i, category, _ in whole]
    assert np.array_equal(problem.quality.array, [[quality for quality, _ in pairs] for *_, pairs in whole])
    for n, expert in enumerate(problem.experts):
        costs: dict[str, list[float]] = {}
        for _, category, pairs in whole:
            costs.setdefault(category, []).append(pairs[n][1] or 0.0)
        assert expert.name == models[n]
        assert expert.price_usd == {name: pytest.approx(fmean(found)) for name, found in costs.items()}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (",0.0,", ",bad,", "line 4: a: expected a number, or an empty cell; found 'bad'"),
        (",0.0,", ",1_0,", "line 4: a: expected a number, or an empty cell; found '1_0'"),
        (",0.0,", ",inf,", "line 4: a: expected a number, or an empty cell; found 'inf'"),
        (",0.0,", ",1e30,", "line 4: a: expected a number, or an empty cell; found '1e30'"),
        (",0.02,", ",-1,", "line 4: b|total_cost: expected a number, at least 0, or an empty cell; found '-1'"),
        (",0.0,", ",,", "line 4: a: expected a number, or --missing drop to leave such prompts out; found none"),
        (",0.02,", ",NaN,", "line 4: b|total_cost: expected a number, or --missing drop to leave such prompts"),
        (",mmlu,", ",,", "line 4: eval_name: expected text; found an empty cell"),
        ("mmlu.1", "", "line 4: sample_id: expected text; found an empty cell"),
        (",b", "", "line 4: expected 9 cells; found 8"),
        ("mmlu.1", "mmlu.0", "line 4: sample_id: expected a sample that is not also at"),
        ("two']\"", "two']", "line 4: expected comma-separated values; found unexpected end of data"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    """Whatever is wrong in a row is one sentence; a row that spans lines is named by its first."""
    assert old in ROW
    head, _, tail = ROW.rpartition(old)
    first = ROW.replace("mmlu.1", "mmlu.0")
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"{HEADER}\n{first}\n{head}{new}{tail}\n")

    assert sentence in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "table.csv"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: expected names of columns; found an empty file"),
        (HEADER, "expected at least one row below the header; found none"),
        ("sample_id,a\n1,2", "line 1: expected a column 'eval_name'; found sample_id, a"),
        ("sample_id,eval_name,a\n1,2,3", "a column '<model>|total_cost' for each model; found none"),
        ("sample_id,eval_name,a,a\n1,2,3,4", "line 1: expected each column once; found 'a'"),
    ],
)
def test_another_table_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """A file that is no RouterBench table is refused with what it lacks."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)

    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["routerbench.pkl", "routerbench.PICKLE", "routerbench.parquet"])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str) -> None:
    """Pickle and Parquet are refused by their name, with what to do instead."""
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(InputError, match=r"expected a CSV file.*to_csv"):
        import_routerbench([tmp_path / name], ImportOptions())


def test_parts_of_a_table_need_the_same_models(tmp_path: Path) -> None:
    """Two files are one table; a sample in both, or another set of models, is refused."""
    one, two, three = (tmp_path / f"{name}.csv" for name in ("one", "two", "three"))
    one.write_text(f"{HEADER}\n{ROW}\n")
    two.write_text(f"{HEADER}\n{ROW.replace('mmlu.1', 'mmlu.2')}\n")
    three.write_text("sample_id,eval_name,a,a|total_cost,b,b|total_cost,c,c|total_cost\nx,y,1,1,1,1,1,1\n")

    assert len(import_routerbench([one, two], ImportOptions()).problem.prompts) == 2
    with pytest.raises(InputError, match=r"one\.csv: line 2: sample_id: expected a sample that is not also at"):
        import_routerbench([one, one], ImportOptions())
    with pytest.raises(InputError, match=r"three\.csv: line 1: expected the models of"):
        import_routerbench([one, three], ImportOptions())


def test_long_cells_are_read(tmp_path: Path) -> None:
    """A prompt longer than the CSV module's own limit is no obstacle, and the limit is left as it was."""
    before = csv.field_size_limit()
    made = read(tmp_path, f"{HEADER}\n{ROW.replace('one', 'x' * 200_000)}\n")

    assert len(made.problem.prompts) == 1
    assert csv.field_size_limit() == before


@settings(max_examples=60)
@given(text=st.text(max_size=80) | st.lists(st.text(max_size=5), min_size=9, max_size=9).map(",".join))
def test_any_text_is_a_problem_or_a_sentence(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No text makes the importer fail in any other way than by an error of ours."""
    folder = tmp_path_factory.mktemp("table")
    for whole in (text, f"{HEADER}\n{text}"):
        try:
            read(folder, whole, DROP)
        except CoinferError as error:
            assert "\n" not in str(error)
