"""A file that an engine would not load, or that is no placement at all, is refused with one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.planner.export.placement import ENGINES, Shape, Slots, read_placement

SHAPE = Shape(layers=2, experts=4, devices=2, layer_ids=(1, 3), model_layers=4)
ROWS = [[0, 1, 2, 3], [3, 1, 0, 2]]
SLOTS: Slots = ((0, 1, 2, 3), (3, 1, 0, 2))
TRIVIAL = [0, 1, 2, 3]


def told(engine: str, path: Path, content: str, **arguments: Any) -> str:
    """Return the sentence that refuses this content, without its path."""
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_placement(engine, path, shape=SHAPE, **arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < len(str(path)) + 400
    return sentence.replace(str(path), "FILE")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "FILE: expected a JSON object; found a list"),
        ({}, "FILE: expected a field 'physical_to_logical_map'; found none"),
        ({"physical_to_logical_map": 3}, "FILE: physical_to_logical_map: expected a list with one list"),
        ({"physical_to_logical_map": [TRIVIAL, 3]}, "FILE: physical_to_logical_map[1]: expected a list of integers"),
        ({"physical_to_logical_map": [[0, True]]}, "FILE: physical_to_logical_map[0][1]: expected an integer"),
        ({"physical_to_logical_map": [[0, 1.0]]}, "FILE: physical_to_logical_map[0][1]: expected an integer"),
        (
            {"physical_to_logical_map": ROWS},
            "FILE: physical_to_logical_map: expected 4 rows, one for each layer of the",
        ),
        (
            {"physical_to_logical_map": [TRIVIAL] * 4, "rank": 0},
            "FILE: expected no key beside physical_to_logical_map, or SGLang stops; found 'rank'",
        ),
        (
            {"physical_to_logical_map": [TRIVIAL, TRIVIAL, [0, 1, 1, 3], TRIVIAL]},
            "FILE: physical_to_logical_map[2]: expected a copy of each of the 4 experts; found none of expert 2",
        ),
        (
            {"physical_to_logical_map": [TRIVIAL, [0, 1], TRIVIAL, TRIVIAL]},
            "FILE: physical_to_logical_map[1]: expected 4",
        ),
    ],
)
def test_sglang(data: Any, sentence: str, tmp_path: Path) -> None:
    """Other keys, rows for layers with experts only, ragged rows, and a dense layer that misses an expert."""
    assert told("sglang", tmp_path / "{0}.json", json.dumps(data)).startswith(sentence)


def offline(**changes: Any) -> str:
    """Return a good offline document with changes to its model; ``_`` as key changes the document."""
    model = {"model_class": "M", "num_moe_layers": 2, "physical_to_logical_map": ROWS} | changes
    document = changes.pop("_", None) or {
        "version": 2,
        "format": "vllm_offline_eplb_physical_to_logical_by_model",
        "model_maps": {"M": model},
    }
    return json.dumps(document)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "FILE: expected a JSON object; found a list"),
        (offline(_={"version": 1}), "FILE: expected a field 'format'; found none"),
        (offline(_={"version": 2, "format": "x"}), "FILE: format: expected 'vllm_offline_eplb_physical_to_logical_by"),
        (offline(_={"version": True, "format": "x"}), "FILE: version: expected 2; found True"),
        (offline(num_moe_layers=3), "FILE: model_maps.M.num_moe_layers: expected 2; found 3"),
        (offline(num_logical_experts=8), "FILE: model_maps.M.num_logical_experts: expected 4; found 8"),
        (offline(num_physical_experts=8), "FILE: model_maps.M.num_physical_experts: expected 4; found 8"),
        (offline(num_redundant_experts=4), "FILE: model_maps.M.num_redundant_experts: expected 0; found 4"),
        (offline(model_class="N"), "FILE: model_maps.M.model_class: expected 'M'; found 'N'"),
        (offline(record_kind="initial"), "FILE: model_maps.M.record_kind: expected 'proposal'; found 'initial'"),
        (offline(physical_to_logical_map=None), "FILE: model_maps.M.physical_to_logical_map: expected a list with"),
        (offline(physical_to_logical_map=[TRIVIAL]), "FILE: model_maps.M.physical_to_logical_map: expected 2 layers"),
        (offline(physical_to_logical_map=[TRIVIAL, [0, 1, 2, 2]]), "FILE: model_maps.M.physical_to_logical_map[1]: ex"),
    ],
)
def test_vllm_offline(content: str, sentence: str, tmp_path: Path) -> None:
    """Other versions and formats, counts that disagree, an initial record, and maps of other models."""
    assert told("vllm_offline", tmp_path / "map.json", content).startswith(sentence)


def test_vllm_offline_with_several_models(tmp_path: Path) -> None:
    """Of several models one must be named; then it is read, and one that is not there is a sentence."""
    document = json.loads(offline())
    path = tmp_path / "map.json"
    document["model_maps"]["Draft"] = {"physical_to_logical_map": [TRIVIAL]}
    content = json.dumps(document)

    assert told("vllm_offline", path, content).startswith("FILE: model_maps: expected one model, or a name which of")
    assert told("vllm_offline", path, content, model_class="X").startswith("FILE: model_maps: expected a field 'X'")
    assert read_placement("vllm_offline", path, shape=SHAPE, model_class="M") == SLOTS
    assert told("vllm_offline", path, offline().replace('"M": {', '"M": 3, "N": {'), model_class="M").startswith(
        "FILE: model_maps.M: expected a JSON object; found a number"
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"a": 1}, "FILE: expected a list with one list of integers for each layer; found an object"),
        ([], "FILE: expected 2 layers with experts; found 0"),
        ([[0, 1, 2, 3]], "FILE: expected 2 layers with experts; found 1"),
        ([0, 1, 2], "FILE: expected 4 slots: 2 on each of 2 devices; found 3 slots"),
        ([0, 1, 2, "3"], "FILE[3]: expected an integer; found '3'"),
        ([[0, 1, 2, 3], [0, 1, 2, 3, 3]], "FILE[1]: expected 4 slots: 2 on each of 2 devices; found 5 slots"),
        (
            [[0, 1, 2, 3], [0, 1, 2, -1]],
            "FILE[1][3]: expected an expert, since vLLM has no empty slots; found an empty",
        ),
        ([[0, 1, 2, 3], [0, 1, 2, -2]], "FILE[1][3]: expected an expert in 0..3; found -2"),
    ],
)
def test_vllm(data: Any, sentence: str, tmp_path: Path) -> None:
    """Lists of other lengths, other types, and experts that are not there."""
    assert told("vllm", tmp_path / "list.json", json.dumps(data)).startswith(sentence)


def test_vllm_takes_one_list_for_all_layers(tmp_path: Path) -> None:
    """A flat list stands for every layer, as in the engine."""
    (tmp_path / "list.json").write_text("[3, 1, 0, 2]")

    assert read_placement("vllm", tmp_path / "list.json", shape=SHAPE) == ((3, 1, 0, 2),) * 2


HEAD = "num_slots: 4\nlayer_updates_per_iter: 0\n"
FIRST = "initial_global_assignments:\n  1: [0, 1, 2, 3]\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "FILE: num_slots: expected 4; found none"),
        (HEAD, "FILE: initial_global_assignments: expected a mapping; found none"),
        (HEAD + "initial_global_assignments: 3\n", "FILE: initial_global_assignments: expected a mapping; found 3"),
        ("num_slots: 8\n", "FILE: num_slots: expected 4; found 8"),
        ("num_slots: 4\nlayer_updates_per_iter: 2\n", "FILE: layer_updates_per_iter: expected 0, so that the experts"),
        (HEAD + FIRST, "FILE: initial_global_assignments: expected every layer of 2 layers in 1..3; found none for 3"),
        (
            HEAD + FIRST + "  2: [0, 1, 2, 3]\n",
            "FILE: initial_global_assignments: expected 2 layers in 1..3: positions",
        ),
        (
            HEAD + FIRST + '  "3": [0, 1, 2, 3]\n',
            "FILE: initial_global_assignments: expected 2 layers in 1..3: position",
        ),
        (HEAD + FIRST + "  3: [0, 1, 2]\n", "FILE: initial_global_assignments.3: expected 4 slots"),
        (
            HEAD + FIRST + "  3: [0, 1, 2, true]\n",
            "FILE: initial_global_assignments.3[3]: expected an integer; found 't",
        ),
        (HEAD + FIRST + "  3: 4\n", "FILE: initial_global_assignments.3: expected a list of integers; found a number"),
        (HEAD + FIRST + "  3: [0, 1, 2, 2]\n", "FILE: initial_global_assignments.3: expected a copy of each of the 4"),
        (HEAD + "backend: x\n", "FILE: expected no key beside num_slots, layer_updates_per_iter and initial_global_"),
        (
            "moe_config:\n  load_balancer: other.yaml\n",
            "FILE: moe_config.load_balancer: expected a mapping; found 'othe",
        ),
        ("moe_config:\n  load_balancer:\n    num_slots: 5\n", "FILE: moe_config.load_balancer.num_slots: expected 4"),
        (HEAD + "  x: [\n", "FILE: line 3: expected a key and a colon after 0 spaces; found 'x: ['"),
    ],
)
def test_tensorrt_llm(content: str, sentence: str, tmp_path: Path) -> None:
    """Other slots, moving experts, missing and superfluous layers, layers in quotes, and YAML that is none."""
    assert told("tensorrt_llm", tmp_path / "balancer.yaml", content).startswith(sentence)


def test_tensorrt_llm_inside_the_options(tmp_path: Path) -> None:
    """A balancer that stands in the options themselves is read too."""
    inside = "".join(f"    {line}\n" for line in (HEAD + FIRST + "  3: [3, 1, 0, 2]").splitlines())
    path = tmp_path / "options.yaml"
    path.write_text(f"enable_attention_dp: true\nmoe_config:\n  backend: WIDEEP\n  load_balancer:\n{inside}")

    assert read_placement("tensorrt_llm", path, shape=SHAPE) == SLOTS


def ascend(**changes: Any) -> dict[str, Any]:
    """Return a good expert map with changes to its first layer."""
    layers: list[dict[str, Any]] = [
        {
            "layer_id": i,
            "device_count": 2,
            "device_list": [
                {"device_id": 0, "device_expert": row[:2]},
                {"device_id": 1, "device_expert": row[2:]},
            ],
        }
        for i, row in enumerate(ROWS)
    ]
    layers[0] |= changes
    return {"moe_layer_count": 2, "layer_list": layers}


HALVES = [{"device_expert": [0, 1]}, {"device_expert": [2, 3]}]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "FILE: expected a field 'layer_list'; found none"),
        (ascend() | {"moe_layer_count": 3}, "FILE: moe_layer_count: expected 2; found 3"),
        ({"layer_list": ascend()["layer_list"]}, "FILE: expected a field 'moe_layer_count'; found none"),
        (
            ascend() | {"layer_list": ascend()["layer_list"][:1]},
            "FILE: layer_list: expected a list of 2 layers with ex",
        ),
        (ascend() | {"layer_list": {}}, "FILE: layer_list: expected a list of 2 layers with experts; found {}"),
        (ascend() | {"layer_list": [3, 3]}, "FILE: layer_list[0]: expected a JSON object; found a number"),
        (ascend(layer_id=1), "FILE: layer_list[0].layer_id: expected 0; found 1"),
        (ascend(device_count=3), "FILE: layer_list[0].device_count: expected 2; found 3"),
        (ascend(device_list=HALVES[:1]), "FILE: layer_list[0].device_list: expected a list of 2 devices; found 1 dev"),
        (ascend(device_list="x"), "FILE: layer_list[0].device_list: expected a list of 2 devices; found 'x'"),
        (ascend(device_list=[1, 2]), "FILE: layer_list[0].device_list[0]: expected a JSON object; found a number"),
        (ascend(device_list=[{}, {}]), "FILE: layer_list[0].device_list[0]: expected a field 'device_expert'; found"),
        (
            ascend(device_list=[{"device_id": 1} | HALVES[0], HALVES[1]]),
            "FILE: layer_list[0].device_list[0].device_id: expected 0; found 1",
        ),
        (
            ascend(device_list=[{"device_expert": [0]}, {"device_expert": [1, 2, 3]}]),
            "FILE: layer_list[0].device_list[0].device_expert: expected 2 experts, as many as on every device; found 1",
        ),
        (
            ascend(device_list=[{"device_expert": [0, 0]}, {"device_expert": [2, 3]}]),
            "FILE: layer_list[0]: expected a copy of each of the 4 experts; found none of expert 1",
        ),
    ],
)
def test_ascend(data: Any, sentence: str, tmp_path: Path) -> None:
    """Counts that disagree, layers and devices out of order, and uneven devices."""
    assert told("ascend", tmp_path / "map.json", json.dumps(data)).startswith(sentence)


def test_ascend_without_numbers(tmp_path: Path) -> None:
    """Layers and devices need no numbers, since the engine goes by their order; other keys do no harm."""
    data = ascend() | {"strategy_version": 1}
    for layer in data["layer_list"]:
        del layer["layer_id"]
        for device in layer["device_list"]:
            del device["device_id"]
    (tmp_path / "map.json").write_text(json.dumps(data))

    assert read_placement("ascend", tmp_path / "map.json", shape=SHAPE) == SLOTS


TABLE = [f"{i},{node}" for i, node in enumerate([0, 0, 1, 1, 1, 0, 1, 0])]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "FILE: line 1: expected Expert,Node; found an empty file"),
        (["Expert;Node"], "FILE: line 1: expected Expert,Node; found 'Expert;Node'"),
        (["Expert,Node", *TABLE[:-1]], "FILE: expected a node for each of 8 experts; found none for 7"),
        (
            ["Expert,Node", *TABLE, "8,0"],
            "FILE: line 10: expected an expert below 2 layers times 4 experts, 8; found 8",
        ),
        (["Expert,Node", *TABLE, "7,0"], "FILE: line 10: expected each expert once, since ExFlow knows no replicas"),
        (["Expert,Node", "0,2"], "FILE: line 2: expected a node in 0..1; found 2"),
        (["Expert,Node", "-1,0"], "FILE: line 2: expected two integers and a comma between them; found '-1,0'"),
        (["Expert,Node", "0,0,0"], "FILE: line 2: expected two integers and a comma between them"),
        (["Expert,Node", "0.0,0"], "FILE: line 2: expected two integers and a comma between them"),
        (["Expert,Node", "9" * 400 + ",0"], "FILE: line 2: expected two integers and a comma between them"),
        (
            ["Expert,Node", *TABLE[:-1], "7,1"],
            "FILE: expected 2 experts of each layer on every node; found 1 of layer 1",
        ),
    ],
)
def test_exflow(lines: list[str], sentence: str, tmp_path: Path) -> None:
    """Another header, missing, superfluous and repeated experts, unknown nodes, and an unbalanced layer."""
    assert told("exflow", tmp_path / "plan.csv", "".join(f"{line}\n" for line in lines)).startswith(sentence)


def test_exflow_in_any_order_and_with_other_line_ends(tmp_path: Path) -> None:
    """The order of the rows and the ends of the lines do not matter."""
    (tmp_path / "plan.csv").write_bytes("\r\n".join(["Expert,Node", *reversed(TABLE)]).encode())

    assert read_placement("exflow", tmp_path / "plan.csv", shape=SHAPE) == ((0, 1, 2, 3), (1, 3, 0, 2))


@pytest.mark.parametrize("engine", ENGINES)
def test_files_that_cannot_be_read(engine: str, tmp_path: Path) -> None:
    """A file that is absent, a folder, and bytes that are no text are sentences for every engine."""
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match="expected a readable file"):
            read_placement(engine, path, shape=SHAPE)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected UTF-8 text"):
        read_placement(engine, tmp_path / "bytes", shape=SHAPE)


pieces = st.sampled_from(
    [
        *"[]{}:,-\"'#&*!|>\n\t \\",
        *("0", "1", "3", "-1", "1e999", "NaN", "true", "null", "\n  ", "\r", "\u2028", "é", "\x1b[2J"),
        *("num_slots: 4\n", "initial_global_assignments:\n", "  1: [0, 1, 2, 3]\n", "- ", "Expert,Node\n", "0,0\n"),
        *('"layer_list":', '"physical_to_logical_map":', '"device_expert":', "[" * 2000, "a:\n" * 3, "9" * 400),
    ]
)


@settings(max_examples=300)
@given(parts=st.lists(pieces, max_size=12))
def test_no_text_breaks_a_reader(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the text, a reader returns a placement of the shape or raises one sentence without control marks."""
    path = tmp_path_factory.getbasetemp() / "file"
    path.write_text("".join(parts), encoding="utf-8", newline="")

    for engine in ENGINES:
        try:
            slots = read_placement(engine, path, shape=SHAPE)
        except InputError as error:
            assert str(error).isprintable()
            assert re.search(r"expected .+; found ", str(error))
        else:
            assert [sorted(set(row)) for row in slots] == [TRIVIAL, TRIVIAL]
