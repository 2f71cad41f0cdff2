"""The choice: as good as brute force, within every budget, on measured figures where there are some."""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coinfer.errors import Infeasible, InputError
from coinfer.models.acceleration import AccelerationProblem, Estimate, Option, choose, compare, estimate
from coinfer.models.acceleration.data import Ceilings, Device, Method, Model, Row, Task
from coinfer.models.acceleration.formulate import End, select, total
from coinfer.models.acceleration.measure_next import if_measured, suggest
from coinfer.models.acceleration.table import Cell
from coinfer.solver.result import Status

numbers = st.floats(min_value=0.1, max_value=100.0).map(lambda number: round(number, 3))


def problem_of(tasks: int, methods: int, /, **changes: Any) -> AccelerationProblem:
    """Return a problem with one model and one device."""
    fields: dict[str, Any] = {
        "name": "table",
        "models": (Model(name="model"),),
        "devices": (Device(name="gpu", price_usd_per_hour=3600.0),),
        "methods": tuple(Method(name=f"method {i}", accelerators=1.0) for i in range(methods)),
        "tasks": tuple(Task(name=f"task {i}") for i in range(tasks)),
        "history": (),
        "objective": "energy_j",
    }
    return AccelerationProblem(**{**fields, **changes})


@st.composite
def tables(draw: st.DrawFn) -> tuple[AccelerationProblem, list[Option], End]:
    """Return a problem and a random menu for it: measured and predicted, some figures absent."""
    tasks, methods = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    budgets = Ceilings(runtime_s=draw(numbers) * tasks if draw(st.booleans()) else None)
    problem = problem_of(tasks, methods, budgets=budgets)
    requests = [draw(st.integers(1, 5)) for _ in range(tasks)]
    limited = [draw(st.booleans()) for _ in range(tasks)]
    listed = tuple(
        Task(
            name=f"task {i}", requests=float(requests[i]), limits=Ceilings(token_latency_s=50.0 if limited[i] else None)
        )
        for i in range(tasks)
    )
    problem = msgspec.structs.replace(problem, tasks=listed)
    options = []
    for task, method in itertools.product(range(tasks), range(methods)):
        figures: dict[Any, Estimate] = {}
        for figure in ("energy_j", "runtime_s", "token_latency_s"):
            kind = draw(st.sampled_from(["measured", "predicted", "predicted", "absent"]))
            low, value, high = sorted(draw(numbers) for _ in range(3))
            if kind == "measured":
                figures[figure] = Estimate(value=value, basis="measured", low=value, high=value)
            elif kind == "predicted":
                figures[figure] = Estimate(value=value, basis="predicted", low=low, high=high, level=0.9)
        options.append(Option(cell=Cell(f"task {task}", "model", "gpu", f"method {method}"), figures=figures))
    return problem, options, draw(st.sampled_from(["value", "high"]))


def brute_force(problem: AccelerationProblem, options: list[Option], end: End) -> float:
    """Return the least objective over all combinations, or infinity."""
    groups = [[option for option in options if option.cell.task == task.name] for task in problem.tasks]
    best = math.inf
    for combination in itertools.product(*groups):
        if all(kept(problem, option, end) for option in combination):
            sums = {figure: total(problem, combination, figure, end) for figure in ("energy_j", *problem.budgets)}
            if all((sums[figure] or 0.0) <= budget + 1e-9 for figure, budget in problem.budgets.items()):
                best = min(best, sums["energy_j"] or 0.0)
    return best


def kept(problem: AccelerationProblem, option: Option, end: End) -> bool:
    """Say whether an option has what it needs and keeps the limits of its task."""
    task = next(task for task in problem.tasks if task.name == option.cell.task)
    limits = {**dict.fromkeys(("energy_j", *problem.budgets), math.inf), **dict(task.limits.items())}
    return all(f in option.figures and getattr(option.figures[f], end) <= limit for f, limit in limits.items())


