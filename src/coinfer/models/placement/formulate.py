"""A placement problem as a layered assignment, and back."""

from __future__ import annotations

import numpy as np

from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.shrink import drawn, next_shares, other_choices
from coinfer.records import Matrix
from coinfer.solver.assignment.fan_out.program import FanOutProgram
from coinfer.solver.assignment.program import BoolArray, LayeredAssignment
from coinfer.solver.assignment.replicas.program import SlotProgram
from coinfer.solver.program import FloatArray, IntArray


def stacked(transitions: Matrix | None, layers: int, experts: int) -> FloatArray:
    """Return counts as (layers - 1, experts, experts); no counts are all 0."""
    if transitions is None:
        return np.zeros((layers - 1, experts, experts))
    return np.array(transitions.array).reshape(layers - 1, experts, experts)


def weights(problem: PlacementProblem) -> FloatArray:
    """Return what a plan is fitted to, (layers - 1, experts, experts): the counts, shrunk where the problem says so."""
    counts, shrinkage = stacked(problem.transitions, problem.layers, problem.experts), problem.shrinkage
    if shrinkage is None:
        return counts
    if shrinkage.toward == "other_choices":
        guess = other_choices(stacked(problem.prior, problem.layers, problem.experts))
    else:
        guess = next_shares(counts)
    return drawn(counts, guess, shrinkage.strength)


def distances(problem: PlacementProblem) -> FloatArray:
    """Return what a move between two devices costs, (devices, devices)."""
    if problem.cost_matrix is not None:
        return np.array(problem.cost_matrix.array)
    apart = 1.0 - np.eye(len(problem.devices))
    if problem.link_cost is None:
        return apart
    nodes = [device.node for device in problem.devices]
    same = np.array([[here == there for there in nodes] for here in nodes])
    costs: FloatArray = apart * np.where(same, problem.link_cost.within_node, problem.link_cost.between_nodes)
    return costs


def allowed(problem: PlacementProblem) -> BoolArray | None:
    """Return where each expert's only copy may be, (layers, experts, devices); ``None``: everywhere."""
    if not problem.pinned and not problem.forbidden:
        return None
    table = np.ones((problem.layers, problem.experts, len(problem.devices)), dtype=bool)
    column = {device.name: i for i, device in enumerate(problem.devices)}
    for place in problem.pinned:
        only = np.zeros(len(problem.devices), dtype=bool)
        only[column[place.device]] = True
        table[place.layer, place.expert] &= only
    for place in problem.forbidden:
        table[place.layer, place.expert, column[place.device]] = False
    return table


def load_caps(problem: PlacementProblem) -> FloatArray | None:
    """Return the most load of a device in each layer, (layers,); ``None`` without a cap on the worst layer."""
    if problem.load_cap is None or problem.load_cap.over != "worst_layer":
        return None
    most: FloatArray = problem.load_cap.imbalance * problem.loads.array.sum(axis=1) / len(problem.devices)
    return most


def migration(problem: PlacementProblem) -> FloatArray | None:
    """Return what it costs to bring an expert to a device, (layers, experts, devices); ``None`` where it is free."""
    if problem.running is None or problem.running.migration_cost == 0.0:
        return None
    held = held_by(np.asarray(problem.running.slots.array, dtype=np.int64), problem)
    costs: FloatArray = np.where(held, 0.0, problem.running.migration_cost)
    return costs


def layered_assignment(problem: PlacementProblem) -> LayeredAssignment:
    """Return the program of a problem whose experts have one copy each."""
    cap = problem.load_cap
    return LayeredAssignment(
        weights=weights(problem),
        distance=distances(problem),
        capacity=np.array(problem.device_slots, dtype=np.int64),
        cost=migration(problem),
        allowed=allowed(problem),
        loads=np.array(problem.loads.array),
        load_caps=load_caps(problem),
        mean_imbalance_cap=cap.imbalance if cap is not None and cap.over == "mean" else None,
    )


def fan_out_program(problem: PlacementProblem) -> FanOutProgram:
    """Return the program of a problem whose objective is the fan-out."""
    rows = np.zeros((0, 2 + problem.top_k)) if problem.token_sets is None else problem.token_sets.array
    return FanOutProgram(
        layers=problem.layers,
        items=problem.experts,
        layer=rows[:, 0].astype(np.int64),
        count=np.array(rows[:, 1]),
        sets=rows[:, 2:].astype(np.int64),
        slots=np.array(problem.device_slots, dtype=np.int64),
        loads=np.array(problem.loads.array),
        load_caps=load_caps(problem),
        allowed=allowed(problem),
        cost=migration(problem),
    )


def slot_program(problem: PlacementProblem) -> SlotProgram:
    """Return the program of a problem whose experts may have several copies."""
    shape = (problem.layers, problem.experts, len(problem.devices))
    column = {device.name: i for i, device in enumerate(problem.devices)}
    required, permitted = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)
    for place in problem.pinned:
        required[place.layer, place.expert, column[place.device]] = True
    for place in problem.forbidden:
        permitted[place.layer, place.expert, column[place.device]] = False
    return SlotProgram(
        weights=weights(problem),
        loads=np.array(problem.loads.array),
        distance=distances(problem),
        slots=np.array(problem.device_slots, dtype=np.int64),
        replicas=problem.replicas or 0,
        allowed=permitted if problem.forbidden else None,
        required=required if problem.pinned else None,
        cost=migration(problem),
    )


def device_of_slot(problem: PlacementProblem) -> IntArray:
    """Return the device of each slot of a layer, (slots,)."""
    return np.repeat(np.arange(len(problem.devices)), problem.device_slots)


def held_by(slots: IntArray, problem: PlacementProblem) -> BoolArray:
    """Return which device holds a copy of which expert, (layers, experts, devices), for slots (layers, slots)."""
    held = np.zeros((problem.layers, problem.experts, len(problem.devices)), dtype=bool)
    layer, slot = np.nonzero(slots >= 0)
    held[layer, slots[layer, slot], device_of_slot(problem)[slot]] = True
    return held


def slots_of(part: IntArray, problem: PlacementProblem) -> tuple[tuple[int, ...], ...]:
    """Return the slots of an assignment (layers, experts) of experts to devices; experts ascend on each device."""
    held = np.zeros((problem.layers, problem.experts, len(problem.devices)), dtype=bool)
    layer, expert = np.indices(part.shape)
    held[layer, expert, part] = True
    return slots_of_held(held, problem)


def slots_of_held(held: BoolArray, problem: PlacementProblem) -> tuple[tuple[int, ...], ...]:
    """Return the slots of copies (layers, experts, devices); experts ascend on each device, empty slots come last."""
    rows = []
    for layer in held:
        row: list[int] = []
        for device, room in enumerate(problem.device_slots):
            experts = np.flatnonzero(layer[:, device]).tolist()
            row += experts + [-1] * (room - len(experts))
        rows.append(tuple(row))
    return tuple(rows)


def contiguous(problem: PlacementProblem) -> tuple[tuple[int, ...], ...]:
    """Return the placement that engines start with: experts in order, as many on each device as it has slots."""
    row: list[int] = []
    rest = list(range(problem.experts))
    for index, room in enumerate(problem.device_slots):
        left = sum(problem.device_slots[index + 1 :])
        share = max(len(rest) - left, min(room, -(-len(rest) // (len(problem.device_slots) - index))))
        row += rest[:share] + [-1] * (room - share)
        rest = rest[share:]
    return (tuple(row),) * problem.layers
