"""What every engine asks of a placement, and what is told about the rest; each broken rule is one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.validate import MOST_DEVICES, MOST_EXPERTS, MOST_LAYERS

CLOSE = 1e-9
"""Shares of copies that differ by less are even."""
MOST_NAMES = 8
"""Devices named in a note, at most."""

Slots = tuple[tuple[int, ...], ...]
"""(layers, slots): expert in each slot; the slots of a device stand together, devices in the order of the ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A placement in the form of an engine.

    Attributes
    ----------
    paths
        Files that were written.
    notes
        How the engine is started with them, and what it cannot be told; one sentence each.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a placement as an engine sees it.

    Attributes
    ----------
    layers, experts, devices
        Layers with experts, experts of one layer, ranks of the expert-parallel group.
    slots
        Copies of experts in one layer, over all devices; every device has the same number of them. Absent: one copy
        of each expert.
    layer_ids, model_layers
        Position of each layer among all layers of the model, and their number; absent: there are no other layers.
    """

    layers: int
    experts: int
    devices: int
    slots: int | None = None
    layer_ids: tuple[int, ...] | None = None
    model_layers: int | None = None

    def __post_init__(self) -> None:
        limits = {"layers": MOST_LAYERS, "experts": MOST_EXPERTS, "devices": MOST_DEVICES}
        for field, most in limits.items():
            if not 1 <= getattr(self, field) <= most:
                raise InputError(field, expected=f"an integer in 1..{most}", found=getattr(self, field))
        if self.total < self.experts or self.total % self.devices:
            expected = f"at least {self.experts} slots, a multiple of the {self.devices} devices"
            raise InputError("slots", expected=expected, found=self.total)
        if self.per_device > self.experts:
            expected = f"at most {self.experts} slots on a device, one for each expert"
            raise InputError("slots", expected=expected, found=self.per_device)
        ids = self.ids
        if len(ids) != self.layers or list(ids) != sorted(set(ids)) or ids[0] < 0 or ids[-1] >= self.all_layers:
            expected = f"{self.layers} ascending numbers in 0..{self.all_layers - 1}"
            raise InputError("layer_ids", expected=expected, found=Plain(str(list(ids[:MOST_NAMES]))))
        if self.all_layers > MOST_LAYERS:
            raise InputError("model_layers", expected=f"an integer in 1..{MOST_LAYERS}", found=self.all_layers)

    @classmethod
    def of(cls, problem: PlacementProblem, engine: str) -> Shape:
        """Return the sizes of ``problem``, whose devices must have equal slots, as every engine assumes."""
        counts = problem.device_slots
        for i, count in enumerate(counts):
            if count != counts[0]:
                expected = f"{counts[0]} slots as on the first device, since {engine} gives each device as many"
                raise InputError(f"devices[{i}].slots", expected=expected, found=count)
        return cls(
            layers=problem.layers,
            experts=problem.experts,
            devices=len(counts),
            slots=sum(counts),
            layer_ids=problem.layer_ids,
            model_layers=problem.model_layers,
        )

    @property
    def total(self) -> int:
        """Slots of one layer over all devices."""
        return self.experts if self.slots is None else self.slots

    @property
    def per_device(self) -> int:
        """Slots of one layer on one device."""
        return self.total // self.devices

    @property
    def redundant(self) -> int:
        """Slots of one layer beyond one for each expert."""
        return self.total - self.experts

    @property
    def ids(self) -> tuple[int, ...]:
        """Position of each layer among all layers of the model."""
        return tuple(range(self.layers)) if self.layer_ids is None else self.layer_ids

    @property
    def all_layers(self) -> int:
        """Layers of the model, with and without experts."""
        return self.layers if self.model_layers is None else self.model_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one engine asks beyond full slots and every expert.

    Attributes
    ----------
    engine
        Its name, for sentences.
    sharing
        How it chooses among the copies of an expert, as the end of a sentence; empty: it knows no copies.
    keeps_local
        Whether a token stays on its device where the expert has a copy there.
    twice
        Whether it loads two copies of one expert on one device.
    least_devices
        Devices below which it does not load a placement.
    """

    engine: str
    sharing: str
    keeps_local: bool = False
    twice: bool = True
    least_devices: int = 1


def check_slots(
    slots: Sequence[Sequence[int]], shape: Shape, rules: Rules, *, row: Callable[[int], str] = "slots[{}]".format
) -> tuple[str, ...]:
    """Raise a sentence at the first slot that the engine would not load; return notes on what it would, badly.

    Parameters
    ----------
    slots
        (layers, slots) experts.
    shape
        Sizes that they must have.
    rules
        Of the engine.
    row
        Where a layer stands, for the sentence.

    Raises
    ------
    InputError
        For another number of layers or slots, an empty slot, an expert that is not there, or one without a copy.
    """
    check_shape(shape, rules)
    if len(slots) != shape.layers:
        expected = f"{shape.layers} layers with experts"
        raise InputError(row(0).rpartition("[")[0], expected=expected, found=Plain(str(len(slots))))
    doubled: list[str] = []
    for layer, experts in enumerate(slots):
        where = row(layer)
        if len(experts) != shape.total:
            expected = f"{shape.total} slots: {shape.per_device} on each of {shape.devices} devices"
            raise InputError(where, expected=expected, found=Plain(f"{len(experts)} slots"))
        _check_layer(experts, shape, rules, where)
        doubled += _doubled(experts, shape, rules, where)
    if not doubled:
        return ()
    more = f" and {len(doubled) - 1} more" if len(doubled) > 1 else ""
    return (f"Two copies of one expert on a device serve no purpose: {doubled[0]}{more}.",)