@given(tables())
@settings(max_examples=150)
def test_the_choice_is_what_brute_force_finds(table: tuple[AccelerationProblem, list[Option], End]) -> None:
    """On random tables the value is the least of all combinations, every budget and limit is kept, or there is none."""
    problem, options, end = table
    found = select(problem, options, end=end)
    best = brute_force(problem, options, end)
    if math.isinf(best):
        assert found.status is Status.INFEASIBLE
        return
    assert found.value == pytest.approx(best, rel=1e-6)
    assert found.bound <= found.value + 1e-6
    assert [option.cell.task for option in found.options] == [task.name for task in problem.tasks]
    assert total(problem, found.options, "energy_j", end) == pytest.approx(found.value)
    assert all(kept(problem, option, end) for option in found.options)
    for figure, budget in problem.budgets.items():
        assert (total(problem, found.options, figure, end) or 0.0) <= budget * (1 + 1e-6)


@given(tables())
@settings(max_examples=100)
def test_measuring_what_is_named_changes_the_choice(table: tuple[AccelerationProblem, list[Option], End]) -> None:
    """A cell that may be better, measured at its favourable end, is chosen and gains what was said; so for bad news."""
    problem, options, end = table
    chosen = select(problem, options, end=end)
    assume(chosen.options)
    named = suggest(problem, options, chosen, end=end, most=100)
    gains = [suggestion.gain for suggestion in named if suggestion.gain is not None]
    assert gains == sorted(gains, reverse=True)
    for suggestion in named:
        cell = Cell(suggestion.task, suggestion.model, suggestion.device, suggestion.method)
        good_news = suggestion.reason == "may be better"
        changed = [
            (if_measured(option, "low" if good_news else "high") or option) if option.cell == cell else option
            for option in options
        ]
        again = select(problem, changed, end=end)
        was = {option.cell for option in chosen.options}
        now = {option.cell for option in again.options}
        assert (cell in now, cell in was) == ((True, False) if good_news else (False, True)) or (
            suggestion.reason == "choice may break a limit" and now != was
        )
        if good_news:
            assert suggestion.gain == pytest.approx(chosen.value - again.value, rel=1e-6, abs=1e-6)


@given(tables())
@settings(max_examples=60)
def test_what_is_not_named_cannot_improve_the_choice(table: tuple[AccelerationProblem, list[Option], End]) -> None:
    """No single unmeasured cell outside the list would give a better plan, even at its favourable end."""
    problem, options, end = table
    chosen = select(problem, options, end=end)
    assume(chosen.options)
    named = {s[:4] for s in map(msgspec.structs.astuple, suggest(problem, options, chosen, end=end, most=100))}
    for place, option in enumerate(options):
        better = if_measured(option, "low")
        if better is None or tuple(option.cell) in named or option in chosen.options:
            continue
        again = select(problem, [*options[:place], better, *options[place + 1 :]], end=end)
        assert again.value >= chosen.value - 1e-5 * abs(chosen.value)


def row(task: str, method: str, **figures: float) -> Row:
    """Return a measurement."""
    return Row(model="model", device="gpu", method=method, task=task, **figures)


def test_measured_cells_are_returned_as_measured() -> None:
    """What was measured stands in the menu digit for digit; repeated measurements are averaged."""
    history = (
        row("task 0", "method 0", energy_j=1.234567890123),
        row("task 0", "method 1", energy_j=50.0),
        row("task 1", "method 1", energy_j=3.0),
        row("task 1", "method 1", energy_j=5.0),
    )
    problem = problem_of(2, 2, history=history)
    found = {option.cell: option.figures["energy_j"] for option in estimate(problem, predictor="roofline")[0]}
    first = found[Cell("task 0", "model", "gpu", "method 0")]
    assert first == Estimate(value=1.234567890123, basis="measured", low=1.234567890123, high=1.234567890123)
    assert found[Cell("task 1", "model", "gpu", "method 1")].value == 4.0
    assert found[Cell("task 1", "model", "gpu", "method 0")].basis == "predicted"


def test_what_is_absent_stays_absent() -> None:
    """A figure that nobody measured is in no estimate, and planning on it says so in a sentence."""
    problem = problem_of(
        1, 2, history=(row("task 0", "method 0", runtime_s=1.0), row("task 0", "method 1", runtime_s=2.0))
    )
    assert all("energy_j" not in option.figures for option in estimate(problem, predictor="roofline")[0])
    with pytest.raises(Infeasible, match="energy_j is known for none of the 2 ways to serve task 'task 0'"):
        choose(problem, predictor="roofline")


