"""vLLM-Ascend and MindIE: the JSON file of ``expert_map_path``.

Facts, from vllm-project/vllm-ascend:

- ``vllm_ascend/eplb/core/eplb_utils.py``: layer ``i`` with experts reads entry ``i`` of ``layer_list``, counted from 0
  over the layers with experts only; ``moe_layer_count`` below that stops the start. The ranks are the entries of
  ``device_list`` in order, all with as many experts; redundant experts are the experts in the file beyond the model's.
  EPLB needs at least two ranks.
- The same file: the map from a rank's experts to its slots keeps one slot for each expert, so a second copy on one rank
  is lost. A rank sends all tokens of an expert to one copy, number ``rank`` modulo the copies, near or far; releases of
  2025 used the rank's own copy, or else one that was drawn.
- ``vllm_ascend/eplb/adaptor/vllm_adaptor.py`` (``_export_tensor_to_file``) writes the file: ``layer_id`` and
  ``device_id`` are the positions in the lists.
- ``docs/source/user_guide/feature_guide/expert_parallelism_load_balancer.md``: a path in ``eplb_config`` of the
  additional configuration, without ``dynamic_eplb``, keeps the experts where they are.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.planner.export.placement.check import Exported, Rules, Shape, Slots, check_slots, plan_notes
from coinfer.planner.export.placement.physical_map import as_object, field, read_object, same, whole_numbers

RULES = Rules(
    engine="vLLM-Ascend",
    sharing="each rank always uses the same one, by its number modulo the copies",
    twice=False,
    least_devices=2,
)


def validate(slots: Slots, shape: Shape) -> tuple[str, ...]:
    """Raise a sentence where vLLM-Ascend would not load the slots, or would lose a copy; return notes."""
    return check_slots(slots, shape, RULES)


def flags(path: Path) -> str:
    """Return the arguments of ``vllm serve`` that belong to the file."""
    settings = json.dumps({"eplb_config": {"expert_map_path": str(path)}})
    return f"--enable-expert-parallel --additional-config {shlex.quote(settings)}"


def write(problem: PlacementProblem, decision: PlacementDecision, path: Path) -> Exported:
    """Write the expert map.

    Raises
    ------
    InputError
        Where vLLM-Ascend would not load the placement.
    """
    shape = Shape.of(problem, RULES.engine)
    validate(decision.slots, shape)
    layers = [_layer(position, row, shape) for position, row in enumerate(decision.slots)]
    jsonfile.write_text(path, json.dumps({"moe_layer_count": shape.layers, "layer_list": layers}, indent=1) + "\n")
    start = (
        f"Start vLLM with {shape.devices} ranks (tensor times data parallel) and {flags(path)}; "
        "without dynamic_eplb the experts stay there.",
    )
    return Exported(paths=(path,), notes=start + plan_notes(problem, decision, RULES))


def _layer(position: int, row: tuple[int, ...], shape: Shape) -> dict[str, Any]:
    size = shape.per_device
    devices = [
        {"device_id": rank, "device_expert": list(row[rank * size : (rank + 1) * size])}
        for rank in range(shape.devices)
    ]
    return {"layer_id": position, "device_count": shape.devices, "device_list": devices}


def read(path: Path, shape: Shape) -> Slots:
    """Return the slots of an expert map.

    Raises
    ------
    InputError
        Where vLLM-Ascend would not load the file for a model of this shape, or counts and positions disagree.
    """
    data = read_object(path)
    layers = field(data, "layer_list", str(path))
    where = f"{path}: layer_list"
    if not isinstance(layers, list) or len(layers) != shape.layers:
        found = Plain(f"{len(layers)} layers") if isinstance(layers, list) else layers
        raise InputError(where, expected=f"a list of {shape.layers} layers with experts", found=found)
    field(data, "moe_layer_count", str(path))
    same(data, {"moe_layer_count": shape.layers}, f"{path}: ")
    rows = tuple(_row(layer, position, shape, f"{where}[{position}]") for position, layer in enumerate(layers))
    check_slots(rows, shape, RULES, row=lambda layer: f"{where}[{layer}]")
    return rows


def _row(layer: Any, position: int, shape: Shape, where: str) -> tuple[int, ...]:
    layer = as_object(layer, where)
    devices = field(layer, "device_list", where)
    same(layer, {"layer_id": position, "device_count": shape.devices}, f"{where}.")
    where += ".device_list"
    if not isinstance(devices, list) or len(devices) != shape.devices:
        found = Plain(f"{len(devices)} devices") if isinstance(devices, list) else devices
        raise InputError(where, expected=f"a list of {shape.devices} devices", found=found)
    row: list[int] = []
    for rank, device in enumerate(devices):
        place = f"{where}[{rank}]"
        given = as_object(device, place)
        same(given, {"device_id": rank}, f"{place}.")
        held = whole_numbers(field(given, "device_expert", place), f"{place}.device_expert")
        if len(held) != shape.per_device:
            expected = f"{shape.per_device} experts, as many as on every device"
            raise InputError(f"{place}.device_expert", expected=expected, found=Plain(str(len(held))))
        row += held
    return tuple(row)
