"""Traps of the engine libraries, each met before: import clashes, false claims, lost bounds, scaling."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver import exhaustive, mip
from coinfer.solver.engines import cp_sat, printed
from coinfer.solver.limits import Limits
from coinfer.solver.path.integer_program import formulate_path
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.result import Status
from coinfer.testing.path import split_like
from coinfer.testing.programs import market_split
from coinfer.testing.solver_contract import check_point

_SOLVE_ALL = """
from coinfer.solver import mip
from coinfer.testing.solver_contract import knapsack
print([mip.solve(knapsack(unit=1.0), engine=engine).value for engine in mip.ENGINES])
"""
_LIBRARIES = ("highspy", "ortools.sat.python.cp_model_helper", "pulp")


@pytest.mark.parametrize("order", list(itertools.permutations(_LIBRARIES)))
def test_libraries_live_in_one_process(order: tuple[str, ...]) -> None:
    """Whichever of highspy, ortools and PuLP comes first, all four engines solve and agree."""
    code = f"import {', '.join(order)}\n{_SOLVE_ALL}"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert answer.returncode == 0, answer.stderr
    values = answer.stdout.strip().strip("[]").split(", ")
    assert len(values) == 4
    assert len(set(values)) == 1


def test_importing_the_solver_imports_no_engine() -> None:
    """The solver module itself loads none of the libraries behind it."""
    code = "import sys, coinfer.solver.mip, coinfer.solver.exhaustive, coinfer.solver.export\n"
    code += "print([name for name in ('highspy', 'ortools', 'pulp', 'scipy') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout == "[]\n"


def test_cbc_cut_short_is_not_optimal() -> None:
    """A CBC run cut by nodes is feasible with a bound; PuLP would call it Optimal."""
    result = mip.solve(market_split(), engine="cbc", limits=Limits(nodes=20))
    assert (result.status, result.limit) == (Status.FEASIBLE, "nodes")
    assert 0.0 <= result.bound < result.value


@pytest.mark.parametrize("time_s", [0.0, 0.005, 0.01, 0.02, 0.04])
def test_cbc_cut_before_its_first_node_is_not_infeasible(time_s: float) -> None:
    """However early the time limit falls, CBC's claim of infeasibility is not believed."""
    result = mip.solve(market_split(), engine="cbc", limits=Limits(time_s=time_s))
    assert result.status in (Status.FEASIBLE, Status.UNSOLVED)
    assert result.limit == "time"
    assert result.bound == 0.0


@pytest.mark.parametrize("nodes", [0, 1, 50])
def test_highs_keeps_its_bound_at_a_node_limit(nodes: int) -> None:
    """HiGHS stopped at a node limit has a finite, sound bound."""
    result = mip.solve(market_split(), engine="highs", limits=Limits(nodes=nodes))
    assert result.limit == "nodes"
    assert 0.0 <= result.bound <= result.value


def test_highs_presolve_does_not_lose_the_optimum() -> None:
    """The two-variable programs that HiGHS 1.14.0 presolves to a wrong "optimum" are solved right."""
    builder = ProgramBuilder()
    n = builder.variables("n", 1, cost=3.0, upper=10.0, integer=True)
    x = builder.variables("x", 1, cost=2.0, upper=10.0)
    builder.rows("demand", row=[0, 0], column=[n[0], x[0]], coefficient=1.0, lower=4.5)
    assert mip.solve(builder.build(), engine="highs").value == pytest.approx(9.0)


def test_cbc_preprocessing_does_not_lose_the_optimum() -> None:
    """The ranged row that CBC 2.10.3 strengthens past the optimum is kept as it is."""
    builder = ProgramBuilder()
    n = builder.variables("n", 3, cost=[-1.0, 2.0, 0.0], upper=[1.0, 1.0, 0.0], integer=True)
    builder.rows("range", row=[0, 0, 0], column=n, coefficient=[-2.0, 2.0, -1.0], lower=-1.0, upper=1.0)
    assert mip.solve(builder.build(), engine="cbc").value == 0.0


@pytest.mark.parametrize("engine", mip.ENGINES)
def test_small_gains_are_not_pruned(engine: str) -> None:
    """Of points that differ by 1e-8 in value, the better one is found: no engine's cutoff swallows the gain."""
    builder = ProgramBuilder()
    cost = np.array([-1.0, -1.0 - 1e-8, -1.0 + 1e-8, -1.0 - 2e-8])
    n = builder.variables("n", 4, cost=cost, upper=1.0, integer=True)
    builder.rows("one", row=np.zeros(4, dtype=int), column=n, coefficient=1.0, upper=1.0)
    result = mip.solve(builder.build(), engine=engine, start=np.array([1.0, 0.0, 0.0, 0.0]))
    assert result.value == pytest.approx(-1.0 - 2e-8, abs=1e-9)


def awkward(seed: int) -> MixedIntegerProgram:
    """Return a program with 1/3, 1e-7 and 1e6 side by side, in costs and in rows."""
    generator = np.random.default_rng(seed)
    builder = ProgramBuilder()
    cost = np.array([1.0 / 3.0, 1e-7, 1e6, -2.0 / 7.0, -1e-7, -1e6, 0.1]) * generator.choice([1.0, np.pi], 7)
    n = builder.variables("n", 7, cost=cost, lower=-1.0, upper=2.0, integer=True)
    row = np.repeat([0, 1], 7)
    coefficient = np.concatenate([generator.permutation(cost), generator.random(7)])
    limit = [float(np.abs(cost).sum()) / 3.0, 1.5]
    builder.rows("awkward", row=row, column=np.tile(n, 2), coefficient=coefficient, upper=limit)
    return builder.build()