def test_a_prediction_without_interval_is_no_ground_for_a_pessimistic_plan() -> None:
    """On a device that nobody measured, with one other device, there is no interval: planning on its end finds none."""
    history = tuple(row("task 0", f"method {i}", energy_j=float(i + 1)) for i in range(3))
    problem = problem_of(1, 3, history=history, devices=(Device(name="gpu"), Device(name="new")))
    problem = msgspec.structs.replace(problem, tasks=(Task(name="task 0", devices=("new",)),))
    made = choose(problem, predictor="roofline")
    assert made.choices[0].figures["energy_j"].low is None
    assert made.best_case is None
    assert made.suggestions[0].reason == "unknown range"
    with pytest.raises(Infeasible, match="keeps its limits with figures that are known"):
        choose(problem, stance="pessimistic", predictor="roofline")


def test_money_is_time_times_price_times_accelerators() -> None:
    """The price of a request follows from its time, and is measured exactly where the time is."""
    problem = problem_of(
        1,
        2,
        methods=(Method(name="method 0", accelerators=4.0), Method(name="method 1")),
        history=(row("task 0", "method 0", runtime_s=0.5), row("task 0", "method 1", runtime_s=0.1)),
        objective="price_usd",
    )
    made = choose(problem, predictor="roofline")
    assert made.choices[0].method == "method 0"  # of the other, nobody said how many accelerators it keeps
    assert made.choices[0].figures["price_usd"] == Estimate(value=2.0, basis="measured", low=2.0, high=2.0)


def test_a_shared_budget_moves_a_choice_and_the_baselines_say_what_that_buys() -> None:
    """Under a budget one task takes the quicker way; a single method costs more; too small a budget has no answer."""
    history = tuple(
        row(f"task {i}", f"method {j}", energy_j=energy, runtime_s=seconds)
        for i in range(2)
        for j, (energy, seconds) in enumerate([(1.0, 10.0), (2.0 + i, 1.0)])
    )
    problem = problem_of(2, 2, history=history, budgets=Ceilings(runtime_s=11.0))
    made = choose(problem, predictor="roofline")
    assert [choice.method for choice in made.choices] == ["method 1", "method 0"]
    assert (made.value, made.single_method, made.single_value) == (3.0, "method 1", 5.0)
    assert made.totals == {"energy_j": 3.0, "runtime_s": 11.0, "price_usd": 11.0}
    assert made.best_case == pytest.approx(3.0)
    assert made.suggestions == ()
    with pytest.raises(Infeasible, match="no choice keeps the budgets"):
        choose(msgspec.structs.replace(problem, budgets=Ceilings(runtime_s=1.0)), predictor="roofline")


def test_the_comparison_with_the_truth_counts_true_figures() -> None:
    """A choice on a wrong figure is worth its true one; the oracle knows better."""
    problem = problem_of(
        1, 2, history=(row("task 0", "method 0", energy_j=5.0), row("task 0", "method 1", energy_j=9.0))
    )
    made = choose(problem, predictor="roofline")
    wrong = msgspec.structs.replace(problem, history=())
    truth = (row("task 0", "method 0", energy_j=7.0), row("task 0", "method 1", energy_j=2.0))
    found = compare(wrong, made, truth)
    assert (found.chosen, found.oracle, found.single_method, found.kept) == (7.0, 2.0, 2.0, True)
    with pytest.raises(InputError, match="a measurement of what was chosen"):
        compare(wrong, made, truth[1:])


def test_weights_that_do_not_fit_are_not_on_the_menu() -> None:
    """A model larger than the memory of its accelerators is left out with a note, unless it was measured there."""
    problem = problem_of(
        1,
        2,
        models=(Model(name="model", total_parameters=10e9, weight_bits=16.0),),
        devices=(Device(name="gpu", memory_bytes=16e9),),
        methods=(Method(name="method 0", accelerators=1.0), Method(name="method 1", accelerators=2.0)),
        history=(row("task 0", "method 1", energy_j=2.0),),
    )
    made = choose(problem, predictor="roofline")
    assert made.choices[0].method == "method 1"
    assert made.notes == ("1 of 2 ways to serve a task have too little memory for the weights",)
    measured = msgspec.structs.replace(problem, history=(*problem.history, row("task 0", "method 0", energy_j=1.0)))
    assert choose(measured, predictor="roofline").choices[0].method == "method 0"
