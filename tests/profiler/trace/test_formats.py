"""Every format is read back to what was written, and every bad file is refused in one sentence."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.errors import CoinferError, InputError
from coinfer.profiler.trace import TraceOptions, count_traces
from coinfer.profiler.trace.token_layers import TokenLayersTrace

Array = NDArray[np.int64]
TOKENS = np.argsort(np.random.default_rng(5).random((17, 3, 4)), axis=2)[:, :, :2]
SEQUENCE = np.array([0] * 6 + [1] * 7 + [2] * 4)
OPTIONS = TraceOptions(heldout=0.0, folds=1, token_sets=True, experts=4, tokens_at_once=4)


def token_layer_rows() -> str:
    """All tokens of layer 0 of a problem, then of layer 1, and so on, with fields that are not read."""
    lines = []
    for problem in range(3):
        mine = TOKENS[problem == SEQUENCE]
        for layer in range(3):
            for token, experts in enumerate(mine[:, layer].tolist()):
                row = {"dataset": "d", "problem_id": problem, "layer": layer, "token_idx": token, "experts": experts}
                lines.append(json.dumps({**row, "gating_probs": [0.7, 0.3]}))
    return "\n".join(lines) + "\n\n"


def token_rows() -> str:
    """One row for each token."""
    rows = zip(TOKENS.tolist(), SEQUENCE.tolist(), strict=True)
    return "\n".join(json.dumps({"experts": experts, "sequence": name}) for experts, name in rows)


def responses() -> list[dict[str, Any]]:
    """Responses of vLLM: two with the completion inside a choice, one with it beside the prompt's experts."""
    parts = [TOKENS[i == SEQUENCE].tolist() for i in range(3)]
    made: list[dict[str, Any]] = [
        {"id": f"cmpl-{i}", "prompt_routed_experts": part[:2], "choices": [{"text": "x", "routed_experts": part[2:]}]}
        for i, part in enumerate(parts[:2])
    ]
    return [*made, {"id": "cmpl-2", "prompt_routed_experts": None, "routed_experts": parts[2]}]


def write_npy(path: Path) -> None:
    with path.open("wb") as stream:  # given a path, NumPy would add its ending
        np.save(stream, TOKENS.astype(np.int16))


def write_columns(path: Path) -> None:
    np.save(path, np.asfortranarray(TOKENS.astype(np.int64)))


def write_npz(path: Path) -> None:
    np.savez_compressed(path, experts=TOKENS.astype(np.uint8), sequence=SEQUENCE)


def write_response_npz(path: Path) -> None:
    np.savez(path, prompt_routed_experts=TOKENS[:5].astype(np.int16), routed_experts=TOKENS[5:].astype(np.int16))


