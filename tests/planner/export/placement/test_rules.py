"""Each rule of an engine that a placement breaks is one sentence, and what an engine cannot be told is a note."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coinfer.errors import InputError
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.parts import Place, PlacementDevice
from coinfer.planner.export.placement import ENGINES, Shape, export_placement, read_placement
from coinfer.planner.export.placement.tensorrt_llm import options
from coinfer.records import Matrix

MakeProblem = Callable[..., PlacementProblem]
GOOD = ((0, 1, 2, 3), (3, 1, 0, 2))
COPIED = ((0, 1, 2, 0, 3, 1),)
"""Four experts on two devices, with second copies of 0 and 1."""


def refusal(problem: PlacementProblem, slots: Any, engine: str, path: Path) -> str:
    """Return the sentence that refuses ``slots``; nothing may be written then."""
    with pytest.raises(InputError) as caught:
        export_placement(problem, PlacementDecision(slots=slots), engine, path)
    assert list(path.parent.iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("slots", "sentence"),
    [
        (((0, 1, 2, 3), (3, 1, 0, -1)), "slots[1][3]: expected an expert"),
        (((0, 1, 2, 3), (3, 1, 0, 4)), "slots[1][3]: expected an expert in 0..3; found 4"),
        (((0, 1, 2, 3), (3, 1, 0, 0)), "slots[1]: expected a copy of each of the 4 experts; found none of expert 2"),
        (((0, 1, 2, 3), (3, 1, 0)), "slots[1]: expected 4 slots: 2 on each of 2 devices; found 3 slots"),
        (((0, 1, 2, 3),), "slots: expected 2 layers with experts; found 1"),
    ],
)
def test_every_engine_needs_every_expert_in_full_slots(
    engine: str, slots: Any, sentence: str, problem_of: MakeProblem, tmp_path: Path
) -> None:
    """Empty slots, experts that are not there, experts without a copy and rows of other lengths are refused."""
    assert sentence in refusal(problem_of(2, 4, 2), slots, engine, tmp_path / "plan.json")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_needs_equal_devices(engine: str, problem_of: MakeProblem, tmp_path: Path) -> None:
    """A problem whose devices have unequal slots cannot be exported."""
    devices = (PlacementDevice(name="big", slots=3), PlacementDevice(name="small", slots=1))

    told = refusal(problem_of(2, 4, devices), GOOD, engine, tmp_path / "plan.json")

    assert told.startswith("devices[1].slots: expected 3 slots as on the first device")
    assert told.endswith("found 1")


@pytest.mark.parametrize("engine", ["vllm", "vllm_offline", "tensorrt_llm", "ascend"])
def test_some_engines_need_two_devices(engine: str, problem_of: MakeProblem, tmp_path: Path) -> None:
    """Engines that load no placement for one rank are told none."""
    told = refusal(problem_of(1, 2, 1), ((0, 1),), engine, tmp_path / "plan.json")

    assert told.startswith("devices: expected at least 2 devices")


@pytest.mark.parametrize("engine", ["sglang", "exflow"])
def test_the_others_load_one_device(engine: str, problem_of: MakeProblem, tmp_path: Path) -> None:
    """SGLang's location and ExFlow's file make sense on one device."""
    problem = problem_of(1, 2, 1)
    export_placement(problem, PlacementDecision(slots=((0, 1),)), engine, tmp_path / "plan.json")

    assert read_placement(engine, tmp_path / "plan.json", problem=problem) == ((0, 1),)


def test_exflow_knows_no_replicas(problem_of: MakeProblem, tmp_path: Path) -> None:
    """A placement with copies is refused for ExFlow with the reason, and so is reading one."""
    problem = problem_of(1, 4, 2, replicas=2)
    expected = "slots: expected one slot for each of the 4 experts, since ExFlow knows no replicas; found 6 slots"

    assert refusal(problem, COPIED, "exflow", tmp_path / "plan.csv") == expected
    (tmp_path / "plan.csv").write_text("Expert,Node\n0,0\n1,0\n2,1\n3,1\n")
    with pytest.raises(InputError, match="ExFlow knows no replicas"):
        read_placement("exflow", tmp_path / "plan.csv", problem=problem)


def test_two_copies_on_a_device_are_refused_where_one_is_lost(problem_of: MakeProblem, tmp_path: Path) -> None:
    """vLLM-Ascend keeps one slot for each expert of a rank; the other engines load both, which is told."""
    problem = problem_of(1, 4, 2, replicas=2)
    doubled = ((0, 1, 0, 2, 3, 1),)

    told = refusal(problem, doubled, "ascend", tmp_path / "plan.json")
    assert told.startswith("slots[0]: expected experts that differ on each device")
    assert told.endswith("found expert 0 twice on rank 0")
    for engine in ("sglang", "vllm", "vllm_offline", "tensorrt_llm"):
        path = tmp_path / f"{engine}.json"
        exported = export_placement(problem, PlacementDecision(slots=doubled), engine, path)
        assert exported.notes[-1].startswith(
            "Two copies of one expert on a device serve no purpose: expert 0 on rank 0"
        )
        assert read_placement(engine, path, problem=problem) == doubled


def test_sglang_takes_other_names_for_json(problem_of: MakeProblem, tmp_path: Path) -> None:
    """The argument is a file only where it ends in .json."""
    told = refusal(problem_of(2, 4, 2), GOOD, "sglang", tmp_path / "location.txt")

    assert told == "path: expected a name that ends in .json, or SGLang takes it for JSON text; found 'location.txt'"


def test_a_model_of_absurd_depth_is_refused(problem_of: MakeProblem, tmp_path: Path) -> None:
    """A row for each of a billion layers is not written."""
    problem = problem_of(2, 4, 2, layer_ids=(0, 1), model_layers=10**9)

    assert refusal(problem, GOOD, "sglang", tmp_path / "plan.json").startswith("model_layers: expected an integer")


def test_the_flags_fit_the_file(problem_of: MakeProblem, tmp_path: Path) -> None:
    """The first note starts the engine with its ranks, its redundant experts and the path, quoted for a shell."""
    problem = problem_of(1, 4, 2, replicas=2)
    path = tmp_path / "it's a plan.json"
    decision = PlacementDecision(slots=COPIED)

    words = shlex.split(export_placement(problem, decision, "sglang", path).notes[0].partition(";")[0])
    assert words[words.index("--ep-size") + 1] == "2"
    assert words[words.index("--ep-num-redundant-experts") + 1] == "2"
    assert words[words.index("--init-expert-location") + 1] == str(path)
    for engine, option in (("vllm", "initial_expert_map_path"), ("vllm_offline", "expert_map_path")):
        words = shlex.split(export_placement(problem, decision, engine, path).notes[0].removesuffix("."))
        given = json.loads(words[words.index("--eplb-config") + 1])
        assert given == {"num_redundant_experts": 2, "step_interval": 10**9, option: str(path)}
        assert {"--enable-expert-parallel", "--enable-eplb"} <= set(words)
    words = shlex.split(export_placement(problem, decision, "ascend", path).notes[0].partition(";")[0])
    assert json.loads(words[words.index("--additional-config") + 1]) == {"eplb_config": {"expert_map_path": str(path)}}


def test_the_options_of_tensorrt_llm_are_yaml() -> None:
    """The options name the file and the ranks."""
    yaml = pytest.importorskip("yaml")

    assert yaml.safe_load(options(Shape(layers=1, experts=4, devices=2), Path("a b.yaml"))) == {
        "enable_attention_dp": True,
        "moe_expert_parallel_size": 2,
        "moe_config": {"backend": "WIDEEP", "load_balancer": "a b.yaml"},
    }


@pytest.mark.parametrize("engine", ["sglang", "vllm", "vllm_offline", "tensorrt_llm", "ascend"])
def test_uneven_shares_are_told(engine: str, problem_of: MakeProblem, tmp_path: Path) -> None:
    """No engine takes the plan's shares: uneven ones are counted in a note, even ones are not."""
    problem = problem_of(1, 4, 2, replicas=2, dispatch="local")
    uneven = Matrix([[0.75, 0.5, 1.0, 0.25, 1.0, 0.5]])
    even = Matrix([[0.5, 0.5, 1.0, 0.5, 1.0, 0.5]])
    path = tmp_path / "plan.json"

    notes = export_placement(problem, PlacementDecision(slots=COPIED, shares=uneven), engine, path).notes
    assert any("1 of 2 experts with copies have uneven shares, up to 0.750 on one copy" in note for note in notes)
    assert any("chooses the copy that serves a token itself" in note for note in notes)
    assert any("dispatch 'local'" in note for note in notes) == (engine != "sglang")
    notes = export_placement(problem, PlacementDecision(slots=COPIED, shares=even), engine, path).notes
    assert not any("uneven shares" in note for note in notes)
    assert any("chooses the copy" in note for note in notes)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_else_is_told(engine: str, problem_of: MakeProblem, tmp_path: Path) -> None:
    """Ranks are named, and so are nodes that are not together and places that must hold; otherwise there is silence."""
    plain = problem_of(2, 4, 2)
    path = tmp_path / "plan.json"
    notes = export_placement(plain, PlacementDecision(slots=GOOD), engine, path).notes
    assert "Ranks are the devices in the order of the problem: gpu0, gpu1." in notes
    assert not any(word in note for note in notes for word in ("copy that", "Pinned", "do not stand", "uneven shares"))
    assert any("no layer_ids" in note for note in notes) == (engine in {"sglang", "tensorrt_llm"})

    devices = tuple(PlacementDevice(name=f"d{i}", node="ab"[i % 2]) for i in range(10))
    pinned = (Place(layer=0, expert=0, device="d0"),)
    busy = problem_of(1, 10, devices, pinned=pinned, layer_ids=(3,), model_layers=5)
    notes = export_placement(busy, PlacementDecision(slots=(tuple(range(10)),)), engine, path).notes
    assert any("d0, d1, d2, d3, d4, d5, d6, d7 … d9." in note for note in notes)
    assert any("devices of a node do not stand together" in note for note in notes)
    assert any("Pinned and forbidden places" in note for note in notes)
    assert not any("no layer_ids" in note for note in notes)


