"""ExFlow: the CSV file ``Expert,Node`` of its solver (arXiv 2401.08383).

Facts, from ``solve_affinity.py`` and the two files in ``solutions/`` of YJHMITWEB/ExFlow: the header is
``Expert,Node``; an expert's number is ``layer * experts + expert``; each stands once, so there are no replicas; every
node has as many experts of each layer (the integer program demands it). The order of slots on a device is not kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.planner.export.placement.check import Exported, Rules, Shape, Slots, check_shape, check_slots, plan_notes

HEADER = "Expert,Node"
RULES = Rules(engine="ExFlow", sharing="")
_ROW = re.compile(r"(\d{1,9}),(\d{1,9})")


def validate(slots: Slots, shape: Shape) -> tuple[str, ...]:
    """Raise a sentence where the file cannot hold the slots; return notes."""
    return check_slots(slots, shape, RULES)


def write(problem: PlacementProblem, decision: PlacementDecision, path: Path) -> Exported:
    """Write the node of each expert of each layer.

    Raises
    ------
    InputError
        Where the file cannot hold the placement, as with replicas.
    """
    shape = Shape.of(problem, RULES.engine)
    validate(decision.slots, shape)
    node = {
        (layer, expert): slot // shape.per_device
        for layer, row in enumerate(decision.slots)
        for slot, expert in enumerate(row)
    }
    rows = (f"{layer * shape.experts + expert},{rank}" for (layer, expert), rank in sorted(node.items()))
    jsonfile.write_text(path, "\n".join((HEADER, *rows)) + "\n")
    order = ("The file says nothing about the order of the experts on a device.",)
    return Exported(paths=(path,), notes=plan_notes(problem, decision, RULES) + order)


def read(path: Path, shape: Shape) -> Slots:
    """Return the slots; the experts of a device in ascending order.

    Raises
    ------
    InputError
        Where the file is another one, or a node has more experts of a layer than others.
    """
    check_shape(shape, RULES)
    lines = jsonfile.read_text(path).splitlines()
    if not lines or lines[0].strip() != HEADER:
        found = lines[0] if lines else Plain("an empty file")
        raise InputError(f"{path}: line 1", expected=HEADER, found=found)
    node: dict[int, int] = {}
    count = shape.layers * shape.experts
    for number, line in enumerate(lines[1:], start=2):
        where = f"{path}: line {number}"
        row = _ROW.fullmatch(line.strip())
        if row is None:
            raise InputError(where, expected="two integers and a comma between them", found=line)
        expert, rank = int(row[1]), int(row[2])
        if expert >= count:
            expected = f"an expert below {shape.layers} layers times {shape.experts} experts, {count}"
            raise InputError(where, expected=expected, found=expert)
        if rank >= shape.devices:
            raise InputError(where, expected=f"a node in 0..{shape.devices - 1}", found=rank)
        if expert in node:
            raise InputError(where, expected="each expert once, since ExFlow knows no replicas", found=expert)
        node[expert] = rank
    missing = next((expert for expert in range(count) if expert not in node), None)
    if missing is not None:
        raise InputError(str(path), expected=f"a node for each of {count} experts", found=Plain(f"none for {missing}"))
    return tuple(_layer(node, layer, shape, path) for layer in range(shape.layers))


def _layer(node: dict[int, int], layer: int, shape: Shape, path: Path) -> tuple[int, ...]:
    first = layer * shape.experts
    held: list[list[int]] = [[] for _ in range(shape.devices)]
    for expert in range(shape.experts):
        held[node[first + expert]].append(expert)
    for rank, experts in enumerate(held):
        if len(experts) != shape.per_device:
            expected = f"{shape.per_device} experts of each layer on every node"
            raise InputError(str(path), expected=expected, found=Plain(f"{len(experts)} of layer {layer} on {rank}"))
    return tuple(expert for experts in held for expert in experts)
