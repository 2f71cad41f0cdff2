"""The placement problem: which device holds which experts of each layer of a mixture of experts."""

from __future__ import annotations

from typing import Literal

from coinfer.models.placement.parts import Heldout, LinkCost, LoadCap, Place, PlacementDevice, Running, Shrinkage
from coinfer.models.placement.validate import validate
from coinfer.records import Document, Matrix

FORMAT = "coinfer/problem/1"


class PlacementProblem(Document, frozen=True, kw_only=True, tag_field="kind", tag="placement"):
    """Put the experts of each layer on devices, so that tokens rarely change device and no device is overloaded.

    Attributes
    ----------
    name, description
        Of the problem.
    layers, experts, top_k
        Layers with experts, experts of one layer, and experts that each token visits in a layer.
    devices
        See the class. Their slots must hold all experts and replicas of a layer.
    tokens
        Tokens behind the counts.
    transitions
        ((layers - 1) * experts, experts), one block of rows for each pair of consecutive layers: tokens that visit an
        expert (row) and then an expert of the next layer (column). With ``top_k`` above 1 every token counts
        once for each of its top_k x top_k pairs. Absent where only loads are known.
    loads
        (layers, experts): tokens that visit the expert.
    token_sets
        Rows ``layer, count, expert_1 .. expert_k``: how many tokens visit exactly this set in this layer. Needed by the
        objective ``fan_out``.
    heldout
        The same counts for other tokens, on which every plan is scored beside the fit.
    objective
        ``transitions``: the mean link cost of a transition between layers. ``fan_out``: the mean number of devices
        that a token visits in a layer. ``imbalance``: the mean over the layers of the largest load of a device over
        the mean load of the devices.
    link_cost, cost_matrix
        What a move between two devices costs: by node, or (devices, devices) for each pair; only one of the two.
        Absent: every move between devices costs 1.
    load_cap
        How unevenly the tokens may fall on the devices; absent: no limit.
    replicas
        Second and further copies in each layer, at most; absent: none. Never two copies of an expert on a device.
    dispatch
        With replicas. ``split``: the plan says which share of an expert's tokens each copy serves. ``local``: a token
        stays where it is when the next expert has a copy there, and is split by the shares otherwise.
    expert_bytes
        Memory of one expert; needed where a device's memory is limited.
    pinned, forbidden
        Experts that must, or must not, have a copy on a device.
    running
        The placement that runs now, and what leaving it costs.
    shrinkage
        How far the counts are drawn toward a guess before planning; absent: not at all.
    prior
        Counts behind the guess of the shrinkage toward ``other_choices``, of the shape of ``transitions``: all
        top_k x top_k pairs of tokens whose first choices alone are the transitions.
    model
        The language model, for the executor: ``zoo:NAME``, a local path or a Hugging Face id.
    layer_ids, model_layers
        Position of each layer among all ``model_layers`` layers of the model, for engines that count dense layers too;
        absent: the layers are 0, 1, 2 ... and there are no others.
    """

    file_format = FORMAT

    name: str
    layers: int
    experts: int
    top_k: int
    devices: tuple[PlacementDevice, ...]
    tokens: int
    loads: Matrix
    objective: Literal["transitions", "fan_out", "imbalance"] = "transitions"
    transitions: Matrix | None = None
    token_sets: Matrix | None = None
    heldout: Heldout | None = None
    link_cost: LinkCost | None = None
    cost_matrix: Matrix | None = None
    load_cap: LoadCap | None = None
    replicas: int | None = None
    dispatch: Literal["split", "local"] = "split"
    expert_bytes: int | None = None
    pinned: tuple[Place, ...] = ()
    forbidden: tuple[Place, ...] = ()
    running: Running | None = None
    shrinkage: Shrinkage | None = None
    prior: Matrix | None = None
    model: str | None = None
    layer_ids: tuple[int, ...] | None = None
    model_layers: int | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        validate(self)

    @property
    def device_slots(self) -> tuple[int, ...]:
        """Slots of each device in one layer, in the order of the devices."""
        total = self.experts + (self.replicas or 0)
        share = total // len(self.devices)
        return tuple(share if device.slots is None else device.slots for device in self.devices)
