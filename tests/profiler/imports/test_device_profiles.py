"""Published tables are read as they stand, or refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import CoinferError, InputError
from coinfer.profiler.imports import import_file
from coinfer.profiler.imports.device_profiles import COLUMNS, parse_device_profiles

HEADER = ",".join(COLUMNS)
ROW = "Board,LM-7B,Q4_0,engine 1,decode,1,512,25,,8,page 1"
SHARED = Path(__file__).parents[4] / "shared" / "data" / "device_profiles.csv"


def test_a_row_becomes_one_step_of_its_batch() -> None:
    """The rate of a batch of 8 gives 8 tokens in 8 / rate seconds, with energy from the power, at its source."""
    text = f"{HEADER}\nBoard,LM-7B,unstated,engine 1,decode,8,,200,50,8,page 1\n"
    (row,) = parse_device_profiles(text, where="t")

    assert (row.seconds, row.output_tokens, row.batch, row.prompt_tokens) == (0.04, 8, 8, None)
    assert (row.energy_j, row.energy_source) == (pytest.approx(2.0), "published")
    assert (row.quantisation, row.context_tokens, row.memory_bytes) == (None, None, None)
    assert row.source == "page 1; energy from published power, an upper bound where that is a peak"


def test_throughput_is_taken_as_decode_and_says_so() -> None:
    """``output throughput`` becomes a decode row whose source tells that it is none."""
    (row,) = parse_device_profiles(f"{HEADER}\n{ROW.replace('decode', 'output throughput')}\n", where="t")

    assert row.phase == "decode"
    assert "output throughput of whole runs" in row.source


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("decode", "dance", "t: line 3: phase: expected prefill or decode or output throughput; found 'dance'"),
        (",25,", ",0,", "t: line 3: tokens_per_s: expected a finite number above 0; found '0'"),
        (",25,", ",-3,", "t: line 3: tokens_per_s: expected a finite number above 0; found '-3'"),
        (",25,", ",nan,", "t: line 3: tokens_per_s: expected a finite number above 0; found 'nan'"),
        (",25,", ",,", "t: line 3: tokens_per_s: expected a finite number above 0; found ''"),
        (",25,,", ",25,inf,", "t: line 3: power_w: expected a finite number above 0; found 'inf'"),
        (",25,", ",1e-320,", "t: line 3: tokens_per_s: expected a rate of sane size; found '1e-320'"),
        (",1,512", ",0,512", "t: line 3: batch: expected an integer, at least 1; found '0'"),
        (",1,512", ",1.5,512", "t: line 3: batch: expected an integer, at least 1; found '1.5'"),
        (",1,512", ",1,-1", "t: line 3: context: expected an integer, at least 0; found '-1'"),
        (",8,page", ",big,page", "t: line 3: memory_gb: expected a finite number above 0; found 'big'"),
        (",page 1", ",", "t: line 3: source: expected text; found an empty cell"),
        (",page 1", "", "t: line 3: expected 11 cells; found 10"),
        ("page 1", '"page 1', "t: line 3: expected comma-separated values; found unexpected end of data"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(old: str, new: str, sentence: str) -> None:
    """Whatever is wrong in a row is one sentence with line, column, and what would have been right."""
    assert old in ROW
    text = f"{HEADER}\n{ROW}\n{ROW.replace(old, new)}\n"
    with pytest.raises(InputError) as caught:
        list(parse_device_profiles(text, where="t"))

    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["", "\n", HEADER.replace("batch", "rows") + "\n", ROW + "\n"])
def test_another_header_is_refused(text: str) -> None:
    """A table without exactly these columns is refused at its first line."""
    with pytest.raises(InputError, match="line 1: expected device,model"):
        list(parse_device_profiles(text, where="t"))


@given(text=st.text() | st.lists(st.text(max_size=5), min_size=11, max_size=11).map(",".join))
def test_any_text_is_rows_or_a_sentence(text: str) -> None:
    """No text makes the importer fail in any other way than by an error of ours."""
    for whole in (text, f"{HEADER}\n{text}"):
        try:
            list(parse_device_profiles(whole, where="t"))
        except CoinferError as error:
            assert str(error).startswith("t: line")


@given(
    cells=st.lists(st.sampled_from([*ROW.split(","), "", "1e-310", "-1", "8", "1e308", "²", "prefill"]), min_size=11)
)
def test_any_cells_are_rows_or_a_sentence(cells: list[str]) -> None:
    """Nor do rows of plausible cells in wrong places."""
    try:
        list(parse_device_profiles(f"{HEADER}\n{','.join(cells[:11])}\n", where="t"))
    except CoinferError as error:
        assert str(error).startswith("t: line 2")


def test_an_unknown_format_is_refused() -> None:
    """A format name that no importer has is refused with those that have one."""
    known = "device-profiles or llama-bench or vllm-bench or sglang-bench"
    with pytest.raises(InputError, match=f"expected {known}; found 'excel'"):
        import_file(Path("none"), "excel")


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    """A file that is not there is an input error for every importer."""
    for name in ("device-profiles", "llama-bench"):
        with pytest.raises(InputError, match="expected a readable file"):
            list(import_file(tmp_path / "none", name))


@pytest.mark.skipif(not SHARED.exists(), reason="the table of published measurements is not beside the checkout")
def test_the_whole_table_of_published_measurements_is_read() -> None:
    """All 205 rows are read, each with its source, and the rates they were made of come back."""
    rows = list(import_file(SHARED, "device-profiles"))

    assert len(rows) == 205
    assert all(row.source for row in rows)
    assert sum(row.energy_j is not None for row in rows) == 21
    first = rows[0]
    assert (first.device, first.seconds) == ("RTX 3090 24GB", pytest.approx(1 / 115.42))
