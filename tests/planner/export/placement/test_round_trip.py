"""What is written for an engine is what the engine would load, and reads back as the same placement."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.planner.export.placement import ENGINES, Shape, Slots, export_placement, read_placement

MakeProblem = Callable[..., PlacementProblem]
SUFFIX = {"tensorrt_llm": ".yaml", "exflow": ".csv"}
SETTINGS = settings(max_examples=60)


def shuffled_layer(experts: int, devices: int, size: int, source: random.Random) -> tuple[int, ...]:
    """Return the slots of one layer: every expert, random copies, no expert twice on a device."""
    copies = dict.fromkeys(range(experts), 1)
    for _ in range(devices * size - experts):
        copies[source.choice([expert for expert, count in copies.items() if count < devices])] += 1
    held: list[list[int]] = [[] for _ in range(devices)]
    for expert in sorted(copies, key=lambda expert: -copies[expert]):
        order = sorted(range(devices), key=lambda device: (len(held[device]), source.random()))
        for device in order[: copies[expert]]:
            held[device].append(expert)
    for mine in held:
        source.shuffle(mine)
    source.shuffle(held)
    return tuple(expert for mine in held for expert in mine)


@st.composite
def placements(draw: st.DrawFn, *, replicas: bool = True) -> tuple[dict[str, Any], Slots]:
    """Draw arguments of a problem, with dense layers or without, and a placement of it."""
    devices = draw(st.integers(2, 4))
    size = draw(st.integers(1, 4))
    experts = draw(st.integers(size, devices * size)) if replicas else devices * size
    layers = draw(st.integers(1, 3))
    arguments: dict[str, Any] = {"layers": layers, "experts": experts, "devices": devices}
    if experts < devices * size:
        arguments["replicas"] = devices * size - experts
    if draw(st.booleans()):
        total = draw(st.integers(layers, layers + 3))
        arguments["model_layers"] = total
        arguments["layer_ids"] = tuple(sorted(draw(st.permutations(range(total)))[:layers]))
    source = random.Random(draw(st.integers(0, 2**32)))
    return arguments, tuple(shuffled_layer(experts, devices, size, source) for _ in range(layers))


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "exflow"])
@SETTINGS
@given(drawn=placements())
def test_a_placement_survives(
    drawn: tuple[dict[str, Any], Slots],
    engine: str,
    problem_of: MakeProblem,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Slot by slot the file says what was decided, with copies and dense layers too, and writing does not vary."""
    arguments, slots = drawn
    problem = problem_of(**arguments)
    path = tmp_path_factory.getbasetemp() / f"plan{SUFFIX.get(engine, '.json')}"

    exported = export_placement(problem, PlacementDecision(slots=slots), engine, path)

    assert exported.paths == (path,)
    assert read_placement(engine, path, problem=problem) == slots
    shape = Shape(
        layers=problem.layers,
        experts=problem.experts,
        devices=len(problem.devices),
        slots=len(slots[0]),
        layer_ids=problem.layer_ids,
        model_layers=problem.model_layers,
    )
    assert read_placement(engine, path, shape=shape) == slots
    before = path.read_text()
    export_placement(problem, PlacementDecision(slots=slots), engine, path)
    assert path.read_text() == before


