"""llama-bench's JSON and JSON Lines are read repetition by repetition, or refused with the place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import CoinferError, InputError
from coinfer.profiler.imports.llama_bench import parse_llama_bench

# Field names and shape as printed by llama-bench; the numbers are made up.
PREFILL = {
    "build_commit": "0123abcd",
    "build_number": 5163,
    "cpu_info": "Some Processor",
    "gpu_info": "Some GPU",
    "backends": "CUDA",
    "model_filename": "models/Tiny-1B-Q4_K_M.gguf",
    "model_type": "llama 1B Q4_K - Medium",
    "model_size": 600000000,
    "n_batch": 2048,
    "flash_attn": False,
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 128,
    "avg_ts": 5120.0,
    "samples_ns": [100000000, 102000000],
    "samples_ts": [5120.0, 5019.6],
}
DECODE = PREFILL | {"n_prompt": 0, "n_gen": 100, "samples_ns": [], "samples_ts": [50.0, 40.0]}


def test_each_repetition_is_one_measurement() -> None:
    """Times come from nanoseconds where they stand and from rates otherwise; names come from the file."""
    rows = list(parse_llama_bench(json.dumps([PREFILL, DECODE]), where="t"))

    assert [row.phase for row in rows] == ["prefill", "prefill", "decode", "decode"]
    assert [row.seconds for row in rows] == pytest.approx([0.1, 0.102, 2.0, 2.5])
    assert {(row.device, row.model, row.engine, row.quantisation) for row in rows} == {
        ("Some GPU", "Tiny-1B-Q4_K_M", "llama.cpp 0123abcd", "Q4_K_M")
    }
    assert (rows[0].prompt_tokens, rows[0].output_tokens, rows[0].context_tokens) == (512, None, 128)
    assert (rows[2].prompt_tokens, rows[2].output_tokens) == (None, 100)
    assert all(row.energy_j is None and row.memory_bytes is None for row in rows)


def test_json_and_json_lines_say_the_same() -> None:
    """The same results, as one array and as one object a line, give the same rows."""
    lines = "\n".join(json.dumps(result) for result in (PREFILL, DECODE)) + "\n"

    assert list(parse_llama_bench(lines, where="t")) == list(
        parse_llama_bench(json.dumps([PREFILL, DECODE]), where="t")
    )


def test_a_combined_test_is_a_request() -> None:
    """A test that reads and writes is a whole request of both."""
    (row,) = parse_llama_bench(json.dumps([PREFILL | {"n_gen": 8, "samples_ns": [2e9]}]), where="t")

    assert (row.phase, row.prompt_tokens, row.output_tokens, row.seconds) == ("request", 512, 8, 2.0)


@pytest.mark.parametrize(
    ("backends", "device"),
    [("CUDA", "Some GPU"), ("Metal,BLAS", "Some GPU"), ("CPU", "Some Processor"), ("BLAS", "Some Processor")],
)
def test_the_device_is_the_one_that_did_the_work(backends: str, device: str) -> None:
    """Processor back ends name the processor, all others the GPU."""
    rows = parse_llama_bench(json.dumps([PREFILL | {"backends": backends}]), where="t")

    assert {row.device for row in rows} == {device}


@pytest.mark.parametrize(
    ("model_type", "quantisation"),
    [
        ("llama 7B mostly Q4_0", "Q4_0"),
        ("qwen2 1.5B Q4_K - Small", "Q4_K_S"),
        ("llama 8B F16", "F16"),
        ("llama 1B all F32", "F32"),
        ("llama 1B BF16", "BF16"),
        ("llama 8B IQ2_XXS - 2.0625 bpw", None),
        ("something else", None),
    ],
)
def test_the_number_format_is_read_or_absent(model_type: str, quantisation: str | None) -> None:
    """The end of ``model_type`` gives the number format in its usual name, and nothing where it is not clear."""
    rows = parse_llama_bench(json.dumps([PREFILL | {"model_type": model_type}]), where="t")

    assert {row.quantisation for row in rows} == {quantisation}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_prompt": -1}, r"t: \[0\]: n_prompt: expected an integer, at least 0; found -1"),
        ({"n_prompt": 0}, r"t: \[0\]: n_prompt: expected tokens read or written"),
        ({"n_prompt": "512"}, r"t: \[0\]: n_prompt: expected `int`; found '512'"),
        ({"samples_ns": [0]}, r"t: \[0\]: samples_ns\[0\]: expected a number above 0"),
        ({"samples_ns": [], "samples_ts": [5.0, -1.0]}, r"t: \[0\]: samples_ts\[1\]: expected a number above 0"),
        ({"samples_ns": [], "samples_ts": []}, r"t: \[0\]: samples_ts: expected at least one repetition"),
        ({"gpu_info": ""}, r"t: \[0\]: gpu_info: expected the name of the device"),
        ({"model_filename": None}, r"t: \[0\]: model_filename: expected `str`"),
    ],
)
def test_a_bad_result_is_named_with_its_place(change: dict[str, object], sentence: str) -> None:
    """Whatever is wrong in a result is one sentence with its number and field."""
    with pytest.raises(InputError, match=sentence):
        list(parse_llama_bench(json.dumps([PREFILL | change]), where="t"))


@pytest.mark.parametrize("text", ["", " \n", "{}", "[{}]", "[1]", "null", "[", '{"n_gen": NaN}', "| model | size |"])
def test_what_is_no_result_is_a_sentence(text: str) -> None:
    """Nothing, other JSON, cut JSON and the table of llama-bench are refused, never passed over."""
    with pytest.raises(InputError, match=r"^t"):
        list(parse_llama_bench(text, where="t"))


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(PREFILL)), inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from(sorted(PREFILL)), value=_values, lines=st.booleans())
def test_any_value_anywhere_is_rows_or_a_sentence(key: str, value: object, lines: bool) -> None:
    """Whatever value stands in whatever field, the importer gives rows or an error of ours."""
    text = json.dumps(PREFILL | {key: value})
    try:
        list(parse_llama_bench(text if lines else f"[{text}]", where="t"))
    except CoinferError as error:
        assert str(error).startswith("t")


@given(text=st.text())
def test_any_text_is_rows_or_a_sentence(text: str) -> None:
    """No text makes the importer fail in any other way than by an error of ours."""
    for whole in (text, f"[{text}]"):
        try:
            list(parse_llama_bench(whole, where="t"))
        except CoinferError as error:
            assert str(error).startswith("t")
