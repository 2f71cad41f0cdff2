"""The general search against enumeration, at its end and at every early stop."""

from __future__ import annotations

import dataclasses
import math
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic import search as searching
from coinfer.solver.monotonic.maximise import maximise, maximise_general
from coinfer.solver.monotonic.program import (
    Difference,
    IntArray,
    LinearRows,
    MixedMonotone,
    Monotone,
    MonotonicProgram,
    Submodular,
)
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.progress import Progress, Stop
from coinfer.testing.monotonic import KINDS, Enumerated, Kind, enumerated, monotonic_programs, program_from_seed

ENDED = {SearchStatus.OPTIMAL, SearchStatus.GAP, SearchStatus.INFEASIBLE}


def size_of(truth: Enumerated) -> float:
    """Size of the values, for tolerances."""
    return float(np.abs(truth.values).max(initial=1.0))


def assert_sound(program: MonotonicProgram, truth: Enumerated, result: SearchResult) -> None:
    """Bound, incumbent and proof are true, whatever the status."""
    margin = 1e-9 * size_of(truth)
    assert result.status is not SearchStatus.HEURISTIC
    assert result.bound >= truth.optimum - margin
    assert (result.incumbent is None) == (result.value == -math.inf)
    if result.incumbent is not None:
        value, feasible = truth.at(result.incumbent)
        assert feasible
        assert value == pytest.approx(result.value, abs=margin)
    if result.proof is not None:
        shown = check_boxes(program, result.proof).bound
        assert truth.optimum - margin <= shown
        assert shown <= result.bound + margin


