"""What a placement problem must hold to mean anything; each broken rule is one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.records import Matrix

if TYPE_CHECKING:
    from coinfer.models.placement.data import PlacementProblem

LARGEST = 1e15
"""Largest count: sums of that many stay exact in float64."""
MOST_EXPERTS, MOST_LAYERS, MOST_DEVICES = 4096, 4096, 4096


def validate(problem: PlacementProblem) -> None:
    """Raise :class:`coinfer.errors.ProblemError` at the first field that does not fit the others."""
    _sizes(problem)
    _devices(problem)
    _counts("", problem, problem.tokens, problem.transitions, problem.loads, problem.token_sets)
    if problem.heldout is not None:
        held = problem.heldout
        _counts("heldout.", problem, held.tokens, held.transitions, held.loads, held.token_sets)
    if problem.objective == "transitions" and problem.transitions is None:
        found = Plain("none")
        raise ProblemError("transitions", expected="counts, since the objective is 'transitions'", found=found)
    if problem.objective == "transitions" and problem.layers == 1:
        raise ProblemError("layers", expected="at least 2, since the objective is 'transitions'", found=1)
    if problem.objective == "fan_out" and problem.token_sets is None:
        raise ProblemError("token_sets", expected="rows, since the objective is 'fan_out'", found=Plain("none"))
    if problem.objective == "fan_out" and problem.dispatch == "local":
        raise ProblemError("dispatch", expected="'split', since the objective is 'fan_out'", found=problem.dispatch)
    if problem.objective == "fan_out" and problem.replicas:
        expected = "none, since the objective is 'fan_out': a second copy never lowers it"
        raise ProblemError("replicas", expected=expected, found=problem.replicas)
    if problem.objective == "fan_out" and problem.load_cap is not None and problem.load_cap.over == "mean":
        expected = "'worst_layer', since the objective is 'fan_out', which looks at each layer alone"
        raise ProblemError("load_cap.over", expected=expected, found="mean")
    _prior(problem)
    _costs(problem)
    _places(problem)
    _running(problem)
    _layer_ids(problem)


def _sizes(problem: PlacementProblem) -> None:
    if not problem.name.strip() or not problem.name.isprintable():
        raise ProblemError("name", expected="a name of printable characters", found=problem.name)
    limits = {"layers": MOST_LAYERS, "experts": MOST_EXPERTS, "top_k": problem.experts}
    for field, most in limits.items():
        number = getattr(problem, field)
        if not 1 <= number <= most:
            raise ProblemError(field, expected=f"an integer in 1..{most}", found=number)
    if problem.replicas is not None and not 0 <= problem.replicas <= problem.experts * (len(problem.devices) - 1):
        most = problem.experts * (len(problem.devices) - 1)
        raise ProblemError("replicas", expected=f"an integer in 0..{most}", found=problem.replicas)


def _devices(problem: PlacementProblem) -> None:
    devices = problem.devices
    if not 1 <= len(devices) <= MOST_DEVICES:
        raise ProblemError("devices", expected=f"1 to {MOST_DEVICES} devices", found=len(devices))
    names = [device.name for device in devices]
    for i, name in enumerate(names):
        if not name.isprintable() or names.index(name) != i:
            raise ProblemError(f"devices[{i}].name", expected="printable names that differ", found=name)
    total = problem.experts + (problem.replicas or 0)
    given = [device.slots is not None for device in devices]
    if any(given) and not all(given):
        where = f"devices[{given.index(False)}].slots"
        raise ProblemError(where, expected="a number, since other devices have one", found=Plain("none"))
    if not any(given) and total % len(devices):
        copies = f"{problem.experts} experts" + (f" and {problem.replicas} replicas" if problem.replicas else "")
        expected = f"a number of devices that divides {copies}, or slots for each device"
        raise ProblemError("devices", expected=expected, found=len(devices))
    if sum(problem.device_slots) < total:
        expected = f"at least {total} slots in all for {problem.experts} experts and {problem.replicas or 0} replicas"
        raise ProblemError("devices", expected=expected, found=sum(problem.device_slots))
    if max(problem.device_slots) > problem.experts:
        i = int(np.argmax(problem.device_slots))
        expected = f"at most {problem.experts} slots, one for each expert"
        raise ProblemError(f"devices[{i}].slots", expected=expected, found=problem.device_slots[i])
    if problem.expert_bytes is not None and problem.expert_bytes <= 0:
        raise ProblemError("expert_bytes", expected="an integer above 0", found=problem.expert_bytes)
    for i, (device, slots) in enumerate(zip(devices, problem.device_slots, strict=True)):
        if device.memory_bytes is None:
            continue
        if problem.expert_bytes is None:
            raise ProblemError("expert_bytes", expected="a size, since a device's memory is limited", found=None)
        needed = slots * problem.layers * problem.expert_bytes
        if needed > device.memory_bytes:
            expected = f"room for {slots} slots in each of {problem.layers} layers, {needed:,} bytes"
            raise ProblemError(f"devices[{i}].memory_bytes", expected=expected, found=device.memory_bytes)


def _counts(
    prefix: str, problem: PlacementProblem, tokens: int, transitions: Matrix | None, loads: Matrix, sets: Matrix | None
) -> None:
    """Check shapes and signs; the counts need not add up, since readers may have smoothed or sampled them."""
    layers, experts = problem.layers, problem.experts
    if tokens < 0:
        raise ProblemError(f"{prefix}tokens", expected="an integer, at least 0", found=tokens)
    shapes = {"transitions": ((layers - 1) * experts, experts), "loads": (layers, experts)}
    for field, matrix in (("transitions", transitions), ("loads", loads)):
        if matrix is None:
            continue
        if matrix.shape != shapes[field]:
            raise ProblemError(prefix + field, expected=f"shape {shapes[field]}", found=Plain(str(matrix.shape)))
        _at_least_0(prefix + field, matrix)
    if sets is None:
        return
    where, array = f"{prefix}token_sets", sets.array
    if sets.shape[1] != 2 + problem.top_k:
        expected = f"rows of 2 + {problem.top_k} numbers: layer, count, experts"
        raise ProblemError(where, expected=expected, found=Plain(f"rows of {sets.shape[1]}"))
    _at_least_0(where, sets)
    if (array[:, [0, *range(2, array.shape[1])]] % 1.0).any():
        raise ProblemError(where, expected="whole numbers for layers and experts", found=Plain("fractions"))
    if len(array) and (array[:, 0].max() >= layers or array[:, 2:].max() >= experts):
        raise ProblemError(where, expected=f"layers below {layers} and experts below {experts}", found=Plain("others"))
    chosen = np.sort(array[:, 2:], axis=1)
    twice = np.flatnonzero((chosen[:, 1:] == chosen[:, :-1]).any(axis=1))
    if len(twice):
        raise ProblemError(f"{where}[{twice[0]}]", expected="experts that differ", found=Plain("one twice"))


def _prior(problem: PlacementProblem) -> None:
    """Check that the counts of a guess stand exactly where the shrinkage needs them."""
    wanted = problem.shrinkage is not None and problem.shrinkage.toward == "other_choices"
    if wanted != (problem.prior is not None):
        found = Plain("none" if problem.prior is None else "counts")
        raise ProblemError("prior", expected="counts exactly where shrinkage is toward 'other_choices'", found=found)
    if problem.prior is None:
        return
    shape = ((problem.layers - 1) * problem.experts, problem.experts)
    if problem.prior.shape != shape:
        raise ProblemError("prior", expected=f"shape {shape}", found=Plain(str(problem.prior.shape)))
    _at_least_0("prior", problem.prior)


def _at_least_0(where: str, matrix: Matrix) -> None:
    wrong = np.argwhere(~((matrix.array >= 0.0) & (matrix.array <= LARGEST)))
    if len(wrong):
        row, column = wrong[0].tolist()
        expected = f"a count in 0..{LARGEST:g}"
        raise ProblemError(f"{where}[{row}][{column}]", expected=expected, found=float(matrix.array[row, column]))


def _costs(problem: PlacementProblem) -> None:
    if problem.cost_matrix is None:
        return
    if problem.link_cost is not None:
        raise ProblemError("cost_matrix", expected="no link_cost beside it", found=Plain("both"))
    array, count = problem.cost_matrix.array, len(problem.devices)
    if array.shape != (count, count):
        expected = f"({count}, {count}), one row and column for each device"
        raise ProblemError("cost_matrix", expected=expected, found=Plain(str(array.shape)))
    _at_least_0("cost_matrix", problem.cost_matrix)
    if (array != array.T).any() or array.diagonal().any():
        raise ProblemError("cost_matrix", expected="a symmetric matrix with zero diagonal", found=Plain("another"))


def _places(problem: PlacementProblem) -> None:
    names = {device.name for device in problem.devices}
    seen: set[tuple[int, int, str]] = set()
    for field in ("pinned", "forbidden"):
        for i, place in enumerate(getattr(problem, field)):
            where = f"{field}[{i}]"
            if not 0 <= place.layer < problem.layers:
                raise ProblemError(f"{where}.layer", expected=f"0..{problem.layers - 1}", found=place.layer)
            if not 0 <= place.expert < problem.experts:
                raise ProblemError(f"{where}.expert", expected=f"0..{problem.experts - 1}", found=place.expert)
            if place.device not in names:
                raise ProblemError(f"{where}.device", expected="the name of a device", found=place.device)
            key = (place.layer, place.expert, place.device)
            if key in seen:
                raise ProblemError(where, expected="each place once, pinned or forbidden", found=Plain("one twice"))
            seen.add(key)


def _running(problem: PlacementProblem) -> None:
    if problem.running is None:
        return
    if problem.objective == "imbalance" and problem.running.migration_cost > 0.0:
        expected = "0, since the objective is 'imbalance', which has another unit"
        raise ProblemError("running.migration_cost", expected=expected, found=problem.running.migration_cost)
    slots = problem.running.slots.array
    total = sum(problem.device_slots)
    if slots.shape != (problem.layers, total):
        expected = f"({problem.layers}, {total}): layers and slots"
        raise ProblemError("running.slots", expected=expected, found=Plain(str(slots.shape)))
    if ((slots % 1.0) != 0.0).any() or slots.min() < -1 or slots.max() >= problem.experts:
        raise ProblemError(
            "running.slots", expected=f"whole numbers in -1..{problem.experts - 1}", found=Plain("others")
        )


def _layer_ids(problem: PlacementProblem) -> None:
    ids, total = problem.layer_ids, problem.model_layers
    if (ids is None) != (total is None):
        raise ProblemError("model_layers", expected="a number exactly when layer_ids stand", found=total)
    if ids is None or total is None:
        return
    if len(ids) != problem.layers or list(ids) != sorted(set(ids)) or ids[0] < 0 or ids[-1] >= total:
        expected = f"{problem.layers} ascending numbers in 0..{total - 1}"
        raise ProblemError("layer_ids", expected=expected, found=Plain(str(list(ids[:8]))))
