"""Proofs of bounds: complete when finished, sound however early they end."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver import exhaustive
from coinfer.solver.certificate.point import check_point
from coinfer.solver.certificate.tree import BoundProof, Branch, check_bound
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.progress import Progress, Stop
from coinfer.solver.prove import prove
from coinfer.testing.programs import mixed_integer_programs

PROGRAMS = mixed_integer_programs(max_variables=5)


def loosened(program: MixedIntegerProgram) -> MixedIntegerProgram:
    """Rows moved outwards by more than the tolerance of enumeration."""
    return dataclasses.replace(program, row_lower=program.row_lower - 1e-5, row_upper=program.row_upper + 1e-5)


def facility_location(*, experts: int, prompts: int, seed: int) -> MixedIntegerProgram:
    """A p-median with a knapsack row: a program whose relaxation leaves a gap."""
    rng = np.random.default_rng(seed)
    quality, weight = rng.random((prompts, experts)), rng.uniform(1.0, 8.0, experts)
    builder = ProgramBuilder()
    select = builder.variables("select", experts, upper=1.0, integer=True)
    route = builder.variables("route", prompts * experts, cost=-quality.ravel() / prompts, upper=1.0)
    builder.rows(
        "assign", row=np.repeat(np.arange(prompts), experts), column=route, coefficient=1.0, lower=1.0, upper=1.0
    )
    pairs = np.stack([route, np.tile(select, prompts)], axis=1).ravel()
    builder.rows(
        "link",
        row=np.repeat(np.arange(prompts * experts), 2),
        column=pairs,
        coefficient=np.tile([1.0, -1.0], prompts * experts),
        upper=0.0,
    )
    builder.rows("budget", row=np.zeros(experts), column=select, coefficient=weight, upper=0.2 * weight.sum())
    return builder.build()


@given(program=PROGRAMS)
@settings(max_examples=150)
def test_a_finished_proof_shows_the_optimum(program: MixedIntegerProgram) -> None:
    """Run to its end, the proof shows what enumeration finds, and infeasibility where there is no point.

    Enumeration accepts points that miss a row by a hair and the proof does not, so the truth is taken with rows a
    little looser from below, and the proof of the looser program from above.
    """
    loose = loosened(program)
    result = prove(program)
    assert result.finished
    assert float(check_bound(program, result.proof)) >= exhaustive.solve(loose).value - 1e-6
    assert float(check_bound(loose, prove(loose).proof)) <= exhaustive.solve(program).value + 1e-9


@given(program=PROGRAMS, nodes=st.integers(0, 6))
@settings(max_examples=150)
def test_a_bound_is_sound_however_early_the_proof_ends(program: MixedIntegerProgram, nodes: int) -> None:
    """At every node limit the proof is complete, checks, and never exceeds the optimum."""
    truth = exhaustive.solve(program).value
    loose = loosened(program)
    result = prove(loose, limits=Limits(nodes=nodes))
    shown = check_bound(loose, result.proof)
    assert result.bound <= shown
    assert float(shown) <= truth + 1e-9
    assert result.nodes <= nodes


@given(program=PROGRAMS)
@settings(max_examples=60)
def test_a_given_incumbent_never_worsens(program: MixedIntegerProgram) -> None:
    """The proof returns a point at least as good as the one it was given, and it is feasible."""
    found = exhaustive.solve(program).incumbent
    result = prove(program, incumbent=found)
    if found is not None:
        assert result.incumbent is not None
        assert program.value(result.incumbent) <= program.value(found) + 1e-9
        assert program.violation(result.incumbent) <= 1e-6


def test_the_bound_rises_and_the_incumbent_falls() -> None:
    """Progress reports are monotone, so a reader may trust the last one."""
    seen: list[Progress] = []
    program = facility_location(experts=12, prompts=40, seed=3)
    result = prove(program, on_progress=seen.append)
    bounds = [report.bound for report in seen]
    assert bounds == sorted(bounds)
    assert len(result.proof.leaves) > 1
    shown = float(check_bound(program, result.proof))
    assert result.incumbent is not None
    assert shown == pytest.approx(program.value(result.incumbent), abs=1e-8)


def test_a_stop_flag_ends_the_proof_with_a_true_bound() -> None:
    """Stopped by its caller, the proof says that it is not finished and keeps what it shows."""
    program = facility_location(experts=12, prompts=40, seed=4)
    stop = Stop()
    result = prove(program, stop=stop, on_progress=lambda _: stop.set())
    assert not result.finished
    best = prove(program)
    assert best.incumbent is not None
    assert float(check_bound(program, result.proof)) <= program.value(best.incumbent) + 1e-9


def test_branches_stand_before_their_children() -> None:
    """Every child stands behind its parent, which is what lets the checker exclude cycles."""
    proof: BoundProof = prove(facility_location(experts=10, prompts=30, seed=5)).proof
    for index, node in enumerate(proof.nodes):
        if isinstance(node, Branch):
            assert index < node.below < len(proof.nodes)
            assert index < node.above < len(proof.nodes)


def makespan(*, jobs: int, machines: int, lower: float, seed: int = 0) -> MixedIntegerProgram:
    """Jobs on machines, the longest load as a variable without an upper bound (and, with -inf, without a lower)."""
    builder = ProgramBuilder()
    runs = builder.variables("runs", jobs * machines, upper=1.0, integer=True)
    longest = builder.variables("longest", 1, cost=1.0, lower=lower)
    place = np.arange(jobs * machines)
    builder.rows("once", row=place // machines, column=runs, coefficient=1.0, lower=1.0, upper=1.0)
    length = np.random.default_rng(seed).random(jobs)
    builder.rows(
        "load",
        row=np.concatenate([place % machines, np.arange(machines)]),
        column=np.concatenate([runs, np.repeat(longest, machines)]),
        coefficient=np.concatenate([np.repeat(length, machines), -np.ones(machines)]),
        upper=0.0,
    )
    return builder.build()


@pytest.mark.parametrize("lower", [0.0, -math.inf])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_variables_without_bounds_are_proven_too(lower: float, seed: int) -> None:
    """Where a reduced cost must be 0 to the last bit, the multipliers are fitted until the exact bound is finite."""
    program = makespan(jobs=5, machines=2, lower=lower, seed=seed)
    result = prove(program)
    assert result.finished
    assert result.incumbent is not None
    shown = check_bound(program, result.proof)
    bounded = dataclasses.replace(program, lower=np.maximum(program.lower, -10.0), upper=np.minimum(program.upper, 10))
    assert float(shown) == pytest.approx(exhaustive.solve(bounded).value, abs=1e-7)
    assert shown <= check_point(program, result.incumbent).value + Fraction(1, 10**9)


@given(program=PROGRAMS, above=st.booleans(), below=st.booleans(), nodes=st.sampled_from([1, 3, None]))
@settings(max_examples=120)
def test_a_bound_over_unlimited_variables_is_sound(
    program: MixedIntegerProgram, above: bool, below: bool, nodes: int | None
) -> None:
    """Take the bounds of continuous variables away: what is shown stays below the optimum, -inf included."""
    open_ended = dataclasses.replace(
        program,
        lower=np.where(~program.integer & below, -np.inf, program.lower),
        upper=np.where(~program.integer & above, np.inf, program.upper),
    )
    result = prove(loosened(open_ended), limits=Limits(nodes=nodes))
    shown = check_bound(loosened(open_ended), result.proof)
    assert result.bound <= shown
    assert float(shown) <= exhaustive.solve(open_ended).value + 1e-9


@given(program=PROGRAMS)
@settings(max_examples=80)
def test_the_bound_is_what_the_checker_derives(program: MixedIntegerProgram) -> None:
    """The figure in floats is the exact one rounded down, not what the search believed."""
    result = prove(program)
    shown = check_bound(program, result.proof)
    assert result.bound <= shown
    assert result.bound == pytest.approx(float(shown), rel=1e-15, abs=0.0)


@given(program=PROGRAMS)
@settings(max_examples=80)
def test_an_incumbent_of_its_own_passes_the_exact_check(program: MixedIntegerProgram) -> None:
    """What the search offers as a point keeps rows and bounds in exact arithmetic, and closes the gap."""
    result = prove(program)
    if result.incumbent is None:
        assert result.bound == math.inf
        return
    value = check_point(program, result.incumbent).value
    assert float(value) - result.bound <= 1e-9 * max(1.0, abs(value))


@given(program=PROGRAMS)
@settings(max_examples=40)
def test_the_same_program_gives_the_same_proof(program: MixedIntegerProgram) -> None:
    """Without a time limit nothing depends on the clock, so a proof can be made again."""
    assert prove(program).proof == prove(program).proof


@pytest.mark.parametrize("integer", [True, False])
def test_bounds_that_leave_no_value_are_proven_infeasible(integer: bool) -> None:
    """Crossed bounds, or no whole number between them, need no relaxation to be seen."""
    builder = ProgramBuilder()
    builder.variables("x", 1, cost=1.0, lower=0.7 - 0.4 * integer, upper=0.3 + 0.4 * integer, integer=integer)
    result = prove(builder.build())
    assert result.finished
    assert result.bound == math.inf == check_bound(builder.build(), result.proof)


def test_an_objective_without_end_is_not_called_proven() -> None:
    """An unbounded program ends at once, without a bound and without a claim."""
    builder = ProgramBuilder()
    builder.variables("n", 30, upper=1.0, integer=True)
    builder.variables("x", 1, cost=-1.0)
    result = prove(builder.build())
    assert not result.finished
    assert result.bound == -math.inf
    assert result.nodes == 1


@pytest.mark.parametrize("limits", [Limits(relative_gap=0.05), Limits(absolute_gap=0.05)])
def test_a_gap_that_is_allowed_saves_work(limits: Limits) -> None:
    """Asked for less than the optimum, the tree is smaller, and its bound is true and within the gap."""
    program = facility_location(experts=12, prompts=40, seed=3)
    whole, part = prove(program), prove(program, limits=limits)
    assert part.finished
    assert part.nodes < whole.nodes
    assert part.incumbent is not None
    assert whole.incumbent is not None
    assert part.bound <= program.value(whole.incumbent)
    assert program.value(part.incumbent) - part.bound <= 0.05 * max(1.0, abs(program.value(part.incumbent)))


def test_a_point_that_is_not_feasible_is_no_incumbent() -> None:
    """A point with an impossible value must not close leaves; one of another shape is an error of the caller."""
    program = facility_location(experts=8, prompts=10, seed=1)
    result = prove(program, incumbent=np.ones(program.variables))
    assert result.incumbent is not None
    assert check_point(program, result.incumbent).violation <= Fraction(1, 10**9)
    assert result.bound == pytest.approx(prove(program).bound, abs=1e-9)
    with pytest.raises(InputError, match=r"incumbent: expected 88 numbers; found \(3,\)"):
        prove(program, incumbent=np.zeros(3))


@pytest.mark.parametrize("nodes", [0, 1, 2, 5, 17])
def test_a_node_limit_leaves_a_smaller_true_proof(nodes: int) -> None:
    """Twelve experts, sixty prompts: at each limit the bound is true, and more nodes never show less."""
    program = facility_location(experts=12, prompts=60, seed=1)
    best, less, more = (prove(program, limits=Limits(nodes=n)) for n in (None, nodes, nodes + 10))
    assert best.incumbent is not None
    assert best.finished
    assert not less.finished
    assert less.bound <= more.bound + 1e-9
    assert more.bound <= program.value(best.incumbent) + 1e-12
    assert check_bound(program, less.proof) >= Fraction(less.bound)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twenty_experts_and_two_hundred_prompts_are_proven(seed: int) -> None:
    """The largest selection the proof is meant for closes its gap, and the exact checker agrees."""
    program = facility_location(experts=20, prompts=200, seed=seed)
    result = prove(program)
    assert result.finished
    assert result.incumbent is not None
    gap = check_point(program, result.incumbent).value - check_bound(program, result.proof)
    assert abs(gap) <= Fraction(1, 10**9)


def test_given_multipliers_are_shown_even_without_a_relaxation() -> None:
    """With no node to spend, the proof shows what the given multipliers show: that each prompt costs its least."""
    program = facility_location(experts=8, prompts=20, seed=6)
    multipliers = np.zeros(program.rows)
    multipliers[program.row_blocks["assign"]] = program.cost[program.variable_blocks["route"]].reshape(20, 8).min(1)
    result = prove(program, limits=Limits(nodes=0), multipliers=multipliers)
    shown = float(check_bound(program, result.proof))
    assert shown == pytest.approx(multipliers.sum())
    assert shown <= prove(program).bound
