"""What a placement is worth and which limits it breaks, re-computed from the problem alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import CertificateError
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.formulate import device_of_slot, distances, held_by, migration, stacked, weights
from coinfer.models.placement.parts import Heldout
from coinfer.records import Matrix, Record
from coinfer.solver.assignment.program import BoolArray, imbalance
from coinfer.solver.program import FloatArray, IntArray

CLOSE = 1e-9
"""Relative rounding allowed in sums of shares and of loads."""


class PlacementScores(Record, frozen=True, kw_only=True):
    """What a placement does to the tokens of a trace.

    Attributes
    ----------
    tokens
        Tokens of the trace.
    transition_cost
        Mean link cost of a transition between layers; absent where the trace has no transitions.
    crossing, node_crossing
        Share of the transitions that change device, and node; the latter is absent where there is one node.
    crossing_by_layer
        Share that change device between each layer and the next.
    imbalance_mean, imbalance_worst
        Largest load of a device over the mean load: mean over the layers, and the worst layer.
    fan_out
        Mean number of devices that a token visits in a layer; absent where the trace has no token sets.
    """

    tokens: int
    imbalance_mean: float
    imbalance_worst: float
    transition_cost: float | None = None
    crossing: float | None = None
    node_crossing: float | None = None
    crossing_by_layer: tuple[float, ...] = ()
    fan_out: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementEvaluation:
    """What a decision is worth.

    Attributes
    ----------
    value
        Objective, lower is better; migration costs are spread over the transitions.
    fit, heldout
        Scores on the tokens it was fitted to, before shrinkage, and on the others; ``None`` without others.
    violations
        Broken limits in words; empty for a feasible decision.
    moved
        Copies on devices that do not hold the expert now; ``None`` where no placement runs.
    """

    value: float
    fit: PlacementScores
    heldout: PlacementScores | None
    violations: tuple[str, ...]
    moved: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Copies:
    """A decision as arrays: ``held`` and ``shares``, both (layers, experts, devices)."""

    held: BoolArray
    shares: FloatArray


def copies(problem: PlacementProblem, decision: PlacementDecision) -> Copies:
    """Return which device holds and serves what.

    Raises
    ------
    CertificateError
        If the slots or shares have another shape, or name experts that are not there.
    """
    slots = _slots(problem, decision)
    held = held_by(slots, problem)
    if decision.shares is None:
        return Copies(held=held, shares=held / np.maximum(held.sum(axis=2, keepdims=True), 1))
    if decision.shares.shape != slots.shape:
        raise CertificateError(f"decision.shares: expected {slots.shape} numbers; found {decision.shares.shape}")
    shares = np.zeros(held.shape)
    layer, slot = np.nonzero(slots >= 0)
    np.add.at(shares, (layer, slots[layer, slot], device_of_slot(problem)[slot]), decision.shares.array[layer, slot])
    return Copies(held=held, shares=shares)


def _slots(problem: PlacementProblem, decision: PlacementDecision) -> IntArray:
    total = sum(problem.device_slots)
    if len(decision.slots) != problem.layers or any(len(row) != total for row in decision.slots):
        raise CertificateError(f"decision.slots: expected {problem.layers} rows of {total} experts; found others")
    slots = np.array(decision.slots, dtype=np.int64)
    if slots.min() < -1 or slots.max() >= problem.experts:
        raise CertificateError(f"decision.slots: expected numbers in -1..{problem.experts - 1}; found others")
    return slots


def evaluate(problem: PlacementProblem, decision: PlacementDecision) -> PlacementEvaluation:
    """Return value, scores and broken limits of ``decision``.

    Raises
    ------
    CertificateError
        If the decision does not have the shape of the problem.
    """
    made = copies(problem, decision)
    fit = scores(problem, made, tokens=problem)
    held = None if problem.heldout is None else scores(problem, made, tokens=problem.heldout)
    running = None
    if problem.running is not None:
        running = held_by(np.asarray(problem.running.slots.array, dtype=np.int64), problem)
    return PlacementEvaluation(
        value=_value(problem, made, fit),
        fit=fit,
        heldout=held,
        violations=tuple(_violations(problem, decision, made, fit)),
        moved=None if running is None else int((made.held & ~running).sum()),
    )


def scale(problem: PlacementProblem) -> float:
    """Return by what sums of weight are divided to become a mean: transitions, or visits of a layer by a token."""
    if problem.objective == "fan_out" and problem.token_sets is not None:
        return max(1.0, float(problem.token_sets.array[:, 1].sum()))
    return max(1.0, float(stacked(problem.transitions, problem.layers, problem.experts).sum()))


def _value(problem: PlacementProblem, made: Copies, fit: PlacementScores) -> float:
    """Return the objective; the fit's own figures where nothing is shrunk or moved."""
    if problem.objective == "fan_out":
        value = fit.fan_out or 0.0
    elif problem.objective == "imbalance":
        value = fit.imbalance_mean
    elif problem.shrinkage is None:
        value = fit.transition_cost or 0.0
    else:
        flow = Flow.of(problem, made, weights(problem), distances(problem))
        value = float(flow.cost.sum()) / scale(problem)
    costs = migration(problem)
    moving = 0.0 if costs is None else float(costs[made.held].sum()) / scale(problem)
    return value + moving


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """Where tokens go: cost between layers (layers - 1,), and the share of each expert's tokens by device."""

    cost: FloatArray
    served: FloatArray

    @classmethod
    def of(cls, problem: PlacementProblem, made: Copies, counts: FloatArray, distance: FloatArray) -> Flow:
        """Follow ``counts`` (layers - 1, experts, experts) through the copies as the dispatch rule says.

        ``split``: the share of a copy does not depend on where a token comes from. ``local``: it stays where the next
        expert has a copy; where it is follows from the layer before, by the counts (a Markov chain).
        """
        shares, served = made.shares, made.shares.copy()
        cost = np.zeros(len(counts))
        local = problem.dispatch == "local" and bool((made.held.sum(axis=2) > 1).any())
        for layer, flow in enumerate(counts):
            here, there = served[layer], shares[layer + 1]
            if not local:
                cost[layer] = np.sum(flow * (here @ distance @ there.T))
                continue
            at = flow.T @ here  # (experts of the next layer, devices): tokens by where they come from
            leaving = np.where(made.held[layer + 1], 0.0, at)
            cost[layer] = np.sum(leaving @ distance * there)
            arrived = at - leaving + leaving.sum(axis=1, keepdims=True) * there
            total = arrived.sum(axis=1, keepdims=True)
            served[layer + 1] = np.divide(arrived, total, out=there.copy(), where=total > 0.0)
        return cls(cost=cost, served=served)


