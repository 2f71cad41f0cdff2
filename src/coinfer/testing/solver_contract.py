"""What every engine for mixed-integer programs must keep, as a class of tests.

Subclass it, give :meth:`MixedIntegerSolverContract.solve`, and pytest runs the rest::

    class TestMine(MixedIntegerSolverContract):
        counts_nodes = False

        def solve(self, program, **options):
            return my_engine(program, **options)
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinfer.solver import exhaustive
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.progress import Progress, Stop
from coinfer.solver.result import Result, Status
from coinfer.testing.programs import market_split, mixed_integer_programs

_FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
_FEWER = settings(_FEW, max_examples=10)


class MixedIntegerSolverContract:
    """Tests that any engine passes.

    Attributes
    ----------
    counts_nodes
        Whether the engine takes ``Limits.nodes``.
    continuous
        Most continuous variables in the programs it is given.
    """

    counts_nodes = True
    continuous = 2

    def solve(self, program: MixedIntegerProgram, **options: Any) -> Result:
        """Solve with the options of :func:`coinfer.solver.mip.solve`, but for ``engine``."""
        raise NotImplementedError

    def programs(self) -> st.SearchStrategy[MixedIntegerProgram]:
        """Return the programs to try."""
        return mixed_integer_programs(max_variables=6, max_continuous=self.continuous)

    @given(data=st.data())
    @_FEW
    def test_agrees_with_enumeration(self, data: st.DataObject) -> None:
        """Status and value are those of exhaustive enumeration, and the incumbent is a point of the program."""
        program = data.draw(self.programs())
        truth, result = exhaustive.solve(program), self.solve(program)
        assert result.status is truth.status
        if truth.incumbent is None:
            assert result.incumbent is None
            return
        check_point(program, result)
        scale = max(1.0, abs(truth.value))
        assert abs(result.value - truth.value) <= 1e-5 * scale
        assert result.bound <= truth.value + 1e-5 * scale
        assert result.value - result.bound <= 1e-6 * scale + 2.0 * result.scaling_error

    @given(data=st.data(), nodes=st.integers(0, 3))
    @_FEWER
    def test_early_stop_keeps_the_sandwich(self, data: st.DataObject, nodes: int) -> None:
        """However early the search stops, bound <= optimum <= value."""
        program = data.draw(self.programs())
        truth = exhaustive.solve(program)
        stop = Stop()
        stop.set()
        cuts: list[dict[str, Any]] = [{"stop": stop}, {"limits": Limits(time_s=0.0)}]
        cuts += [{"limits": Limits(nodes=nodes)}] if self.counts_nodes else []
        for options in cuts:
            result = self.solve(program, **options)
            assert result.bound <= truth.value + 1e-6 * max(1.0, abs(truth.value))
            assert truth.value <= result.value + 1e-5 * max(1.0, abs(truth.value))
            if result.status is Status.INFEASIBLE:
                assert truth.status is Status.INFEASIBLE
            if result.incumbent is not None:
                check_point(program, result)

    @given(data=st.data())
    @_FEWER
    def test_start_never_worsens(self, data: st.DataObject) -> None:
        """A start that is optimal, poor, infeasible or not whole: the answer is the optimum all the same."""
        program = data.draw(self.programs())
        truth = exhaustive.solve(program)
        starts = [
            program.lower,
            program.upper,
            program.lower + 0.4,
            program.lower - 7.0,
            np.full_like(program.cost, np.nan),
        ]
        starts += [truth.incumbent] if truth.incumbent is not None else []
        result = self.solve(program, start=starts[data.draw(st.integers(0, len(starts) - 1))])
        assert result.status is truth.status
        if truth.incumbent is not None:
            assert abs(result.value - truth.value) <= 1e-5 * max(1.0, abs(truth.value))

    def test_start_survives_an_immediate_stop(self) -> None:
        """Stopped before it began, a solve returns the feasible start it was given, and a bound that holds."""
        program = market_split(integer_slack=self.continuous == 0)
        start = np.zeros(program.variables)
        under = program.variable_blocks["under"]
        start[under] = program.row_lower
        stop = Stop()
        stop.set()
        result = self.solve(program, start=start, stop=stop)
        assert result.status is Status.FEASIBLE
        assert result.value <= program.value(start)
        assert 0.0 <= result.bound <= result.value

    def test_progress_is_monotone_and_stops(self) -> None:
        """Reported values never rise and bounds never fall; a flag set in a report ends the solve."""
        program = market_split(integer_slack=self.continuous == 0)
        stop, reports = Stop(), list[Progress]()

        def listen(progress: Progress) -> None:
            reports.append(progress)
            if progress.value < math.inf:
                stop.set()

        result = self.solve(program, on_progress=listen, stop=stop, limits=Limits(time_s=120.0))
        assert result.limit == "interrupt"
        assert result.status is Status.FEASIBLE
        check_point(program, result)
        assert reports[-1].bound <= result.bound <= result.value
        for before, after in itertools.pairwise(reports):
            assert after.value <= before.value
            assert after.bound >= before.bound
            assert after.seconds >= before.seconds

    def test_an_error_in_the_report_reaches_the_caller(self) -> None:
        """An exception of the caller's own ends the solve and is raised where solve was called."""

        def broken(progress: Progress) -> None:
            raise ZeroDivisionError(str(progress.seconds))

        try:
            self.solve(market_split(integer_slack=self.continuous == 0), on_progress=broken, limits=Limits(time_s=60.0))
        except ZeroDivisionError:
            return
        raise AssertionError("the error was swallowed")

    def test_tiny_units(self) -> None:
        """Costs and rows of 1e-9 are solved as exactly as those of 1: no tolerance swallows them."""
        program = knapsack(unit=1e-9)
        result, truth = self.solve(program), exhaustive.solve(program)
        assert result.status is Status.OPTIMAL
        assert abs(result.value - truth.value) <= 1e-6 * abs(truth.value)

    def test_huge_units(self) -> None:
        """Rows in bytes are kept as exactly as rows in gigabytes."""
        program = knapsack(unit=1e11)
        result, truth = self.solve(program), exhaustive.solve(program)
        assert result.status is Status.OPTIMAL
        assert abs(result.value - truth.value) <= 1e-6 * abs(truth.value)

    def test_programs_without_substance(self) -> None:
        """No variable, no row, an empty row and crossed bounds each have their right answer."""
        empty = ProgramBuilder()
        empty.offset = 2.5
        assert self.solve(empty.build()).value == 2.5
        free = ProgramBuilder()
        free.variables("n", 2, cost=[1.0, -1.0], lower=-2.0, upper=3.0, integer=True)
        assert self.solve(free.build()).value == -5.0
        none = np.zeros(0)
        free.rows("never", row=none, column=none.astype(int), coefficient=none, count=1, lower=1.0)
        assert self.solve(free.build()).status is Status.INFEASIBLE
        crossed = ProgramBuilder()
        crossed.variables("n", 1, lower=2.2, upper=2.8, integer=True)
        assert self.solve(crossed.build()).status is Status.INFEASIBLE


def check_point(program: MixedIntegerProgram, result: Result) -> None:
    """Assert that the incumbent is a point of ``program``, its value its own and its integers exact."""
    point = result.incumbent
    assert point is not None
    assert program.violation(point) <= 2e-6
    assert (point[program.integer] == np.round(point[program.integer])).all()
    assert result.value == program.value(point)


def knapsack(*, unit: float, items: int = 12) -> MixedIntegerProgram:
    """Return a 0/1 knapsack whose costs, weights and budget are multiples of ``unit``."""
    generator = np.random.default_rng(7)
    builder = ProgramBuilder()
    weight = generator.integers(20, 60, items) * unit
    choice = builder.variables("take", items, cost=-generator.integers(20, 60, items) * unit, upper=1.0, integer=True)
    row = np.zeros(items, dtype=np.int64)
    builder.rows("budget", row=row, column=choice, coefficient=weight, upper=float(weight.sum()) * 0.45)
    return builder.build()