def text(content: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(content)

    return write


WRITERS: dict[str, tuple[str, Callable[[Path], None], int | None]] = {
    "npy": ("t.npy", write_npy, None),
    "npy in column order": ("t.npy", write_columns, None),
    "npy by content": ("trace.bin", write_npy, None),
    "npz": ("t.npz", write_npz, 3),
    "npz of a response": ("t.npz", write_response_npz, 1),
    "token and layer": ("t.jsonl", text(token_layer_rows()), 3),
    "token": ("t.ndjson", text(token_rows()), 3),
    "token by content": ("trace", text(token_rows()), 3),
    "responses in lines": ("t.jsonl", text("\n".join(map(json.dumps, responses()))), 3),
    "responses in a list": ("t.json", text(json.dumps(responses())), 3),
    "nested lists": ("t.json", text(json.dumps(TOKENS.tolist())), None),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_format_is_read_back(tmp_path: Path, kind: str) -> None:
    """Loads, transitions and sets are those of the tokens that were written, and sequences are recognised."""
    name, write, sequences = WRITERS[kind]
    write(tmp_path / name)
    np.save(tmp_path / "reference.npy", TOKENS)
    made, expected = count_traces([tmp_path / name], OPTIONS), count_traces([tmp_path / "reference.npy"], OPTIONS)
    assert made.fit.tokens == len(TOKENS)
    assert made.left_out == 0
    assert made.sequences == sequences
    for field in ("loads", "transitions", "token_sets"):
        assert np.array_equal(getattr(made.fit, field), getattr(expected.fit, field))


def test_exflow_array_is_top_1(tmp_path: Path) -> None:
    """Two dimensions are one expert for each token and layer."""
    np.save(tmp_path / "t.npy", TOKENS[:, :, 0])
    np.save(tmp_path / "first.npy", TOKENS)
    made = count_traces([tmp_path / "t.npy"], OPTIONS)
    first = count_traces([tmp_path / "first.npy"], TraceOptions(heldout=0.0, folds=1, experts=4, pairs="first"))
    assert made.fit.top_k == 1
    assert np.array_equal(made.fit.transitions, first.fit.transitions)


def test_format_can_be_given(tmp_path: Path) -> None:
    """A named format goes before the ending."""
    path = tmp_path / "trace.txt"
    path.write_text(json.dumps(TOKENS.tolist()))
    assert count_traces([path], TraceOptions(format_name="json")).fit.top_k == 2


def test_loads_without_tokens(tmp_path: Path) -> None:
    """SGLang's counts give loads and no transitions, and a note says that affinity is missing."""
    steps = np.arange(4 * 3 * 5).reshape(4, 3, 5)
    steps[:, 0] = 0  # a dense layer
    (tmp_path / "t.json").write_text(json.dumps({"rank": 0, "logical_count": steps.tolist()}))
    made = count_traces([tmp_path / "t.json"], TraceOptions(heldout=0.25, top_k=2))
    assert made.heldout is not None
    assert made.fit.transitions is None
    assert made.fit.loads.tolist() == steps[:3, 1:].sum(axis=0).tolist()
    assert made.heldout.loads.tolist() == steps[3, 1:].tolist()
    assert made.layer_ids == (1, 2)
    assert made.model_layers == 3
    assert made.fit.top_k == 2
    assert "not by which token" in made.notes[0]


def test_pt_dump_equals_json_dump(tmp_path: Path) -> None:
    """A dump as PyTorch writes it gives the same loads as JSON."""
    torch = pytest.importorskip("torch")
    counts = [[3, 0, 5], [4, 4, 0]]
    torch.save(
        {"rank": 0, "logical_count": torch.tensor(counts), "average_utilization_rate_over_window": None},
        tmp_path / "t.pt",
    )
    (tmp_path / "t.json").write_text(json.dumps({"logical_count": counts}))
    made = [count_traces([tmp_path / name]) for name in ("t.pt", "t.json")]
    assert made[0].fit.loads.tolist() == made[1].fit.loads.tolist() == counts
    assert made[0].notes == made[1].notes
    assert made[0].heldout is None


def test_pt_runs_no_code(tmp_path: Path) -> None:
    """A .pt file that would run code on loading is refused and runs nothing."""
    pytest.importorskip("torch")
    flag = tmp_path / "ran"

    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (flag,)

    (tmp_path / "t.pt").write_bytes(pickle.dumps({"logical_count": Bad()}))
    with pytest.raises(InputError, match="tensors and plain values"):
        count_traces([tmp_path / "t.pt"])
    assert not flag.exists()


def test_tokens_whose_rows_stand_too_far_apart_are_given_up(tmp_path: Path) -> None:
    """Only so many rows wait for the others of their token; what is given up is counted."""
    path = tmp_path / "t.jsonl"
    path.write_text(token_layer_rows())
    chunks = list(TokenLayersTrace(path, waiting=8).chunks(None))
    complete, lost = sum(len(chunk.experts) for chunk in chunks), sum(chunk.incomplete for chunk in chunks)
    assert lost > 0
    assert complete < len(TOKENS)
    assert sum(len(chunk.experts) for chunk in TokenLayersTrace(path, waiting=1000).chunks(None)) == len(TOKENS)


@given(order=st.permutations(range(12)))
def test_rows_of_a_token_may_come_in_any_order(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    """Layers are put in order, whatever the order of the rows."""
    rows = [{"layer": i % 3, "token_idx": i // 3, "experts": TOKENS[i // 3, i % 3].tolist()} for i in order]
    path = tmp_path_factory.mktemp("rows") / "t.jsonl"
    path.write_bytes(lines(*rows))
    (chunk,) = TokenLayersTrace(path).chunks(None)
    assert sorted(chunk.experts.tolist()) == sorted(TOKENS[:4].tolist())


def lines(*rows: object) -> bytes:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


ROW = {"layer": 0, "token_idx": 0, "experts": [0, 1]}
BAD: dict[str, tuple[str, bytes, str]] = {
    "empty": ("t.jsonl", b"", "expected a row for each token"),
    "no JSON": ("t.jsonl", lines(ROW, "{"), "t.jsonl: line 2: expected valid JSON"),
    "no UTF-8": ("t.jsonl", b'{"experts": "\xff"}', "t.jsonl: line 1"),
    "a list": ("t.jsonl", lines([1]), "line 1: expected an object"),
    "other fields": ("t.jsonl", lines({"a": 1}), "line 1: expected a field 'experts'"),
    "a fraction": ("t.jsonl", lines({**ROW, "experts": [0.5]}), "line 1: experts"),
    "true": ("t.jsonl", lines({**ROW, "experts": [True, 1]}), "line 1: experts"),
    "no token": ("t.jsonl", lines({"layer": 0, "experts": [0]}), "line 1: expected a field token_idx"),
    "a row twice": ("t.jsonl", lines(ROW, {**ROW, "layer": 1, "token_idx": 1}, ROW), "line 3: expected each token"),
    "more experts": ("t.jsonl", lines(ROW, {**ROW, "experts": [1]}), "line 2: expected 2 experts"),
    "no experts": ("t.jsonl", lines({**ROW, "experts": []}), "line 1: expected at least 1 experts"),
    "names for some": ("t.jsonl", lines(ROW, {**ROW, "problem_id": 1}), "line 2: expected problem_id"),
    "no token is whole": ("t.jsonl", lines(ROW, {**ROW, "layer": 1, "token_idx": 1}), "2 lack layers"),
    "too large": ("t.jsonl", lines({"experts": [[4096]]}), "line 1: experts"),
    "ragged layers": ("t.jsonl", lines({"experts": [[1], [2]]}, {"experts": [[1]]}), "line 2: expected 2 layers"),
    "ragged experts": ("t.jsonl", lines({"experts": [[1], [2, 3]]}), "line 1: expected 1 experts in layer 1"),
    "no layers": ("t.jsonl", lines({"experts": []}), "line 1: expected experts of at least one layer"),
    "an expert twice": ("t.jsonl", lines({"experts": [[1, 1]]}), "line 1: expected experts that differ"),
    "no experts returned": ("t.jsonl", lines({"choices": [{"text": "x"}]}), "expected a token with all its layers"),
    "text for experts": ("t.json", lines({"routed_experts": "k05VTVBZ"}), "t.json: routed_experts"),
    "no response": ("t.json", b'{"a": 1}', "expected experts of at least one token"),
    "a number": ("t.json", b"3", "t.json: expected"),
    "deep": ("t.json", b"[" * 2000, "t.json"),
    "counts below 0": ("t.json", b'{"logical_count": [[1, -1]]}', "logical_count: expected counts"),
    "fractions of counts": ("t.json", b'{"logical_count": [[1.5]]}', "logical_count: expected whole numbers"),
    "ragged counts": ("t.json", b'{"logical_count": [[1], [1, 2]]}', "logical_count: expected lists of one length"),
    "only zeros": ("t.json", b'{"logical_count": [[0, 0]]}', "expected a layer with tokens"),
    "counts of texts": ("t.json", b'{"logical_count": [["a"]]}', "logical_count: expected counts"),
    "a dump by token": ("t.json", b'{"records": [], "last_physical_to_logical_map": []}', "mode 'stat'"),
    "no npy": ("t.npy", b"x" * 50, "t.npy: expected an .npy file"),
    "no npz": ("t.npz", b"x" * 50, "t.npz: expected an .npz file"),
    "no pt": ("t.pt", b"x" * 50, "t.pt: expected a .pt file"),
    "unknown": ("t.xyz", b"x" * 50, "expected a file that ends in"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_one_sentence(tmp_path: Path, kind: str) -> None:
    """A file that is no trace is refused with file and row, on one line."""
    name, content, expected = BAD[kind]
    if name.endswith(".pt"):
        pytest.importorskip("torch")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        count_traces([tmp_path / name])
    assert expected in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_ARRAYS: dict[str, tuple[Any, str]] = {
    "floats": (np.zeros((3, 2)), "expected an array of whole numbers"),
    "one dimension": (np.zeros(3, dtype=np.int8), "expected shape (tokens, layers)"),
    "no layers": (np.zeros((3, 0), dtype=np.int8), "expected shape (tokens, layers)"),
    "too large": (np.array([[1], [5000]]), "token 1: expected experts in 0..4095"),
    "huge": (np.array([[1], [2**64 - 1]], dtype=np.uint64), "token 1: expected experts in 0..4095"),
    "twice": (np.array([[[1, 2]], [[3, 3]]]), "token 1: expected experts that differ"),
    "no tokens": (np.full((2, 2), -1), "2 lack layers"),
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
@pytest.mark.parametrize("packed", [False, True])
def test_bad_array_is_one_sentence(tmp_path: Path, kind: str, packed: bool) -> None:
    """An array that is no trace is refused with file and token, mapped or packed."""
    array, expected = BAD_ARRAYS[kind]
    path = tmp_path / ("t.npz" if packed else "t.npy")
    if packed:
        np.savez_compressed(path, experts=array)
    else:
        np.save(path, array)
    with pytest.raises(InputError) as caught:
        count_traces([path])
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_damaged_archives_are_one_sentence(tmp_path: Path) -> None:
    """Objects, missing arrays, sequences of another length and archives cut short are refused."""
    made = tmp_path / "t.npz"
    np.savez(made, experts=np.array([[{}]], dtype=object))
    with pytest.raises(InputError, match="whole numbers"):
        count_traces([made])
    np.savez(made, other=TOKENS)
    with pytest.raises(InputError, match="'experts' or 'routed_experts'"):
        count_traces([made])
    np.savez(made, experts=TOKENS, sequence=SEQUENCE[:-1])
    with pytest.raises(InputError, match="one sequence for each token"):
        count_traces([made])
    np.savez(tmp_path / "whole.npz", experts=TOKENS)
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        content = archive.read("experts.npy")
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("experts.npy", content[:-8])
    with pytest.raises(InputError, match="the file is cut"):
        count_traces([made])


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    """Other layers, other top-k, loads beside tokens, and more experts than given are refused."""
    np.save(tmp_path / "a.npy", TOKENS)
    np.save(tmp_path / "b.npy", TOKENS[:, :2])
    (tmp_path / "c.json").write_text('{"logical_count": [[1, 2]]}')
    (tmp_path / "d.json").write_text('{"logical_count": [[1, 2, 3]]}')
    with pytest.raises(InputError, match=r"b\.npy: token 0: expected 3 layers and top-2"):
        count_traces([tmp_path / "a.npy", tmp_path / "b.npy"])
    with pytest.raises(InputError, match="all hold tokens or all hold loads"):
        count_traces([tmp_path / "a.npy", tmp_path / "c.json"])
    with pytest.raises(InputError, match=r"d\.json: expected 1 layers and 2 experts"):
        count_traces([tmp_path / "c.json", tmp_path / "d.json"])
    with pytest.raises(InputError, match=r"expected experts in 0\.\.1"):
        count_traces([tmp_path / "a.npy"], TraceOptions(experts=2))
    with pytest.raises(InputError, match="files: expected at least one"):
        count_traces([])


@pytest.mark.parametrize("values", [{"heldout": 1.0}, {"heldout": float("nan")}, {"folds": 0}, {"experts": 0}])
def test_bad_options_are_refused(values: dict[str, Any]) -> None:
    """Shares outside 0..1, no folds and no experts are refused."""
    with pytest.raises(InputError):
        TraceOptions(**values)


def test_a_model_too_large_to_count_is_refused(tmp_path: Path) -> None:
    """Counts that would not fit into memory are refused before they are made."""
    np.save(tmp_path / "t.npy", np.full((3, 60), 4000))
    with pytest.raises(InputError, match="counts"):
        count_traces([tmp_path / "t.npy"])


FUZZ_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from([2**63, 0.5, "", "a"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)
FUZZ_KEYS = ["experts", "layer", "token_idx", "problem_id", "sequence", "choices", "routed_experts", "id", "records"]
FUZZ_ROWS = st.dictionaries(st.sampled_from([*FUZZ_KEYS, "logical_count"]), FUZZ_VALUES, max_size=4)


@settings(max_examples=300)
@given(content=st.binary(max_size=60) | st.lists(FUZZ_ROWS, max_size=4), ending=st.sampled_from(["jsonl", "json"]))
def test_fuzzed_files_end_in_counts_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | list[dict[str, Any]], ending: str
) -> None:
    """Whatever a file holds, reading it ends in counts or in one of our errors."""
    path = tmp_path_factory.mktemp("fuzz") / f"t.{ending}"
    whole = json.dumps(content[0] if len(content) == 1 else content).encode() if isinstance(content, list) else content
    path.write_bytes(lines(*content) if isinstance(content, list) and ending == "jsonl" else whole)
    try:
        assert count_traces([path], TraceOptions(token_sets=True)).fit.tokens >= 0
    except CoinferError as error:
        assert "\n" not in str(error)