def scores(problem: PlacementProblem, made: Copies, *, tokens: PlacementProblem | Heldout) -> PlacementScores:
    """Return what the copies do to the tokens of the problem, or to those held out."""
    counts = stacked(tokens.transitions, problem.layers, problem.experts)
    total = counts.sum(axis=(1, 2))
    apart = 1.0 - np.eye(len(problem.devices))
    changed = Flow.of(problem, made, counts, apart)
    load = imbalance(np.einsum("le,leg->lg", tokens.loads.array, changed.served))
    known = tokens.transitions is not None and total.sum() > 0.0
    nodes = [device.node for device in problem.devices]
    between = np.array([[float(here != there) for there in nodes] for here in nodes])
    sets = tokens.token_sets

    def mean(distance: FloatArray) -> float:
        return float(Flow.of(problem, made, counts, distance).cost.sum() / total.sum())

    return PlacementScores(
        tokens=tokens.tokens,
        imbalance_mean=float(load.mean()),
        imbalance_worst=float(load.max()),
        transition_cost=mean(distances(problem)) if known else None,
        crossing=float(changed.cost.sum() / total.sum()) if known else None,
        node_crossing=mean(between) if known and len(set(nodes)) > 1 else None,
        crossing_by_layer=tuple((changed.cost / np.maximum(total, 1.0)).tolist()) if known else (),
        fan_out=None if sets is None else fan_out(made.shares, sets),
    )


def fan_out(shares: FloatArray, sets: Matrix) -> float:
    """Return the mean number of devices that a token visits in a layer; copies are drawn independently."""
    total = float(sets.array[:, 1].sum())
    if total == 0.0:
        return 0.0
    visits = 0.0
    for rows in np.array_split(sets.array, max(1, len(sets.array) // 10_000)):
        layer, chosen = rows[:, 0].astype(np.int64), rows[:, 2:].astype(np.int64)
        missed = np.prod(1.0 - shares[layer[:, None], chosen], axis=1)  # (rows, devices): no copy there is used
        visits += float(rows[:, 1] @ (1.0 - missed).sum(axis=1))
    return visits / total


def _violations(
    problem: PlacementProblem, decision: PlacementDecision, made: Copies, fit: PlacementScores
) -> list[str]:
    """Return the broken limits in words."""
    broken: list[str] = []
    slots = np.array(decision.slots, dtype=np.int64)
    names = [device.name for device in problem.devices]
    number = made.held.sum(axis=2)
    broken += [f"layer {i}: expert {e} has no device" for i, e in np.argwhere(number == 0)]
    filled = (slots >= 0).sum(axis=1)
    for i in np.flatnonzero(filled != number.sum(axis=1)):
        broken.append(f"layer {i}: a device holds two copies of one expert")
    for i in np.flatnonzero(filled > problem.experts + (problem.replicas or 0)):
        broken.append(f"layer {i}: {filled[i] - problem.experts} replicas, at most {problem.replicas or 0} are allowed")
    for place in problem.pinned:
        if not made.held[place.layer, place.expert, names.index(place.device)]:
            broken.append(f"layer {place.layer}: expert {place.expert} is not on {place.device}, where it must be")
    for place in problem.forbidden:
        if made.held[place.layer, place.expert, names.index(place.device)]:
            broken.append(f"layer {place.layer}: expert {place.expert} is on {place.device}, where it must not be")
    if decision.shares is not None:
        broken += _share_violations(decision.shares.array, slots, made)
    cap = problem.load_cap
    if cap is not None:
        found = fit.imbalance_worst if cap.over == "worst_layer" else fit.imbalance_mean
        if found > cap.imbalance * (1.0 + CLOSE):
            where = "of the worst layer" if cap.over == "worst_layer" else "in the mean over the layers"
            broken.append(f"the imbalance {where} is {found:.9g}, more than {cap.imbalance:g}")
    return broken


def _share_violations(shares: FloatArray, slots: IntArray, made: Copies) -> list[str]:
    broken: list[str] = []
    if (shares < 0.0).any() or shares[slots < 0].any():
        broken.append("a share is negative, or that of an empty slot is not 0")
    wrong = np.argwhere(np.abs(made.shares.sum(axis=2) - 1.0) > CLOSE)
    broken += [f"layer {i}: the shares of expert {e} do not add up to 1" for i, e in wrong[:1]]
    return broken
