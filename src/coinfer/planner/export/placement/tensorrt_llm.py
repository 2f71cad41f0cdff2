"""TensorRT-LLM: the YAML file that ``moe_config.load_balancer`` names.

Facts, from NVIDIA/TensorRT-LLM:

- ``tensorrt_llm/llmapi/llm_args.py`` (``MoeLoadBalancerConfig``): the keys are ``num_slots``,
  ``layer_updates_per_iter`` and ``initial_global_assignments``, others are refused; ``num_slots`` is a multiple of the
  ranks; a layer without an assignment stops the start, and so does one of another length.
- ``tensorrt_llm/_torch/modules/fused_moe/interface.py``: the keys of the assignments are positions in the model, as in
  3..60 for DeepSeek-V3; every expert has a slot; there are at least two ranks, with attention data parallelism.
- ``examples/wide_ep/ep_load_balancer/README.md``: ``num_slots / ranks`` slots in a row belong to a rank; with
  ``layer_updates_per_iter: 0`` the experts stay there. The file is named in the options, or stands in them.
- ``cpp/tensorrt_llm/kernels/moeLoadBalance/moeLoadBalanceKernels.cu``: an expert's tokens go to its copies in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.planner.export.placement.check import Exported, Rules, Shape, Slots, check_slots, layer_note, plan_notes
from coinfer.planner.export.placement.physical_map import whole_numbers
from coinfer.planner.export.placement.yaml_reader import from_yaml
from coinfer.planner.export.yaml import Inline, to_yaml

SLOTS, UPDATES, ASSIGNMENTS = "num_slots", "layer_updates_per_iter", "initial_global_assignments"
RULES = Rules(engine="TensorRT-LLM", sharing="the tokens of an expert go to its copies in turn", least_devices=2)


def validate(slots: Slots, shape: Shape) -> tuple[str, ...]:
    """Raise a sentence where TensorRT-LLM would not load the slots; return notes."""
    return check_slots(slots, shape, RULES)


def options(shape: Shape, path: Path) -> str:
    """Return the options of ``trtllm-serve`` (YAML) that belong to the file."""
    return to_yaml(
        {
            "enable_attention_dp": True,
            "moe_expert_parallel_size": shape.devices,
            "moe_config": {"backend": "WIDEEP", "load_balancer": str(path)},
        }
    )


def write(problem: PlacementProblem, decision: PlacementDecision, path: Path) -> Exported:
    """Write the load balancer's file.

    Raises
    ------
    InputError
        Where TensorRT-LLM would not load the placement.
    """
    shape = Shape.of(problem, RULES.engine)
    doubled = validate(decision.slots, shape)
    rows = {position: Inline(row) for position, row in zip(shape.ids, decision.slots, strict=True)}
    jsonfile.write_text(path, to_yaml({SLOTS: shape.total, UPDATES: 0, ASSIGNMENTS: rows}))
    start = (
        f"Name the file as load_balancer in moe_config, with enable_attention_dp and {shape.devices} expert-parallel "
        "ranks; layer_updates_per_iter is 0, so that the experts stay there.",
    )
    return Exported(paths=(path,), notes=start + plan_notes(problem, decision, RULES) + layer_note(shape) + doubled)


def read(path: Path, shape: Shape) -> Slots:
    """Return the slots of the layers with experts, from a load balancer's file or from options that hold it.

    Raises
    ------
    InputError
        Where TensorRT-LLM would not load the file for a model of this shape.
    """
    where = str(path)
    data: Mapping[str | int, Any] = from_yaml(jsonfile.read_text(path), where=where)
    for name in ("moe_config", "load_balancer"):
        if name in data:
            where = f"{where}: {name}" if where == str(path) else f"{where}.{name}"
            data = _mapping(data[name], where)
    inside = f"{where}: " if where == str(path) else f"{where}."
    others = sorted(str(key) for key in set(data) - {SLOTS, UPDATES, ASSIGNMENTS})
    if others:
        expected = f"no key beside {SLOTS}, {UPDATES} and {ASSIGNMENTS}, or TensorRT-LLM stops"
        raise InputError(where, expected=expected, found=others[0])
    if data.get(SLOTS) != shape.total:
        raise InputError(inside + SLOTS, expected=str(shape.total), found=data.get(SLOTS, Plain("none")))
    if data.get(UPDATES, 0) != 0:
        raise InputError(inside + UPDATES, expected="0, so that the experts stay", found=data[UPDATES])
    inside += ASSIGNMENTS
    return _assignments(_mapping(data.get(ASSIGNMENTS), inside), shape, inside)


def _assignments(given: Mapping[str | int, Any], shape: Shape, where: str) -> Slots:
    known = set(shape.ids)
    others = [key for key in given if key not in known]
    if others:
        expected = f"{_span(shape)}: positions of the layers with experts in the model"
        raise InputError(where, expected=expected, found=others[0])
    missing = [position for position in shape.ids if position not in given]
    if missing:
        raise InputError(where, expected=f"every layer of {_span(shape)}", found=Plain(f"none for {missing[0]}"))
    rows = tuple(whole_numbers(given[position], f"{where}.{position}") for position in shape.ids)
    check_slots(rows, shape, RULES, row=lambda layer: f"{where}.{shape.ids[layer]}")
    return rows


def _mapping(value: Any, where: str) -> Mapping[str | int, Any]:
    if not isinstance(value, dict):
        raise InputError(where, expected="a mapping", found=Plain("none") if value is None else value)
    return value


def _span(shape: Shape) -> str:
    first, last = shape.ids[0], shape.ids[-1]
    consecutive = last - first + 1 == shape.layers
    return f"{first}..{last}" if consecutive else f"{shape.layers} layers in {first}..{last}"
