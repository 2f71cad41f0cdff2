"""Cells (task, model, device, method) as numbers: roofline terms, features of the learned part, categories."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coinfer.models.acceleration.data import AccelerationProblem, Device, MeasuredFigure, Method, Model, Row, Task

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

AXES = ("model", "device", "method", "task")
_LAYER_S = 1e-5
_SEQUENCE_S = 1e-4
_JOULE_PER_BYTE = 2e-10
_JOULE_PER_FLOP = 7e-13


class Cell(NamedTuple):
    """One way to serve one task, by names."""

    task: str
    model: str
    device: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Cells as numbers.

    Attributes
    ----------
    terms
        (cells, terms) in the units of the figure, or no column where the file lacks the facts a roofline needs.
    numeric
        (cells, features); NaN where a fact is absent.
    of_device
        (features,): True where the feature is a fact of the device. Trees over a roofline leave these out: the
        roofline carries them to devices that nobody measured, trees cannot.
    codes
        (cells, 4): index of the model, device, method and task.
    """

    terms: FloatArray
    numeric: FloatArray
    of_device: NDArray[np.bool_]
    codes: IntArray


def cell_of(row: Row) -> Cell:
    """Return the cell that a row measured."""
    return Cell(row.task, row.model, row.device, row.method)


def fits(problem: AccelerationProblem, cell: Cell) -> bool:
    """Say whether the weights fit into the memory; true where either is unknown."""
    model, device, method, _ = _parts(problem)(cell)
    facts = (model.total_parameters, model.weight_bits, device.memory_bytes, method.accelerators)
    if any(fact is None for fact in facts):
        return True
    parameters, bits, memory, accelerators = (float(fact) for fact in facts if fact is not None)
    return parameters * bits / 8.0 <= memory * accelerators


def design(problem: AccelerationProblem, cells: Sequence[Cell], figure: MeasuredFigure) -> Design:
    """Return ``cells`` as numbers for the prediction of ``figure``."""
    look_up = _parts(problem)
    parts = [look_up(cell) for cell in cells]
    names = [{record.name: i for i, record in enumerate(getattr(problem, f"{axis}s"))} for axis in AXES]
    codes = [[known[getattr(cell, axis)] for axis, known in zip(AXES, names, strict=True)] for cell in cells]
    numeric, of_device = _numeric(parts)
    return Design(
        terms=_terms(parts, figure),
        numeric=numeric,
        of_device=of_device,
        codes=np.array(codes, dtype=np.int64).reshape(len(cells), len(AXES)),
    )


_Parts = tuple[Model, Device, Method, Task]


def _parts(problem: AccelerationProblem) -> Callable[[Cell], _Parts]:
    models = {record.name: record for record in problem.models}
    devices = {record.name: record for record in problem.devices}
    methods = {record.name: record for record in problem.methods}
    tasks = {record.name: record for record in problem.tasks}
    return lambda cell: (models[cell.model], devices[cell.device], methods[cell.method], tasks[cell.task])


def _column(parts: Sequence[_Parts], which: int, field: str) -> FloatArray:
    numbers = [getattr(part[which], field) for part in parts]
    return np.array([math.nan if number is None else number for number in numbers], dtype=np.float64)


def _terms(parts: Sequence[_Parts], figure: MeasuredFigure) -> FloatArray:
    """Return what the figure would be if one cause alone made it, one column per cause.

    The time of one decoding step is at least the bytes it moves over the bandwidth, and at least its operations over
    the compute rate; kernels of a layer add a fixed time, and so does talk between accelerators. Of a sparse model,
    a batch of B touches the share 1 - (1 - active/total)^B of the weights.
    """
    total, active, bits, layers, cache = (
        _column(parts, 0, name)
        for name in ("total_parameters", "active_parameters", "weight_bits", "layers", "cache_bytes_per_token")
    )
    bandwidth, flops, flops_8bit, power = (
        _column(parts, 1, name)
        for name in ("bandwidth_bytes_per_s", "compute_flop_per_s", "compute_8bit_flop_per_s", "power_w")
    )
    count, batch = (_column(parts, 2, name) for name in ("accelerators", "batch"))
    prompt, answer = (_column(parts, 3, name) for name in ("input_tokens", "output_tokens"))
    compute = np.where((bits <= 8.0) & ~np.isnan(flops_8bit), flops_8bit, flops)
    context = np.nan_to_num(prompt) + answer / 2.0
    sparse = (active < total).astype(np.float64)
    depth = np.ones(len(parts)) if np.isnan(layers).any() else layers
    touched = total * (1.0 - (1.0 - np.minimum(active / total, 1.0)) ** batch)
    fixed = [depth * _LAYER_S, depth * sparse * _LAYER_S, depth * (count > 1) * _LAYER_S, batch * _SEQUENCE_S]
    reading = [touched * bits / 8.0 / (count * bandwidth), batch * context * cache / (count * bandwidth)]
    working = [2.0 * active * batch / (count * compute)]
    if figure != "token_latency_s":  # per request: the share of a step that one answer of this length takes
        steps = answer / batch
        fixed, reading, working = ([term * steps for term in group] for group in (fixed, reading, working))
        working.append(2.0 * active * prompt / (count * compute))  # the prompt is read once, all of it
    if figure == "energy_j":
        fixed = [term * count * power for term in fixed]
        reading = [term * count * np.sqrt(power * _JOULE_PER_BYTE * bandwidth) for term in reading]
        working = [term * count * np.sqrt(power * _JOULE_PER_FLOP * flops) for term in working]
    needed = np.concatenate([*fixed, reading[0]]) if parts else np.zeros(0)
    if not np.isfinite(needed).all():
        return np.zeros((len(parts), 0))
    kept = [term for term in (*fixed, *reading, *working) if np.isfinite(term).all() and term.any()]
    return np.array(kept).reshape(len(kept), len(parts)).T


_DEVICE = 1
_QUANTITIES = (
    (0, ("total_parameters", "active_parameters", "weight_bits", "layers", "cache_bytes_per_token")),
    (1, ("memory_bytes", "bandwidth_bytes_per_s", "compute_flop_per_s", "compute_8bit_flop_per_s", "power_w")),
    (2, ("accelerators", "batch")),
    (3, ("input_tokens", "output_tokens")),
)


def _numeric(parts: Sequence[_Parts]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return logarithms of the known quantities and the file's own features as they are; and which are the device's."""
    columns: list[FloatArray] = []
    origin: list[int] = []
    for which, fields in _QUANTITIES:
        found = [np.log(_column(parts, which, field)) for field in fields]
        keys = sorted({key for part in parts for key in part[which].features})
        found += [np.array([part[which].features.get(key, math.nan) for part in parts]) for key in keys]
        columns += found
        origin += [which] * len(found)
    return np.array(columns).reshape(len(columns), len(parts)).T, np.array(origin) == _DEVICE