@SETTINGS
@given(drawn=placements(replicas=False))
def test_exflow_keeps_the_devices(
    drawn: tuple[dict[str, Any], Slots], problem_of: MakeProblem, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """ExFlow's file says which device holds an expert, and so the slots come back sorted on each device."""
    arguments, slots = drawn
    problem = problem_of(**arguments)
    path = tmp_path_factory.getbasetemp() / "plan.csv"

    export_placement(problem, PlacementDecision(slots=slots), "exflow", path)

    size = len(slots[0]) // len(problem.devices)
    expected = tuple(
        tuple(expert for first in range(0, len(row), size) for expert in sorted(row[first : first + size]))
        for row in slots
    )
    assert read_placement("exflow", path, problem=problem) == expected


def as_sglang_would(
    rows: list[list[int]], experts: int, ranks: int, redundant: int, hidden_layers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Do with a map what SGLang does at its start, anew from its description.

    Returns (layers, experts, copies) physical experts with -1 for none, and (ranks, layers, experts) the physical
    expert that each rank sends to, where it has its own copy; -1 where a copy would be drawn.
    """
    table = np.array(rows)  # ragged rows fail, as in torch
    assert (experts + redundant) % ranks == 0
    assert table.shape == (hidden_layers, experts + redundant)
    per_rank = table.shape[1] // ranks
    most = max(np.bincount(row, minlength=experts).max() for row in table)
    every = np.full((hidden_layers, experts, most), -1)
    own = np.full((ranks, hidden_layers, experts), -1)
    for layer, row in enumerate(table):
        for expert in range(experts):
            physical = np.flatnonzero(row == expert)
            assert len(physical), "the static dispatch chooses among no copies"
            every[layer, expert, : len(physical)] = physical
            for slot in physical[::-1]:
                own[slot // per_rank, layer, expert] = slot
    return every, own


@SETTINGS
@given(drawn=placements())
def test_sglang_finds_every_expert_where_it_was_put(
    drawn: tuple[dict[str, Any], Slots], problem_of: MakeProblem, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The engine's own tables, computed from the file and the flags alone, put every expert on the decided devices."""
    arguments, slots = drawn
    problem = problem_of(**arguments)
    path = tmp_path_factory.getbasetemp() / "location.json"
    exported = export_placement(problem, PlacementDecision(slots=slots), "sglang", path)
    words = exported.notes[0].replace(";", "").split()
    ranks = int(words[words.index("--ep-size") + 1])
    redundant = int(words[words.index("--ep-num-redundant-experts") + 1])
    keywords = json.loads(path.read_text())

    assert list(keywords) == ["physical_to_logical_map"]
    hidden = problem.layers if problem.model_layers is None else problem.model_layers
    every, own = as_sglang_would(
        keywords["physical_to_logical_map"], problem.experts, ranks, redundant, hidden_layers=hidden
    )
    positions = problem.layer_ids or tuple(range(problem.layers))
    size = len(slots[0]) // ranks
    for position, row in zip(positions, slots, strict=True):
        for expert in range(problem.experts):
            decided = [slot for slot, held in enumerate(row) if held == expert]
            assert [slot for slot in every[position, expert] if slot >= 0] == decided
            assert [rank for rank in range(ranks) if own[rank, position, expert] >= 0] == [s // size for s in decided]
    for position in set(range(hidden)) - set(positions):
        dense = keywords["physical_to_logical_map"][position]
        assert dense == [slot % problem.experts for slot in range(len(dense))]


@SETTINGS
@given(drawn=placements())
def test_the_other_engines_find_every_expert(
    drawn: tuple[dict[str, Any], Slots], problem_of: MakeProblem, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each file, read with a common library and by the engine's own indexing, holds each layer's slots by rank."""
    yaml = pytest.importorskip("yaml")
    arguments, slots = drawn
    problem = problem_of(**arguments)
    folder = tmp_path_factory.getbasetemp()
    ids = problem.layer_ids or tuple(range(problem.layers))
    ranks, decision = len(problem.devices), PlacementDecision(slots=slots)
    size = len(slots[0]) // ranks

    export_placement(problem, decision, "tensorrt_llm", folder / "balancer.yaml")
    balancer = yaml.safe_load((folder / "balancer.yaml").read_text())
    assert set(balancer) == {"num_slots", "layer_updates_per_iter", "initial_global_assignments"}
    assert balancer["num_slots"] % ranks == 0
    assert balancer["layer_updates_per_iter"] == 0
    assert {layer: tuple(row) for layer, row in balancer["initial_global_assignments"].items()} == dict(
        zip(ids, slots, strict=True)
    )

    export_placement(problem, decision, "ascend", folder / "map.json")
    table = json.loads((folder / "map.json").read_text())
    assert table["moe_layer_count"] == len(slots)
    for index, row in enumerate(slots):
        held = [device["device_expert"] for device in table["layer_list"][index]["device_list"]]
        assert held == [list(row[rank * size : (rank + 1) * size]) for rank in range(ranks)]
        assert all(len(set(experts)) == len(experts) for experts in held)
        assert sum(map(len, held)) - problem.experts == (problem.replicas or 0)

    export_placement(problem, decision, "vllm", folder / "list.json")
    assert json.loads((folder / "list.json").read_text()) == [list(row) for row in slots]


@SETTINGS
@given(drawn=placements())
def test_the_offline_document_agrees_with_itself(
    drawn: tuple[dict[str, Any], Slots], problem_of: MakeProblem, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Version, format, key and all four counts are what the loader computes from the model."""
    arguments, slots = drawn
    problem = problem_of(**arguments)
    path = tmp_path_factory.getbasetemp() / "offline.json"

    export_placement(problem, PlacementDecision(slots=slots), "vllm_offline", path, model_class="Qwen3MoeForCausalLM")

    document = json.loads(path.read_text())
    model = document["model_maps"].pop("Qwen3MoeForCausalLM")
    assert document == {
        "version": 2,
        "format": "vllm_offline_eplb_physical_to_logical_by_model",
        "model_maps": {},
    }
    assert model == {
        "record_kind": "proposal",
        "model_name": "sample",
        "model_class": "Qwen3MoeForCausalLM",
        "num_moe_layers": len(slots),
        "num_logical_experts": problem.experts,
        "num_physical_experts": len(slots[0]),
        "num_redundant_experts": len(slots[0]) - problem.experts,
        "physical_to_logical_map": [list(row) for row in slots],
    }


@pytest.mark.parametrize(("devices", "held"), [(4, 2), (8, 1)])
def test_the_published_files_of_exflow_are_read(
    shared_data: Path, devices: int, held: int, problem_of: MakeProblem, tmp_path: Path
) -> None:
    """The two placements of Mixtral 8x7B have exactly two and one experts on a device, and are written back alike."""
    files = list((shared_data / "exflow").glob(f"solution_intra{devices}_*.csv"))
    if not files:
        pytest.skip("ExFlow's placements are absent")

    slots = read_placement("exflow", files[0], shape=Shape(layers=32, experts=8, devices=devices))

    assert len(slots) == 32
    for row in slots:
        assert sorted(row) == list(range(8))
    published = {
        (int(expert), int(node)) for expert, node in (line.split(",") for line in files[0].read_text().splitlines()[1:])
    }
    placed = {(layer * 8 + expert, slot // held) for layer, row in enumerate(slots) for slot, expert in enumerate(row)}
    assert placed == published
    problem = problem_of(32, 8, devices)
    export_placement(problem, PlacementDecision(slots=slots), "exflow", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == files[0].read_text().replace("\r\n", "\n").rstrip("\n") + "\n"
