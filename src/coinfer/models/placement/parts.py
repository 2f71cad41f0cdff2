"""The parts of a placement problem."""

from __future__ import annotations

import math
from typing import Literal

from coinfer.errors import ProblemError
from coinfer.records import Matrix, Record


class PlacementDevice(Record, frozen=True, kw_only=True):
    """One device that can hold experts.

    Attributes
    ----------
    name
        Unique name.
    node
        Machine it belongs to; absent: a node of its own name ``node`` shared by all devices without one.
    memory_bytes
        Room for expert weights, over all layers; absent: unlimited.
    slots
        Experts of one layer that it can hold; absent: an equal share of all experts and replicas.
    """

    name: str
    node: str | None = None
    memory_bytes: int | None = None
    slots: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ProblemError("name", expected="a name", found=self.name)
        for field in ("memory_bytes", "slots"):
            count = getattr(self, field)
            if count is not None and count < 0:
                raise ProblemError(field, expected="an integer, at least 0", found=count)


class LinkCost(Record, frozen=True, kw_only=True):
    """What it costs to move one token between two devices; the unit is the user's.

    Attributes
    ----------
    within_node, between_nodes
        Cost between devices of one node, and of two nodes (ExFlow reports 1 and 2).
    """

    within_node: float
    between_nodes: float

    def __post_init__(self) -> None:
        for field in ("within_node", "between_nodes"):
            if not 0.0 <= getattr(self, field) < math.inf:
                raise ProblemError(field, expected="a finite number, at least 0", found=getattr(self, field))


class LoadCap(Record, frozen=True, kw_only=True):
    """How unevenly the tokens may fall on the devices.

    Attributes
    ----------
    imbalance
        Largest load of a device over the mean load of the devices, at least 1.
    over
        ``worst_layer``: kept in every layer; ``mean``: by the mean over the layers.
    """

    imbalance: float
    over: Literal["worst_layer", "mean"]

    def __post_init__(self) -> None:
        if not 1.0 <= self.imbalance < math.inf:
            raise ProblemError("imbalance", expected="a finite number, at least 1", found=self.imbalance)


class Place(Record, frozen=True, kw_only=True):
    """An expert of a layer and a device, by name; layers and experts count from 0."""

    layer: int
    expert: int
    device: str


class Running(Record, frozen=True, kw_only=True):
    """The placement that runs now, and what it costs to leave it.

    Attributes
    ----------
    slots
        (layers, slots): expert in each slot, as in a decision; -1 for an empty slot.
    migration_cost
        Cost of an expert copied to a device that does not hold it now, in the unit of the link costs times tokens of
        the trace; 0: moving is free, and the placement is only where the search begins.
    """

    slots: Matrix
    migration_cost: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.migration_cost < math.inf:
            raise ProblemError("migration_cost", expected="a finite number, at least 0", found=self.migration_cost)


class Shrinkage(Record, frozen=True, kw_only=True):
    r"""How far the counts are drawn toward a guess.

    Attributes
    ----------
    strength
        Tokens of prior weight added to each expert's row: row :math:`n_e` becomes
        :math:`n_e (n_{ef} + \kappa p_{ef}) / (n_e + \kappa)`, where :math:`p` is a guess.
    toward
        The guess. ``independent``: the next layer's share of tokens, whatever the expert. ``other_choices``: where
        tokens go that have the expert among all their choices (the problem's ``prior``).
    candidates, scores
        Strengths that were tried and what each scored on the folds left out (nats per transition, higher is better);
        empty where the strength was given and not chosen.
    folds
        Folds of the cross-validation; absent where the strength was given.
    """

    strength: float
    toward: Literal["independent", "other_choices"] = "independent"
    candidates: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    folds: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength < math.inf:
            raise ProblemError("strength", expected="a finite number, at least 0", found=self.strength)
        if len(self.candidates) != len(self.scores):
            expected = f"{len(self.candidates)} numbers, one for each candidate"
            raise ProblemError("scores", expected=expected, found=len(self.scores))


class Heldout(Record, frozen=True, kw_only=True):
    """Counts of tokens that the plan is not fitted to; fields as in the problem."""

    tokens: int
    loads: Matrix
    transitions: Matrix | None = None
    token_sets: Matrix | None = None