def check_shape(shape: Shape, rules: Rules) -> None:
    """Raise a sentence where the engine knows no placements of these sizes."""
    if shape.devices < rules.least_devices:
        expected = f"at least {rules.least_devices} devices, since {rules.engine} loads no placement for fewer"
        raise InputError("devices", expected=expected, found=shape.devices)
    if not rules.sharing and shape.redundant:
        expected = f"one slot for each of the {shape.experts} experts, since {rules.engine} knows no replicas"
        raise InputError("slots", expected=expected, found=Plain(f"{shape.total} slots"))


def _check_layer(experts: Sequence[int], shape: Shape, rules: Rules, where: str) -> None:
    for slot, expert in enumerate(experts):
        if expert == -1:
            expected = f"an expert, since {rules.engine} has no empty slots"
            raise InputError(f"{where}[{slot}]", expected=expected, found=Plain("an empty slot"))
        if not 0 <= expert < shape.experts:
            raise InputError(f"{where}[{slot}]", expected=f"an expert in 0..{shape.experts - 1}", found=expert)
    missing = sorted(set(range(shape.experts)).difference(experts))
    if missing:
        found = Plain(f"none of expert {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else ""))
        raise InputError(where, expected=f"a copy of each of the {shape.experts} experts", found=found)


def _doubled(experts: Sequence[int], shape: Shape, rules: Rules, where: str) -> list[str]:
    """Return where one device holds an expert twice; an engine that refuses that gets the first as a sentence."""
    found: list[str] = []
    for device in range(shape.devices):
        first = device * shape.per_device
        held = experts[first : first + shape.per_device]
        for expert in [expert for expert, copies in Counter(held).items() if copies > 1]:
            told = f"expert {expert} on rank {device} in {where}"
            if not rules.twice:
                expected = f"experts that differ on each device, since {rules.engine} keeps one copy of each there"
                raise InputError(where, expected=expected, found=Plain(f"expert {expert} twice on rank {device}"))
            found.append(told)
    return found


def plan_notes(problem: PlacementProblem, decision: PlacementDecision, rules: Rules) -> tuple[str, ...]:
    """Return what the engine is not told: which rank is which device, shares of copies, places that must hold."""
    names = [device.name for device in problem.devices]
    shown = ", ".join(names[:MOST_NAMES]) + (f" … {names[-1]}" if len(names) > MOST_NAMES else "")
    notes = [f"Ranks are the devices in the order of the problem: {shown}."]
    nodes = [device.node for device in problem.devices]
    blocks = [node for i, node in enumerate(nodes) if i == 0 or node != nodes[i - 1]]
    if len(blocks) != len(set(blocks)):
        notes.append("The devices of a node do not stand together, so start the ranks on the nodes in this order.")
    copied, uneven, largest = _shares(decision)
    if copied and rules.sharing:
        notes.append(f"{rules.engine} chooses the copy that serves a token itself: {rules.sharing}.")
        if uneven:
            told = f"{uneven} of {copied} experts with copies have uneven shares, up to {largest:.3f} on one copy"
            notes.append(f"{told}, which {rules.engine} cannot be told.")
        if problem.dispatch == "local" and not rules.keeps_local:
            notes.append(f"The problem lets tokens stay where a copy is (dispatch 'local'); {rules.engine} does not.")
    if problem.pinned or problem.forbidden:
        notes.append("Pinned and forbidden places hold as long as the engine moves no experts itself.")
    return tuple(notes)


def _shares(decision: PlacementDecision) -> tuple[int, int, float]:
    """Return the experts with copies over all layers, how many of them have uneven shares, and their largest share."""
    copied = uneven = 0
    largest = 0.0
    for layer, experts in enumerate(decision.slots):
        places: dict[int, list[int]] = {}
        for slot, expert in enumerate(experts):
            places.setdefault(expert, []).append(slot)
        for slots in places.values():
            if len(slots) < 2:
                continue
            copied += 1
            if decision.shares is None:
                continue
            shares = decision.shares.array[layer, slots]
            if float(shares.max() - shares.min()) > CLOSE:
                uneven += 1
                largest = max(largest, float(shares.max()))
    return copied, uneven, largest


def layer_note(shape: Shape) -> tuple[str, ...]:
    """Return a note where the engine counts dense layers too and the problem does not say where they are."""
    if shape.layer_ids is not None:
        return ()
    return ("The problem has no layer_ids, so the model is taken to have no layers without experts.",)
