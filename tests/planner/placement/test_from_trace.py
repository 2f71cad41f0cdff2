"""A trace becomes a placement problem that holds its counts, its devices and its held-out tokens."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coinfer import arrayfile, jsonfile, zoo
from coinfer.errors import InputError, ProblemError
from coinfer.models.placement.data import FORMAT, PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import evaluate
from coinfer.models.placement.formulate import contiguous
from coinfer.models.placement.parts import LinkCost, LoadCap
from coinfer.planner.placement.from_trace import PlacementOptions, parse_devices, problem_from_trace
from coinfer.profiler.trace import TraceOptions


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A trace of 60 tokens in 12 sequences, 3 layers, 2 of 4 experts."""
    experts = np.argsort(np.random.default_rng(3).random((60, 3, 4)), axis=2)[:, :, :2]
    np.savez_compressed(tmp_path / "small.npz", experts=experts, sequence=np.arange(60) // 5)
    return tmp_path / "small.npz"


def test_problem_holds_the_trace(trace: Path) -> None:
    """Fit and held-out tokens add up, every option is there, and the notes come along."""
    options = PlacementOptions(
        link_cost=LinkCost(within_node=1.0, between_nodes=2.0),
        load_cap=LoadCap(imbalance=1.5, over="mean"),
        replicas=4,
        dispatch="local",
        shrinkage="cross-validated",
        model="zoo:moe-small",
        layer_ids=(1, 3, 4),
    )
    made = problem_from_trace([trace], "2x2", trace=TraceOptions(heldout=0.25), options=options)
    problem = made.problem
    assert problem.heldout is not None
    assert problem.transitions is not None
    assert (problem.name, problem.layers, problem.experts, problem.top_k) == ("small", 3, 4, 2)
    assert (problem.tokens, problem.heldout.tokens) == (45, 15)
    assert problem.transitions.array.sum() == 45 * 2 * 4
    assert problem.loads.array.sum() == 45 * 3 * 2
    assert problem.shrinkage is not None
    assert problem.shrinkage.folds == 5
    assert (problem.layer_ids, problem.model_layers) == ((1, 3, 4), 5)
    assert problem.model == "zoo:moe-small"
    assert any("4 experts in a layer are assumed" in note for note in made.notes)


def test_problem_comes_back_from_its_files(trace: Path, tmp_path: Path) -> None:
    """Counts stand in an .npz beside the JSON file, and the problem read back is the same."""
    made = problem_from_trace([trace], "2", trace=TraceOptions(token_sets=True)).problem
    path = tmp_path / "problem.json"
    assert arrayfile.write(path, made, most_inline=10) == tmp_path / "problem.npz"
    assert jsonfile.read(path, PlacementProblem, format_name=FORMAT) == made
    assert "transitions" in json.loads(path.read_text())


def test_scores_of_a_placement_equal_the_tokens_own(trace: Path) -> None:
    """What a problem says of a placement is what going through the tokens one by one gives."""
    experts = np.load(trace)["experts"]
    options = PlacementOptions(objective="fan_out")
    problem = problem_from_trace(
        [trace], "2", trace=TraceOptions(token_sets=True, heldout=0.0), options=options
    ).problem
    value = evaluate(problem, PlacementDecision(slots=contiguous(problem)))
    device = experts // 2
    crossing = [a != b for token in device for here, there in itertools.pairwise(token) for a in here for b in there]
    assert value.fit.crossing == pytest.approx(np.mean(crossing))
    assert value.value == pytest.approx(np.mean([len(set(layer)) for token in device.tolist() for layer in token]))
    assert value.heldout is None


def test_loads_alone_give_a_problem_of_balance(tmp_path: Path) -> None:
    """SGLang's counts make a problem without transitions, and only for the objective imbalance."""
    path = tmp_path / "dump.json"
    path.write_text(json.dumps({"logical_count": [[0, 0, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4]]}))
    made = problem_from_trace([path], "2", options=PlacementOptions(objective="imbalance"))
    assert made.problem.transitions is None
    assert (made.problem.layer_ids, made.problem.model_layers) == ((1, 2), 3)
    assert any("only balance" in note for note in made.notes)
    with pytest.raises(InputError, match="objective: expected 'imbalance' for such files"):
        problem_from_trace([path], "2")


def test_recorded_routing_of_the_zoo() -> None:
    """The routing that comes with the package is read as it is, split by its sequences."""
    made = problem_from_trace([zoo.routing_path()], "4", trace=TraceOptions(pairs="first", heldout=0.5)).problem
    assert made.heldout is not None
    assert (made.layers, made.experts, made.top_k) == (4, 8, 1)
    assert made.tokens + made.heldout.tokens == 10819


@pytest.mark.parametrize(
    ("text", "names", "nodes"),
    [
        ("2", ["device0", "device1"], [None, None]),
        ("1x2", ["node0-device0", "node0-device1"], ["node0"] * 2),
        ("2x1", ["node0-device0", "node1-device0"], ["node0", "node1"]),
    ],
)
def test_devices_are_read(text: str, names: list[str], nodes: list[str | None]) -> None:
    """A number is devices, and a product is nodes times devices."""
    made = parse_devices(text, memory_bytes=5)
    assert [device.name for device in made] == names
    assert [device.node for device in made] == nodes
    assert {device.memory_bytes for device in made} == {5}


@pytest.mark.parametrize("text", ["", "0", "x2", "2x", "0x4", "2x2x2", "-1", "two", "9999x9999", "4097"])
def test_devices_that_are_none_are_refused(text: str) -> None:
    """Anything else is refused in one sentence."""
    with pytest.raises(InputError, match="devices: expected a number of devices"):
        parse_devices(text)


def bad(**options: Any) -> PlacementOptions:
    return PlacementOptions(**options)


@pytest.mark.parametrize(
    ("devices", "options", "match"),
    [
        ("3", {}, "a number of devices that divides 4 experts"),
        ("2", {"objective": "fan_out"}, "token_sets"),
        ("2", {"objective": "imbalance", "shrinkage": 1.0}, "shrinkage"),
        ("2", {"shrinkage": -1.0}, "strength"),
        ("2", {"layer_ids": ()}, "layer_ids"),
        ("2", {"layer_ids": (0, 1)}, "3 ascending numbers"),
        ("2", {"model_layers": 2}, "3 ascending numbers"),
        ("2", {"memory_bytes": 10}, "expert_bytes"),
    ],
)
def test_options_that_mean_nothing_are_refused(trace: Path, devices: str, options: dict[str, Any], match: str) -> None:
    """Each option that does not fit the trace is one sentence."""
    with pytest.raises((InputError, ProblemError), match=match):
        problem_from_trace([trace], devices, options=bad(**options))


def test_cross_validation_needs_folds(trace: Path) -> None:
    """One fold cannot be left out."""
    with pytest.raises(ProblemError, match="folds: expected at least two"):
        problem_from_trace(
            [trace], "2", trace=TraceOptions(folds=1), options=PlacementOptions(shrinkage="cross-validated")
        )


def test_one_layer_has_no_transitions(tmp_path: Path) -> None:
    """A trace of one layer makes a problem of balance."""
    experts: NDArray[np.int64] = np.array([[0], [1], [1]])
    np.save(tmp_path / "t.npy", experts)
    problem = problem_from_trace([tmp_path / "t.npy"], "2", options=PlacementOptions(objective="imbalance")).problem
    assert problem.transitions is None
    assert problem.layers == 1
