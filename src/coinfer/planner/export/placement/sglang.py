"""SGLang: the JSON file of ``--init-expert-location``.

Facts, from ``python/sglang/srt/eplb/expert_location.py`` and ``server_args.py`` of sgl-project/sglang:

- The argument is a file only where it ends in ``.json`` (or ``.pt``); other text is parsed as JSON itself.
- The object's keys are passed on as arguments, so any key beside ``physical_to_logical_map`` stops the start.
- There is a row for each hidden layer of the model (``num_layers`` of ``ModelConfigForExpertLocation`` is
  ``num_hidden_layers``), dense layers included, and it is indexed by the layer's position in the model. The static
  dispatch chooses a copy of every expert in every row, so the row of a dense layer must be complete as well.
- A row has as many entries as there are experts and redundant experts, a multiple of the ranks; entry ``j`` lies on
  rank ``j // (entries / ranks)``.
- With a location the dispatch is ``static``: a rank uses its own copy of an expert where it has one, and else a copy
  drawn evenly once at the start. Two copies on one rank are loaded; only the first is used from there.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.planner.export.placement.check import Exported, Rules, Shape, Slots, check_slots, layer_note, plan_notes
from coinfer.planner.export.placement.physical_map import (
    field,
    number_rows,
    read_object,
    rows_text,
    with_dense_layers,
)

KEY = "physical_to_logical_map"
RULES = Rules(
    engine="SGLang",
    sharing="a rank uses its own copy, or else one that is drawn at the start",
    keeps_local=True,
)


def validate(slots: Slots, shape: Shape) -> tuple[str, ...]:
    """Raise a sentence where SGLang would not load the slots; return notes."""
    return check_slots(slots, shape, RULES)


def flags(shape: Shape, path: Path) -> str:
    """Return the arguments of ``python -m sglang.launch_server`` that belong to the file."""
    location = shlex.quote(str(path))
    return (
        f"--ep-size {shape.devices} --ep-num-redundant-experts {shape.redundant} "
        f"--ep-dispatch-algorithm static --init-expert-location {location}"
    )


def write(problem: PlacementProblem, decision: PlacementDecision, path: Path) -> Exported:
    """Write the location of the experts; a layer without experts gets the trivial row.

    Raises
    ------
    InputError
        Where SGLang would not load the placement, or ``path`` does not end in ``.json``.
    """
    shape = Shape.of(problem, RULES.engine)
    if not path.name.endswith(".json"):
        expected = "a name that ends in .json, or SGLang takes it for JSON text"
        raise InputError("path", expected=expected, found=path.name)
    doubled = validate(decision.slots, shape)
    rows = with_dense_layers(decision.slots, shape)
    jsonfile.write_text(path, f'{{"{KEY}": {rows_text(rows)}}}\n')
    start = (f"Start SGLang with {flags(shape, path)}; without --enable-eplb the experts stay there.",)
    return Exported(paths=(path,), notes=start + plan_notes(problem, decision, RULES) + layer_note(shape) + doubled)


def read(path: Path, shape: Shape) -> Slots:
    """Return the slots of the layers with experts.

    Raises
    ------
    InputError
        Where SGLang would not load the file for a model of this shape.
    """
    data = read_object(path)
    where = f"{path}: {KEY}"
    rows = number_rows(field(data, KEY, str(path)), where)
    others = sorted(set(data) - {KEY})
    if others:
        raise InputError(str(path), expected=f"no key beside {KEY}, or SGLang stops", found=others[0])
    if len(rows) != shape.all_layers:
        expected = f"{shape.all_layers} rows, one for each layer of the model"
        raise InputError(where, expected=expected, found=Plain(str(len(rows))))
    all_layers = Shape(layers=shape.all_layers, experts=shape.experts, devices=shape.devices, slots=shape.slots)
    check_slots(rows, all_layers, RULES, row=lambda layer: f"{where}[{layer}]")
    return tuple(rows[position] for position in shape.ids)
