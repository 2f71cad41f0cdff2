"""Every engine keeps the contract, and mip.solve means the same by every answer."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

from coinfer.errors import BackendMissing, InputError
from coinfer.solver import mip
from coinfer.solver.engines import settle
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.result import Result, Status
from coinfer.testing.programs import market_split
from coinfer.testing.solver_contract import MixedIntegerSolverContract

every_engine = pytest.mark.parametrize("engine", mip.ENGINES)
continuous_engine = pytest.mark.parametrize("engine", [name for name in mip.ENGINES if name != "cp-sat"])


class TestHighs(MixedIntegerSolverContract):
    def solve(self, program: MixedIntegerProgram, **options: Any) -> Result:
        """Solve with this engine."""
        return mip.solve(program, engine="highs", **options)


class TestCpSat(MixedIntegerSolverContract):
    counts_nodes = False
    continuous = 0

    def solve(self, program: MixedIntegerProgram, **options: Any) -> Result:
        """Solve with this engine."""
        return mip.solve(program, engine="cp-sat", **options)


class TestScip(MixedIntegerSolverContract):
    def solve(self, program: MixedIntegerProgram, **options: Any) -> Result:
        """Solve with this engine."""
        return mip.solve(program, engine="scip", **options)


class TestCbc(MixedIntegerSolverContract):
    def solve(self, program: MixedIntegerProgram, **options: Any) -> Result:
        """Solve with this engine."""
        return mip.solve(program, engine="cbc", **options)


def test_unknown_engine_is_a_sentence() -> None:
    """An engine that does not exist is refused with the names of those that do."""
    with pytest.raises(InputError, match=r"engine: expected one of highs, cp-sat, scip, cbc; found 'gurobi'"):
        mip.solve(market_split(), engine="gurobi")


@pytest.mark.parametrize(
    ("engine", "module", "package"),
    [
        ("highs", "highspy", "highspy"),
        ("cp-sat", "ortools.sat.python", "ortools"),
        ("scip", "ortools.math_opt.core.python", "ortools"),
        ("cbc", "pulp.apis", "pulp"),
    ],
)
def test_missing_package_is_a_sentence(engine: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its package an engine is refused with the command that installs it."""
    program = market_split(integer_slack=True)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendMissing, match=f"pip install {package}"):
        mip.solve(program, engine=engine)


def test_wrong_start_is_a_sentence() -> None:
    """A start of another length is refused, not broadcast."""
    with pytest.raises(InputError, match="start: expected 38 numbers"):
        mip.solve(market_split(), start=np.zeros(3))


@pytest.mark.parametrize(("engine", "limits"), [("cp-sat", Limits(nodes=5)), ("scip", Limits(threads=2))])
def test_limits_an_engine_does_not_have(engine: str, limits: Limits) -> None:
    """A limit the engine cannot keep is refused, not ignored."""
    with pytest.raises(InputError, match=f"limits.*{engine}"):
        mip.solve(market_split(integer_slack=True), engine=engine, limits=limits)


@continuous_engine
def test_linear_programs(engine: str) -> None:
    """Pure linear programs, with free variables, are solved, and found infeasible or unbounded."""
    builder = ProgramBuilder()
    x = builder.variables("x", 2, cost=[1.0, 2.0], lower=-np.inf)
    builder.rows("sum", row=[0, 0], column=x, coefficient=1.0, lower=1.0)
    builder.rows("difference", row=[0, 0], column=x, coefficient=[1.0, -1.0], upper=3.0)
    solved = mip.solve(builder.build(), engine=engine)
    assert (solved.status, solved.value) == (Status.OPTIMAL, pytest.approx(0.0, abs=1e-7))
    assert solved.bound == pytest.approx(0.0, abs=1e-6)
    unbounded = ProgramBuilder()
    unbounded.variables("x", 1, cost=-1.0)
    found = mip.solve(unbounded.build(), engine=engine)
    assert (found.status, found.incumbent, found.bound) == (Status.UNBOUNDED, None, -math.inf)
    builder.rows("never", row=[0, 0], column=x, coefficient=1.0, upper=0.0)
    assert mip.solve(builder.build(), engine=engine).status is Status.INFEASIBLE


@continuous_engine
def test_unbounded_and_infeasible_are_told_apart(engine: str) -> None:
    """With a free direction in the costs, an infeasible integer part is infeasible, a feasible one unbounded."""
    for side, status in ((3.0, Status.INFEASIBLE), (4.0, Status.UNBOUNDED)):
        builder = ProgramBuilder()
        n = builder.variables("n", 2, upper=9.0, integer=True)
        builder.variables("x", 1, cost=-1.0)
        builder.rows("even", row=[0, 0], column=n, coefficient=2.0, lower=side, upper=side)
        assert mip.solve(builder.build(), engine=engine).status is status


@every_engine
def test_gap_is_kept(engine: str) -> None:
    """A run that may stop at a gap stops as optimal within that gap, measured as the result measures it."""
    program = market_split(rows=2, columns=20, integer_slack=True)
    result = mip.solve(program, engine=engine, limits=Limits(absolute_gap=40.0, time_s=120.0))
    assert result.status is Status.OPTIMAL
    assert result.gap <= 40.0


@every_engine
def test_integer_bounds_are_rounded_inwards(engine: str) -> None:
    """Fractional bounds of an integer variable mean the whole numbers between them."""
    builder = ProgramBuilder()
    builder.variables("n", 2, cost=[1.0, -1.0], lower=-1.5, upper=2.5, integer=True)
    result = mip.solve(builder.build(), engine=engine)
    assert result.incumbent is not None
    assert result.incumbent.tolist() == [-1.0, 2.0]


@pytest.mark.parametrize("engine", ["highs", "cp-sat", "cbc"])
def test_threads(engine: str) -> None:
    """Solves with one and with two threads follow each other in one process and agree."""
    program = market_split(rows=2, columns=16, integer_slack=True)
    values = [mip.solve(program, engine=engine, limits=Limits(threads=threads)).value for threads in (1, 2, 1)]
    assert len(set(values)) == 1


def big_m() -> MixedIntegerProgram:
    """Return min -x + n with x <= 1e6 n, where an almost whole n = 1e-7 would pay for x = 0.1."""
    builder = ProgramBuilder()
    n = builder.variables("n", 1, cost=1.0, upper=1.0, integer=True)
    x = builder.variables("x", 1, cost=-1.0, upper=1e6)
    builder.rows("link", row=[0, 0], column=[x[0], n[0]], coefficient=[1.0, -1e6], upper=0.0)
    return builder.build()


def test_rounding_that_breaks_a_row_is_repaired() -> None:
    """An engine's point that leans on a fractional integer gets its continuous part anew, or is dropped."""
    program = big_m()
    leaning = np.array([1e-7, 0.1])
    assert settle.settle(program, leaning, repair=False) is None
    repaired = settle.settle(program, leaning, repair=True)
    assert repaired is not None
    assert repaired.tolist() == [0.0, 0.0]
    assert settle.settle(program, np.array([np.nan, 0.0]), repair=True) is None


@continuous_engine
def test_big_m_is_no_loophole(engine: str) -> None:
    """No engine's integrality tolerance leaks into the answer: the incumbent pays for what it uses."""
    result = mip.solve(big_m(), engine=engine)
    assert result.value == pytest.approx(1.0 - 1e6)
    assert result.incumbent is not None
    assert result.incumbent[0] == 1.0