def assert_solved(program: MonotonicProgram, truth: Enumerated, result: SearchResult) -> None:
    """The search ended with the optimum, and its proof shows it."""
    assert_sound(program, truth, result)
    assert result.limit is None
    assert result.proof is not None
    if truth.optimum == -math.inf:
        assert result.status is SearchStatus.INFEASIBLE
        assert result.bound == -math.inf
        assert check_boxes(program, result.proof).bound == -math.inf
    else:
        assert result.status is SearchStatus.OPTIMAL
        assert result.value == pytest.approx(truth.optimum, abs=2e-9 * size_of(truth))
        assert result.bound == pytest.approx(truth.optimum, abs=4e-9 * size_of(truth))


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_enumeration_finds(kind: Kind) -> None:
    """On random programs of every class the search ends with the optimum, or with infeasibility, and proves it."""
    infeasible = 0
    for seed in range(150):
        program = program_from_seed(seed, kind, max_variables=6)
        truth = enumerated(program)
        infeasible += truth.optimum == -math.inf
        assert_solved(program, truth, maximise_general(program))
    assert 10 < infeasible < 110  # both kinds are there


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_rests_on_how_often_a_box_is_reduced(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a single pass of reduction, which leaves much undone, the result is the same."""
    monkeypatch.setattr(searching, "PASSES", 1)
    for seed in range(700, 740):
        program = program_from_seed(seed, kind, max_variables=6)
        assert_solved(program, enumerated(program), maximise_general(program))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_enumeration_finds_in_larger_programs(kind: Kind) -> None:
    """The same for many more programs, up to 20 binary variables or 8 wider ones."""
    for seed in range(1000, 2500):
        program = program_from_seed(seed, kind, max_variables=8)
        assert_solved(program, enumerated(program), maximise_general(program))
    for seed in range(5000, 5010):
        program = program_from_seed(seed, kind, max_variables=20, max_levels=2)
        assert_solved(program, enumerated(program), maximise_general(program))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_every_class_is_solved_by_the_way_in(kind: Kind, data: st.DataObject) -> None:
    """``maximise`` finds the optimum whichever search it chooses, and the one checker reads every proof."""
    program = data.draw(monotonic_programs(kind, max_variables=5))
    truth = enumerated(program)
    result = maximise(program)
    assert_sound(program, truth, result)
    assert result.status is (SearchStatus.INFEASIBLE if truth.optimum == -math.inf else SearchStatus.OPTIMAL)


@pytest.mark.parametrize("kind", KINDS)
def test_early_stops_are_sound(kind: Kind) -> None:
    """At every limit of nodes the bound is at least the optimum, the incumbent is feasible, the proof checks."""
    stopped = 0
    for seed in range(300, 330):
        program = program_from_seed(seed, kind, max_variables=6)
        truth = enumerated(program)
        for nodes in (0, 1, 2, 5):
            result = maximise_general(program, limits=Limits(nodes=nodes))
            assert result.nodes <= nodes
            assert_sound(program, truth, result)
            assert (result.limit == "nodes") == (result.status not in ENDED)
            stopped += result.limit is not None
    assert stopped > 20


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"facility", "gate"}])
def test_oracle_calls_are_counted_exactly(kind: Kind) -> None:
    """The result counts the points the oracles saw, and no limit of calls is exceeded, wherever it falls."""
    for seed in range(400, 412):
        program = program_from_seed(seed, kind, max_variables=6)
        truth = enumerated(program)
        for limit in (None, 0, 1, 7, 40, 150):
            before = seen(program)
            result = maximise_general(program, limits=Limits(oracle_calls=limit))
            assert seen(program) - before == result.oracle_calls
            assert limit is None or result.oracle_calls <= limit
            assert_sound(program, truth, result)


def seen(program: MonotonicProgram) -> int:
    """Points that the oracles of a program were asked for, as they count them themselves."""
    match program.objective:
        case Submodular(oracle=oracle) | Monotone(oracle=oracle) | MixedMonotone(oracle=oracle):
            oracles = [oracle]
        case Difference(rising=rising, falling=falling):
            oracles = [rising, falling]
        case _:
            oracles = []
    oracles += [part.oracle for part in program.constraints if not isinstance(part, LinearRows)]
    return sum(oracle.points for oracle in oracles)


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.3])
def test_a_gap_that_is_asked_for_is_kept(gap: float) -> None:
    """With a gap the search may end sooner, with a bound that close to its incumbent and still true."""
    nodes = 0
    for seed in range(40):
        program = program_from_seed(seed, "difference", max_variables=6)
        truth = enumerated(program)
        result = maximise_general(program, limits=Limits(absolute_gap=gap))
        assert_sound(program, truth, result)
        assert result.status in ENDED
        if result.incumbent is not None:
            assert result.bound - result.value <= gap + 1e-8 * size_of(truth)
        nodes += result.nodes
    if gap == 0.3:
        assert nodes < sum(
            maximise_general(program_from_seed(seed, "difference", max_variables=6)).nodes for seed in range(40)
        )


def hard(kind: Kind = "mixed") -> MonotonicProgram:
    """A program that takes more than a few boxes."""
    for seed in range(2000):
        program = program_from_seed(seed, kind, max_variables=8, linear_only=True)
        if maximise_general(program).nodes > 12:
            return program
    raise AssertionError("no such program")


def test_the_same_input_gives_the_same_result() -> None:
    """Incumbent, bound, nodes, calls and proof repeat."""
    program = hard()
    first, second = maximise_general(program), maximise_general(program)
    assert first.proof == second.proof
    assert (first.nodes, first.oracle_calls, first.bound) == (second.nodes, second.oracle_calls, second.bound)
    assert np.array_equal(first.incumbent, second.incumbent)


def test_a_start_is_the_first_incumbent() -> None:
    """With no node to spend, a feasible start is returned; one that is not feasible, or outside, is of no use."""
    program = hard()
    best = maximise_general(program)
    again = maximise_general(program, start=best.incumbent, limits=Limits(nodes=0))
    assert again.status is SearchStatus.FEASIBLE
    assert again.value == best.value
    assert again.bound == math.inf
    assert again.proof is None
    nothing = dataclasses.replace(
        program,
        constraints=(
            LinearRows(coefficients=np.ones((1, program.variables)), limits=np.array([-1.0]), names=("never",)),
        ),
    )
    assert maximise_general(nothing, start=best.incumbent).status is SearchStatus.INFEASIBLE


@pytest.mark.parametrize("start", [np.zeros(3), np.zeros(999, dtype=np.int64)])
def test_a_start_of_another_shape_is_refused(start: IntArray) -> None:
    """A start must have one integer per variable."""
    with pytest.raises(InputError, match="start: expected"):
        maximise_general(hard(), start=start)


def test_stop_ends_it_with_incumbent_and_bound() -> None:
    """A stop that is set while it runs ends it; what is known stands."""
    program, stop = hard(), Stop()
    truth = enumerated(program)
    reports: list[Progress] = []

    def on_progress(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 3:
            stop.set()

    result = maximise_general(program, stop=stop, on_progress=on_progress)
    assert len(reports) == 3
    assert result.limit == "interrupt"
    assert_sound(program, truth, result)
    assert all(report.value <= truth.optimum + 1e-9 for report in reports)
    assert all(report.bound >= truth.optimum - 1e-9 for report in reports)


def test_ctrl_c_ends_it_with_incumbent_and_bound() -> None:
    """Ctrl-C during the search is no exception."""
    program = hard()

    def press(progress: Progress) -> None:
        if progress.nodes == 2:
            signal.raise_signal(signal.SIGINT)

    result = maximise_general(program, on_progress=press)
    assert result.limit == "interrupt"
    assert result.nodes == 2
    assert_sound(program, enumerated(program), result)


def test_a_time_limit_of_nothing_is_a_status() -> None:
    """No time: no incumbent, no bound, no exception."""
    result = maximise_general(hard(), limits=Limits(time_s=0.0), audit_samples=0)
    assert (result.status, result.limit, result.bound) == (SearchStatus.UNSOLVED, "time", math.inf)


def test_without_a_proof_the_result_is_the_same() -> None:
    """Not keeping the leaves changes nothing else."""
    program = hard("monotone")
    kept, forgotten = maximise_general(program), maximise_general(program, keep_proof=False)
    assert forgotten.proof is None
    assert (kept.value, kept.bound, kept.nodes) == (forgotten.value, forgotten.bound, forgotten.nodes)
