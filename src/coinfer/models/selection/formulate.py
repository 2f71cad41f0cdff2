r"""Expert selection as a mixed-integer program: a capacitated p-median with promises and budgets.

.. math::

   \min_{x, y}\; -\sum_r w_r \sum_n q_{rn}\, y_{rn}
   \quad\text{s.t.}\quad \sum_n y_{rn} = 1,\; y_{rn} \le x_n,\; x_n \in \{0, 1\},\; y_{rn} \in [0, 1]

plus one family of rows per limit (see ``docs/formulations.md``). Budgets are divided by their limit, so that an
engine's absolute feasibility tolerance means the same for joules, bytes and seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.data import Expert, SelectionProblem
from coinfer.models.selection.units import Units, answerable, categories_in_use, units
from coinfer.solver.program import IntArray, MixedIntegerProgram, ProgramBuilder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variables:
    """Where the decisions stand in the program.

    Attributes
    ----------
    select
        (experts,) index of :math:`x_n`.
    route
        (pairs,) index of :math:`y_{rn}` of each pair that is allowed.
    unit, expert
        (pairs,) unit and expert of each pair.
    device_on
        Index of the variable of each device whose idle power is accounted, by device name.
    """

    select: IntArray
    route: IntArray
    unit: IntArray
    expert: IntArray
    device_on: dict[str, int]


def formulate(problem: SelectionProblem) -> MixedIntegerProgram:
    """State ``problem`` as a program; its optimum is minus the best mean quality.

    Routing shares are continuous. They come out as 0 or 1 unless a budget couples the prompts; then the traffic of a
    unit may be split, and the plan says so.
    """
    parts = units(problem)
    builder = ProgramBuilder()
    variables = _variables(problem, parts, builder)
    _add_routing(builder, parts, variables)
    _add_budgets(problem, parts, builder, variables)
    _add_devices(problem, parts, builder, variables)
    if problem.latency_rule == "selected":
        _add_latency_of_selected(problem, builder, variables)
    return builder.build()


def variables_of(problem: SelectionProblem, parts: Units) -> Variables:
    """Return where each decision stands in the program of ``problem``."""
    return _variables(problem, parts, ProgramBuilder())


def explain_infeasible(problem: SelectionProblem) -> tuple[str, ...]:
    """Say in plain sentences why nothing is feasible, where a single limit shows it."""
    found = []
    for name in categories_in_use(problem):
        experts = [expert for expert in problem.experts if expert.name not in problem.forbidden]
        if any(answerable(problem, expert, name) for expert in experts):
            continue
        budget = next(category.latency_budget_s for category in problem.categories if category.name == name)
        known = [(expert.total_latency_s(name), expert.name) for expert in experts]
        timed = [(latency, expert) for latency, expert in known if latency is not None]
        if timed and budget is not None:
            latency, expert = min(timed)
            found.append(
                f"no expert answers {name!r} within {budget:g} s (the fastest, {expert!r}, takes {latency:g} s)"
            )
        else:
            found.append(f"no expert was measured in {name!r}")
    for device in problem.devices:
        needed = sum(
            expert.memory_bytes or 0
            for expert in problem.experts
            if expert.device == device.name and expert.name in problem.required
        )
        if device.memory_bytes is not None and needed > device.memory_bytes:
            found.append(
                f"the required experts need {needed} bytes of {device.name!r}, which has {device.memory_bytes}"
            )
    for field in ("energy_j", "price_usd"):
        budget = getattr(problem.budgets, field)
        least = _least(problem, field)
        if budget is not None and least is not None and least > budget:
            found.append(f"the cheapest routing needs a mean {field} of {least:g}, over the budget of {budget:g}")
    return tuple(found)


def _least(problem: SelectionProblem, field: str) -> float | None:
    """Return the least mean of a figure per request any routing can have; ``None`` when some unit has no expert."""
    parts = units(problem)
    total = 0.0
    for category, weight in zip(parts.category, parts.weight, strict=True):
        figures = [
            (getattr(expert, field) or {}).get(category)
            for expert in problem.experts
            if expert.name not in problem.forbidden and answerable(problem, expert, category)
        ]
        known = [figure for figure in figures if figure is not None]
        if not known:
            return None
        total += float(weight) * min(known)
    return total


def _variables(problem: SelectionProblem, parts: Units, builder: ProgramBuilder) -> Variables:
    categories = sorted(set(parts.category))
    row = {category: i for i, category in enumerate(categories)}
    allowed_in = np.array(
        [[answerable(problem, expert, category) for expert in problem.experts] for category in categories]
    )
    allowed = allowed_in[[row[category] for category in parts.category]]
    unit, expert = np.nonzero(allowed)
    names = [part.name for part in problem.experts]
    upper = np.array([0.0 if name in problem.forbidden else 1.0 for name in names])
    if problem.latency_rule == "selected":
        upper = np.minimum(upper, [_measured_where_promised(problem, part) for part in problem.experts])
    lower = np.array([1.0 if name in problem.required else 0.0 for name in names])
    # A required expert that may not be selected makes an empty box; the row below says so to every engine alike.
    select = builder.variables("select", len(names), lower=np.minimum(lower, upper), upper=upper, integer=True)
    blocked = np.flatnonzero(lower > upper)
    if len(blocked):
        builder.rows("required", row=np.arange(len(blocked)), column=select[blocked], coefficient=1.0, lower=1.0)
    cost = -parts.weight[unit] * parts.quality[unit, expert]
    route = builder.variables("route", len(unit), cost=cost, upper=1.0)
    idle = [device.name for device in problem.devices if device.idle_power_w and problem.arrival_rate_per_s]
    on = builder.variables("device_on", len(idle), upper=1.0, integer=True)
    return Variables(
        select=select,
        route=route,
        unit=unit.astype(np.int64),
        expert=expert.astype(np.int64),
        device_on=dict(zip(idle, on.tolist(), strict=True)),
    )


def _measured_where_promised(problem: SelectionProblem, expert: Expert) -> float:
    """Return 1 when the expert was measured in every category with a promise, else 0."""
    return float(
        all(
            category.latency_budget_s is None or expert.total_latency_s(category.name) is not None
            for category in problem.categories
        )
    )


def _add_routing(builder: ProgramBuilder, parts: Units, variables: Variables) -> None:
    """Every unit is answered, and only by selected experts."""
    builder.rows(
        "assign",
        row=variables.unit,
        column=variables.route,
        coefficient=1.0,
        lower=1.0,
        upper=1.0,
        count=len(parts.weight),
    )
    pairs = np.arange(len(variables.route))
    builder.rows(
        "link",
        row=np.concatenate([pairs, pairs]),
        column=np.concatenate([variables.route, variables.select[variables.expert]]),
        coefficient=np.repeat([1.0, -1.0], len(pairs)),
        upper=0.0,
        count=len(pairs),
    )


def _add_budgets(problem: SelectionProblem, parts: Units, builder: ProgramBuilder, variables: Variables) -> None:
    """Mean energy and money per request, worst-case energy, and the number of experts."""
    budgets = problem.budgets
    weight = parts.weight[variables.unit]
    if budgets.energy_j is not None:
        rate = problem.arrival_rate_per_s or 1.0
        power = {device.name: device.idle_power_w or 0.0 for device in problem.devices}
        idle = np.array([power[name] / rate for name in variables.device_on])
        column = np.concatenate([variables.route, np.array(list(variables.device_on.values()), dtype=np.int64)])
        joules = np.concatenate([weight * _per_pair(problem, parts, variables, "energy_j"), idle])
        _budget(builder, "energy", np.zeros(len(column)), column, joules, np.array([budgets.energy_j]))
    if budgets.price_usd is not None:
        money = weight * _per_pair(problem, parts, variables, "price_usd")
        zeros = np.zeros(len(variables.route))
        _budget(builder, "price", zeros, variables.route, money, np.array([budgets.price_usd]))
    if budgets.worst_case_energy_j is not None:
        names = categories_in_use(problem)
        table = np.array([[(expert.energy_j or {}).get(name, 0.0) for expert in problem.experts] for name in names])
        row, expert = np.nonzero(table)
        limit = np.full(len(names), budgets.worst_case_energy_j)
        _budget(builder, "worst_case_energy", row, variables.select[expert], table[row, expert], limit)
    if budgets.experts is not None:
        builder.rows(
            "experts",
            row=np.zeros(len(variables.select)),
            column=variables.select,
            coefficient=1.0,
            upper=float(budgets.experts),
        )
    groups = [expert.group for expert in problem.experts]
    names_of_groups = sorted({group for group in groups if group is not None})
    members = [(names_of_groups.index(group), n) for n, group in enumerate(groups) if group is not None]
    if members:
        row, expert = np.array(members).T
        builder.rows("group", row=row, column=variables.select[expert], coefficient=1.0, upper=1.0)


def _add_devices(problem: SelectionProblem, parts: Units, builder: ProgramBuilder, variables: Variables) -> None:
    """Memory and utilisation of each device, and its idle power being paid as soon as it holds an expert."""
    held_by = np.array([[expert.device == device.name for expert in problem.experts] for device in problem.devices])
    limited = [i for i, device in enumerate(problem.devices) if device.memory_bytes is not None]
    if limited:
        size = np.array([float(expert.memory_bytes or 0) for expert in problem.experts])
        row, expert = np.nonzero(held_by[limited])
        limit = np.array([float(problem.devices[i].memory_bytes or 0) for i in limited])
        _budget(builder, "memory", row, variables.select[expert], size[expert], limit)
    rate = problem.arrival_rate_per_s
    busy = [i for i, device in enumerate(problem.devices) if device.max_utilisation is not None and rate is not None]
    if busy and rate is not None:
        seconds = rate * parts.weight[variables.unit] * _per_pair(problem, parts, variables, "latency_s")
        row, pair = np.nonzero(held_by[busy][:, variables.expert])
        limit = np.array([problem.devices[i].max_utilisation or 1.0 for i in busy])
        _budget(builder, "utilisation", row, variables.route[pair], seconds[pair], limit)
    on = [
        (variables.device_on[expert.device], n)
        for n, expert in enumerate(problem.experts)
        if expert.device in variables.device_on
    ]
    if on:
        device, expert = np.array(on).T
        rows = np.arange(len(on))
        builder.rows(
            "device_on",
            row=np.concatenate([rows, rows]),
            column=np.concatenate([variables.select[expert], device]),
            coefficient=np.repeat([1.0, -1.0], len(on)),
            upper=0.0,
        )


def _add_latency_of_selected(problem: SelectionProblem, builder: ProgramBuilder, variables: Variables) -> None:
    """Every selected expert keeps every promise, and waiting for all of them counts the aggregation.

    For expert ``n`` and category ``k``: ``t_nk + a * sum_m x_m <= tau_k`` when ``x_n = 1``. The row
    ``t_nk x_n + a sum_m x_m <= tau_k + M (1 - x_n)`` with ``M = max(0, a N - tau_k)`` says that, and for ``x_n = 0``
    its right side is at least ``a N``, which no selection exceeds.
    """
    count = len(problem.experts)
    step = problem.aggregation_s_per_expert or 0.0
    promised = [category for category in problem.categories if category.latency_budget_s is not None]
    row: list[NDArray[np.int64]] = []
    column: list[IntArray] = []
    number: list[NDArray[np.float64]] = []
    limit: list[float] = []
    for category in promised:
        budget = category.latency_budget_s or 0.0
        slack = max(0.0, step * count - budget)
        for n, expert in enumerate(problem.experts):
            latency = expert.total_latency_s(category.name)
            if latency is None:
                continue  # its variable is fixed to 0 already
            entries: NDArray[np.float64] = np.full(count, step)
            entries[n] += latency + slack
            row.append(np.full(count, len(limit)))
            column.append(variables.select)
            number.append(entries)
            limit.append(budget + slack)
    if limit:
        bounds = np.array(limit)
        rows = np.concatenate(row)
        _budget(builder, "latency", rows, np.concatenate(column), np.concatenate(number), bounds)


def _per_pair(problem: SelectionProblem, parts: Units, variables: Variables, field: str) -> NDArray[np.float64]:
    """Return a figure of each pair, (pairs,); pairs of which it is absent have been refused where it is needed."""
    categories = sorted(set(parts.category))
    table = np.array(
        [[(getattr(expert, field) or {}).get(category, 0.0) for expert in problem.experts] for category in categories]
    )
    index = np.array([categories.index(category) for category in parts.category])
    figures: NDArray[np.float64] = table[index[variables.unit], variables.expert]
    return figures


def _budget(
    builder: ProgramBuilder,
    name: str,
    row: NDArray[np.generic],
    column: IntArray,
    amount: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> None:
    """Add ``amount <= limit`` rows, divided by the limit; a limit of 0 stays as it is."""
    scale = np.where(limit > 0.0, limit, 1.0)
    row = row.astype(np.int64)
    builder.rows(name, row=row, column=column, coefficient=amount / scale[row], upper=limit / scale, count=len(limit))