def test_the_class_of_a_model_is_read_or_told(problem_of: MakeProblem, tmp_path: Path) -> None:
    """A local model's configuration names its class; elsewhere a stand-in is written and told."""
    (tmp_path / "model").mkdir()
    configuration = tmp_path / "model" / "config.json"
    configuration.write_text('{"architectures": ["OlmoeForCausalLM"]}')
    problem = problem_of(2, 4, 2, model=str(tmp_path / "model"))
    path, decision = tmp_path / "plan.json", PlacementDecision(slots=GOOD)

    notes = export_placement(problem, decision, "vllm_offline", path).notes
    assert list(json.loads(path.read_text())["model_maps"]) == ["OlmoeForCausalLM"]
    assert not any("not known" in note for note in notes)
    assert read_placement("vllm_offline", path, problem=problem, model_class="OlmoeForCausalLM") == GOOD
    for content in ('{"architectures": []}', "{}", '{"architectures": [1]}'):
        configuration.write_text(content)
        notes = export_placement(problem, decision, "vllm_offline", path).notes
        assert any("put it in place of 'ModelForCausalLM'" in note for note in notes)
    export_placement(problem_of(2, 4, 2, model="hub/name"), decision, "vllm_offline", path)
    assert path.read_text().count('"ModelForCausalLM"') == 2


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"layers": 0}, "layers: expected an integer in 1..4096; found 0"),
        ({"experts": 5000}, "experts: expected an integer in 1..4096; found 5000"),
        ({"devices": 3}, "slots: expected at least 4 slots, a multiple of the 3 devices; found 4"),
        ({"slots": 2}, "slots: expected at least 4 slots, a multiple of the 2 devices; found 2"),
        ({"slots": 10}, "slots: expected at most 4 slots on a device, one for each expert; found 5"),
        ({"layer_ids": (1, 0), "model_layers": 2}, "layer_ids: expected 2 ascending numbers in 0..1; found [1, 0]"),
        ({"layer_ids": (1, 2), "model_layers": 2}, "layer_ids: expected 2 ascending numbers in 0..1; found [1, 2]"),
        ({"model_layers": 5000}, "model_layers: expected an integer in 1..4096; found 5000"),
    ],
)
def test_a_shape_is_checked(fields: dict[str, Any], sentence: str) -> None:
    """Sizes that no placement has are refused when they are stated."""
    with pytest.raises(InputError) as caught:
        Shape(**({"layers": 2, "experts": 4, "devices": 2} | fields))

    assert str(caught.value) == sentence


