"""Where a routing trace and a placement problem meet: counted tokens in, a problem out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.parts import Heldout, LinkCost, LoadCap, PlacementDevice, Shrinkage
from coinfer.models.placement.shrink import choose_strength
from coinfer.models.placement.validate import MOST_DEVICES
from coinfer.profiler.trace import RoutingCounts, TraceCounts, TraceOptions, count_traces
from coinfer.records import Matrix

_DEVICES = re.compile(r"(?:([1-9]\d{0,3})x)?([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementOptions:
    """What a trace does not say about a placement; what is absent is absent from the problem.

    Attributes
    ----------
    name
        Name of the problem; absent: the first file's name without its ending.
    objective
        As in the problem.
    link_cost
        Cost of a move within a node and between nodes.
    load_cap
        Most imbalance of the devices.
    replicas
        Further copies in each layer.
    dispatch
        How tokens choose among copies.
    memory_bytes, expert_bytes
        Memory of each device for experts, and of one expert.
    shrinkage
        Strength, or ``cross-validated``; absent: counts as they are. Cross-validated first choices of tokens that have
        more are drawn toward the other choices, all else toward independent layers.
    model
        The language model.
    layer_ids, model_layers
        Numbers of the layers among all layers of the model; absent: as the trace says. With ``layer_ids`` alone the
        model is taken to end with the last of them.
    """

    name: str | None = None
    objective: Literal["transitions", "fan_out", "imbalance"] = "transitions"
    link_cost: LinkCost | None = None
    load_cap: LoadCap | None = None
    replicas: int | None = None
    dispatch: Literal["split", "local"] = "split"
    memory_bytes: int | None = None
    expert_bytes: int | None = None
    shrinkage: float | Literal["cross-validated"] | None = None
    model: str | None = None
    layer_ids: tuple[int, ...] | None = None
    model_layers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedProblem:
    """A problem made from traces.

    Attributes
    ----------
    problem
        The problem; :func:`coinfer.arrayfile.write` keeps its counts beside the JSON file.
    notes
        What was assumed and left out, one sentence each.
    """

    problem: PlacementProblem
    notes: tuple[str, ...]


def parse_devices(text: str, *, memory_bytes: int | None = None) -> tuple[PlacementDevice, ...]:
    """Return the devices that ``"4"`` (devices) or ``"2x4"`` (nodes x devices of each) means.

    Raises
    ------
    InputError
        If it is neither.
    """
    match = _DEVICES.fullmatch(text.strip())
    nodes, each = (int(match[1] or 1), int(match[2])) if match else (0, 0)
    if not 1 <= nodes * each <= MOST_DEVICES:
        expected = f"a number of devices, or nodes x devices as in 2x4; at most {MOST_DEVICES} in all"
        raise InputError("devices", expected=expected, found=text)
    named = match is not None and match[1] is not None
    return tuple(
        PlacementDevice(
            name=f"node{node}-device{i}" if named else f"device{i}",
            node=f"node{node}" if named else None,
            memory_bytes=memory_bytes,
        )
        for node in range(nodes)
        for i in range(each)
    )


def problem_from_trace(
    files: Sequence[Path],
    devices: str | Sequence[PlacementDevice],
    *,
    trace: TraceOptions | None = None,
    options: PlacementOptions | None = None,
) -> TracedProblem:
    """Count routing traces and make a placement problem of them.

    Parameters
    ----------
    files
        Traces of one model.
    devices
        The devices, or as :func:`parse_devices` reads them.
    trace
        How the files are read, and what share of the tokens is held out.
    options
        All else that the problem holds.

    Raises
    ------
    InputError
        If a file cannot be read, the files do not fit together, or the problem means nothing.
    BackendMissing
        If a ``.pt`` file is to be read without PyTorch.
    """
    trace = TraceOptions() if trace is None else trace
    options = PlacementOptions() if options is None else options
    if isinstance(devices, str):
        devices = parse_devices(devices, memory_bytes=options.memory_bytes)
    if options.objective == "fan_out" and not trace.token_sets:
        raise InputError("token_sets", expected="true, since the objective is 'fan_out'", found=trace.token_sets)
    counted = count_traces(files, trace)
    fit = counted.fit
    if fit.transitions is None and options.objective != "imbalance":
        found = Plain(f"{options.objective!r}, but the files do not say which token visits what")
        raise InputError("objective", expected="'imbalance' for such files", found=found)
    ids, total = _layers(counted, options)
    shrinkage = _shrinkage(counted, options)
    problem = PlacementProblem(
        name=files[0].stem if options.name is None else options.name,
        layers=fit.layers,
        experts=fit.experts,
        top_k=fit.top_k,
        devices=tuple(devices),
        tokens=fit.tokens,
        loads=Matrix(fit.loads),
        objective=options.objective,
        transitions=_transitions(fit),
        token_sets=_sets(fit),
        heldout=_heldout(counted),
        link_cost=options.link_cost,
        load_cap=options.load_cap,
        replicas=options.replicas,
        dispatch=options.dispatch,
        expert_bytes=options.expert_bytes,
        shrinkage=shrinkage,
        prior=_prior(counted, shrinkage),
        model=options.model,
        layer_ids=ids,
        model_layers=total,
    )
    return TracedProblem(problem=problem, notes=counted.notes)


def _transitions(counts: RoutingCounts) -> Matrix | None:
    if counts.transitions is None or counts.layers == 1:
        return None
    return Matrix(counts.transitions.reshape(-1, counts.experts))


def _sets(counts: RoutingCounts) -> Matrix | None:
    return None if counts.token_sets is None else Matrix(counts.token_sets)


def _heldout(counted: TraceCounts) -> Heldout | None:
    held = counted.heldout
    if held is None:
        return None
    return Heldout(tokens=held.tokens, loads=Matrix(held.loads), transitions=_transitions(held), token_sets=_sets(held))


def _shrinkage(counted: TraceCounts, options: PlacementOptions) -> Shrinkage | None:
    """Return the strength that is given, or choose it on the folds of the fitted tokens."""
    if options.shrinkage is None:
        return None
    if options.objective != "transitions":
        expected = "nothing, since the objective has no transitions"
        raise InputError("shrinkage", expected=expected, found=options.shrinkage)
    if options.shrinkage != "cross-validated":
        return Shrinkage(strength=options.shrinkage)
    return choose_strength(
        [np.asarray(fold.transitions, dtype=np.float64) for fold in counted.folds if fold.transitions is not None],
        all_pairs=[np.asarray(fold, dtype=np.float64) for fold in counted.folds_all_pairs] or None,
    )


def _prior(counted: TraceCounts, shrinkage: Shrinkage | None) -> Matrix | None:
    """Return the counts of all pairs, where the shrinkage is toward the other choices of the tokens."""
    if shrinkage is None or shrinkage.toward != "other_choices":
        return None
    return Matrix(np.sum(counted.folds_all_pairs, axis=0).reshape(-1, counted.fit.experts))


def _layers(counted: TraceCounts, options: PlacementOptions) -> tuple[tuple[int, ...] | None, int | None]:
    """Return the numbers of the layers and how many the model has."""
    if options.layer_ids is not None and not options.layer_ids:
        raise InputError("layer_ids", expected="at least one number, or nothing", found=())
    ids = counted.layer_ids if options.layer_ids is None else options.layer_ids
    total = options.model_layers
    if ids is None:
        return (None, None) if total is None else (tuple(range(counted.fit.layers)), total)
    if total is None:
        total = counted.model_layers if options.layer_ids is None else ids[-1] + 1
    return ids, total
