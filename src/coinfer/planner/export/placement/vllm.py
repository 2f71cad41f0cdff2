"""vLLM: a list of physical experts, or an offline EPLB document of version 2.

Facts:

- No release of vLLM reads a placement from a file; pull request 49572 of vllm-project/vllm (open) adds
  ``eplb_config.initial_expert_map_path``, a JSON list [layers][physical], or one [physical] for all layers. Sizes,
  range and coverage are validated; the layers are the ones with experts, in order.
- ``vllm/config/parallel.py``: EPLB needs expert parallelism and at least two ranks; redundant experts need EPLB.
- ``vllm/model_executor/layers/fused_moe/router/base_router.py``: the copy for a token is its position in the batch
  modulo the copies, so every copy gets an even share, wherever the token is.
- ``vllm/distributed/eplb/eplb_state.py``: experts are moved again after ``step_interval`` steps.
- Plug-ins (HYGON-AI/vllm-plugin-das, ``vllm_hcu/model_executor/layers/fused_moe/static_eplb.py``) read the version-2
  document: ``model_maps`` by class of the model, where ``record_kind`` is ``proposal``, ``model_class`` repeats the
  key and four counts must be right. Such a map is not moved again.
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
from coinfer.planner.export.placement.physical_map import (
    as_object,
    field,
    number_rows,
    read_json,
    read_object,
    rows_text,
    same,
    whole_numbers,
)

VERSION, FORMAT = 2, "vllm_offline_eplb_physical_to_logical_by_model"
UNKNOWN_CLASS = "ModelForCausalLM"
"""Stands for the class of the model where it is not known."""
NEVER = 1_000_000_000
"""Steps after which vLLM may move experts again: more than it will run."""
RULES = Rules(
    engine="vLLM", sharing="by a token's position in the batch, the same share for each copy", least_devices=2
)


def validate(slots: Slots, shape: Shape) -> tuple[str, ...]:
    """Raise a sentence where vLLM would not load the slots; return notes."""
    return check_slots(slots, shape, RULES)


def flags(shape: Shape, path: Path, *, option: str = "initial_expert_map_path") -> str:
    """Return the arguments of ``vllm serve`` that belong to the file; ``option`` names it in the EPLB settings."""
    settings: dict[str, Any] = {"num_redundant_experts": shape.redundant, "step_interval": NEVER, option: str(path)}
    return f"--enable-expert-parallel --enable-eplb --eplb-config {shlex.quote(json.dumps(settings))}"


def write(problem: PlacementProblem, decision: PlacementDecision, path: Path) -> Exported:
    """Write the list [layers][physical experts], for the layers with experts.

    Raises
    ------
    InputError
        Where vLLM would not load the placement.
    """
    shape = Shape.of(problem, RULES.engine)
    doubled = validate(decision.slots, shape)
    jsonfile.write_text(path, rows_text(decision.slots) + "\n")
    start = (
        f"Start vLLM with pull request 49572 and {_ranks(shape)} {flags(shape, path)}.",
        f"vLLM moves the experts again after step_interval steps, which is why it is {NEVER}.",
    )
    return Exported(paths=(path,), notes=start + plan_notes(problem, decision, RULES) + doubled)


def write_offline(
    problem: PlacementProblem, decision: PlacementDecision, path: Path, *, model_class: str | None = None
) -> Exported:
    """Write the offline EPLB document.

    Parameters
    ----------
    problem, decision, path
        As in :func:`write`.
    model_class
        Class of the model in vLLM, as in ``DeepseekV3ForCausalLM``. Absent: the first of the ``architectures`` in the
        ``config.json`` of a model that is a local folder; else a stand-in, which is told.

    Raises
    ------
    InputError
        Where vLLM would not load the placement.
    """
    shape = Shape.of(problem, RULES.engine)
    doubled = validate(decision.slots, shape)
    known = model_class or _architecture(problem.model)
    name = known or UNKNOWN_CLASS
    head = {
        "record_kind": "proposal",
        "model_name": problem.model or problem.name,
        "model_class": name,
        **_counts(shape),
    }
    lines = "".join(f"   {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    rows = rows_text(decision.slots, "   ")
    text = (
        f'{{\n "version": {VERSION},\n "format": "{FORMAT}",\n "model_maps": {{\n  {json.dumps(name)}: {{\n'
        f'{lines}   "physical_to_logical_map": {rows}\n  }}\n }}\n}}\n'
    )
    jsonfile.write_text(path, text)
    notes = [f"Start vLLM, with the plug-in, with {_ranks(shape)} {flags(shape, path, option='expert_map_path')}."]
    if known is None:
        notes.append(f"The class of the model is not known: put it in place of {name!r}, which stands there twice.")
    return Exported(paths=(path,), notes=(*notes, *plan_notes(problem, decision, RULES), *doubled))


def read(path: Path, shape: Shape) -> Slots:
    """Return the slots of a list; one list for all layers is repeated.

    Raises
    ------
    InputError
        Where vLLM would not load the file for a model of this shape.
    """
    data = read_json(path)
    if isinstance(data, list) and data and not isinstance(data[0], list):
        rows: Slots = (whole_numbers(data, str(path)),) * shape.layers
        check_slots(rows, shape, RULES, row=lambda _: str(path))
        return rows
    rows = number_rows(data, str(path))
    check_slots(rows, shape, RULES, row=lambda layer: f"{path}[{layer}]")
    return rows


def read_offline(path: Path, shape: Shape, *, model_class: str | None = None) -> Slots:
    """Return the slots of one model of an offline EPLB document.

    Parameters
    ----------
    path, shape
        The file, and the sizes that its map must have.
    model_class
        Which of its models; absent: the only one.

    Raises
    ------
    InputError
        Where the document is another one, has no such model, or its counts or slots are wrong.
    """
    data = read_object(path)
    for name in ("version", "format"):
        field(data, name, str(path))
    same(data, {"version": VERSION, "format": FORMAT}, f"{path}: ")
    maps = as_object(field(data, "model_maps", str(path)), f"{path}: model_maps")
    if model_class is None and len(maps) != 1:
        names = Plain(", ".join(sorted(maps)) or "none")
        raise InputError(f"{path}: model_maps", expected="one model, or a name which of them", found=names)
    key = next(iter(maps)) if model_class is None else model_class
    where = f"{path}: model_maps.{key}"
    model = as_object(field(maps, key, f"{path}: model_maps"), where)
    same(model, {**_counts(shape), "model_class": key, "record_kind": "proposal"}, f"{where}.")
    given = field(model, "physical_to_logical_map", where)
    where += ".physical_to_logical_map"
    rows = number_rows(given, where)
    check_slots(rows, shape, RULES, row=lambda layer: f"{where}[{layer}]")
    return rows


def _counts(shape: Shape) -> dict[str, object]:
    return {
        "num_moe_layers": shape.layers,
        "num_logical_experts": shape.experts,
        "num_physical_experts": shape.total,
        "num_redundant_experts": shape.redundant,
    }


def _ranks(shape: Shape) -> str:
    return f"{shape.devices} ranks (tensor times data parallel)"


def _architecture(model: str | None) -> str | None:
    """Return the class that the configuration of a local model names; ``None`` where there is none."""
    configuration = None if model is None else Path(model) / "config.json"
    if configuration is None or not configuration.is_file():
        return None
    names = read_object(configuration).get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None