def test_wrong_arguments_are_sentences(problem_of: MakeProblem, tmp_path: Path) -> None:
    """An unknown engine, no sizes or two, shares of another shape, and a folder that is not there."""
    problem, decision = problem_of(2, 4, 2), PlacementDecision(slots=GOOD)
    path = tmp_path / "plan.json"
    shape = Shape(layers=2, experts=4, devices=2)

    with pytest.raises(InputError, match="engine: expected one of sglang, vllm, "):
        export_placement(problem, decision, "triton", path)
    with pytest.raises(InputError, match="shape: expected a problem or a shape; found neither"):
        read_placement("vllm", path)
    with pytest.raises(InputError, match="shape: expected a problem or a shape; found both"):
        read_placement("vllm", path, problem=problem, shape=shape)
    narrow = PlacementDecision(slots=GOOD, shares=Matrix([[1.0, 1.0], [1.0, 1.0]]))
    with pytest.raises(InputError, match="shares: expected one share for each slot"):
        export_placement(problem, narrow, "vllm", path)
    with pytest.raises(InputError, match="a path in a writable folder"):
        export_placement(problem, decision, "vllm", tmp_path / "absent" / "plan.json")
    assert not path.exists()


def test_validate_says_what_writing_would(problem_of: MakeProblem) -> None:
    """Each engine's rules can be asked without a file."""
    shape = Shape(layers=2, experts=4, devices=2)
    for engine in ENGINES.values():
        assert engine.validate(GOOD, shape) == ()
        with pytest.raises(InputError, match=r"slots\[1\]\[3\]"):
            engine.validate((GOOD[0], (0, 1, 2, -1)), shape)
