"""Proofs of bounds: complete when finished, sound however early they end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.solver import exhaustive
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