@pytest.mark.parametrize("seed", range(6))
def test_cp_sat_reports_its_scaling_error(seed: int) -> None:
    """With coefficients no integer scale fits, the error is positive, and the bound is sound and that close."""
    program = awkward(seed)
    truth, result = exhaustive.solve(program), mip.solve(program, engine="cp-sat")
    assert 0.0 < result.scaling_error < 1e-5
    assert result.bound <= truth.value
    check_point(program, result)
    assert truth.value <= result.value <= result.bound + 2.0 * result.scaling_error + 1e-9 * abs(result.value)


def test_cp_sat_scales_decimals_exactly() -> None:
    """Prices in cents and thirds of one size need no rounding: the scaling error is a last bit."""
    for number in (np.array([0.01, 0.07, 12.34]), np.array([1.0, 2.0, 5.0]) / 3.0, np.array([3.0, -4.0, 0.0])):
        scaled = cp_sat.scale(number, np.full(3, 10.0))
        assert scaled.error < 1e-9
        assert scaled.factor <= 100.0
        assert scaled.number / scaled.factor == pytest.approx(number, rel=1e-15)


@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(-50, 50)), min_size=1, max_size=8),
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_scaling_error_covers_every_point(terms: list[tuple[float, int]]) -> None:
    """The sum over scaled integers is within the stated error of the true sum, in exact arithmetic."""
    number = np.array([coefficient for coefficient, _ in terms])
    point = [value for _, value in terms]
    scaled = cp_sat.scale(number, np.abs(np.array(point, dtype=np.float64)))
    exact = sum(Fraction(c) * v for c, v in zip(number.tolist(), point, strict=True)) * Fraction(scaled.factor)
    integers = sum(int(c) * v for c, v in zip(scaled.number.tolist(), point, strict=True))
    assert abs(integers - exact) <= Fraction(scaled.error) * (1 + Fraction(1, 10**9))


def facility(*, capacity: float | None = None) -> MixedIntegerProgram:
    """Return a facility location program whose assignment variables are continuous."""
    generator = np.random.default_rng(3)
    sites, customers = 4, 6
    builder = ProgramBuilder()
    site = builder.variables("open", sites, cost=[7.0, 5.0, 6.0, 4.0], upper=1.0, integer=True)
    served = builder.variables("served", sites * customers, cost=generator.integers(1, 9, 24) / 2.0, upper=1.0)
    grid = served.reshape(sites, customers)
    customer = np.tile(np.arange(customers), sites)
    builder.rows("all", row=customer, column=served, coefficient=1.0, lower=1.0, upper=1.0)
    links = np.arange(24)
    builder.rows(
        "link",
        row=np.concatenate([links, links]),
        column=np.concatenate([served, np.repeat(site, customers)]),
        coefficient=np.repeat([1.0, -1.0], 24),
        upper=0.0,
    )
    if capacity is not None:
        demand = np.tile([2.0, 3.0, 1.0, 2.0, 3.0, 1.0], sites)
        row = np.repeat(np.arange(sites), customers)
        builder.rows("capacity", row=row, column=grid.ravel(), coefficient=demand, upper=capacity)
    return builder.build()


def test_cp_sat_takes_continuous_variables_that_are_whole_anyway() -> None:
    """Facility location, whose assignment is continuous by name only, is solved as by HiGHS."""
    program = facility()
    ours, other = mip.solve(program, engine="cp-sat"), mip.solve(program, engine="highs")
    assert ours.status is other.status is Status.OPTIMAL
    assert ours.value == pytest.approx(other.value)


def test_cp_sat_refuses_continuous_variables_it_would_round() -> None:
    """With capacities, half a customer can be optimal: refused, naming engine and block."""
    with pytest.raises(InputError, match=r"block 'served'.*engine 'cp-sat'"):
        mip.solve(facility(capacity=5.5), engine="cp-sat")


def test_cp_sat_refuses_an_odd_cycle() -> None:
    """Three continuous variables in pairwise rows have half-integral optima: refused although each entry is 1."""
    builder = ProgramBuilder()
    builder.variables("n", 1, upper=1.0, integer=True)
    x = builder.variables("x", 3, cost=1.0, upper=1.0)
    column = x[[0, 1, 1, 2, 2, 0]]
    builder.rows("edge", row=[0, 0, 1, 1, 2, 2], column=column, coefficient=1.0, lower=1.0)
    with pytest.raises(InputError, match="block 'x'"):
        mip.solve(builder.build(), engine="cp-sat")
    assert mip.solve(builder.build(), engine="highs").value == pytest.approx(1.5)


def test_printed_bounds_are_read_at_their_lower_end() -> None:
    """What an engine prints with six digits proves only the smallest number that prints so."""
    assert printed.lower_end("123.457", significant=6) == pytest.approx(123.4565, abs=1e-12)
    assert printed.lower_end("-0.5", significant=6) < -0.5
    assert printed.lower_end("1e+50", significant=6) < 1e50
    assert printed.lower_end("0", significant=6) == 0.0
    assert printed.lower_end("2.000", decimals=3) == 1.9995
    assert printed.lower_end("inf") == -math.inf


@pytest.mark.slow
def test_cp_sat_is_not_believed_when_its_presolve_calls_a_program_infeasible() -> None:
    """A path program with a feasible point, which OR-Tools 9.15 calls infeasible while presolving, gets its optimum."""
    program = formulate_path(split_like(0, steps=80, carriers=3)).built
    found = mip.solve(program, engine="cp-sat", limits=Limits(time_s=50.0))
    assert found.status in (Status.OPTIMAL, Status.FEASIBLE)
    assert found.value == pytest.approx(mip.solve(program, engine="highs").value, rel=1e-3)
