"""Written files are read back by other solvers as the same program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import highspy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from coinfer.errors import InputError
from coinfer.solver import exhaustive, export
from coinfer.solver.engines.cbc import binary
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.result import Status
from coinfer.testing.programs import mixed_integer_programs

WRITERS = {"mps": export.write_mps, "lp": export.write_lp}
every_format = pytest.mark.parametrize("suffix", list(WRITERS))
_FEW = settings(
    max_examples=20, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def awkward() -> MixedIntegerProgram:
    """Return a program with every kind of bound, row, number and name."""
    builder = ProgramBuilder()
    builder.offset = 7.25
    n = builder.variables("a b", 3, cost=[-1 / 3, 0.0, 2.0], lower=[-123456789, 0, -5], upper=[99, 1, -2], integer=True)
    energy = [-np.inf, -np.inf, 0.1]
    x = builder.variables("energy", 3, cost=[1 / 7, 1.0, -1.0], lower=energy, upper=[np.inf, 5.5, np.inf])
    builder.variables("a_b", 1, upper=3.0)
    builder.variables("e3", 1, lower=4.0, upper=4.0)
    column = [n[0], x[0], x[2], n[1]]
    low, high = [-123456789.0, -np.inf], [1.1, 7.3]
    builder.rows("range", row=[0, 0, 1, 1], column=column, coefficient=[1.5, 1, 1, 1], lower=low, upper=high)
    side = 0.7
    builder.rows(
        "equal", row=[0, 0, 0], column=[n[0], x[1], x[0]], coefficient=[1 / 3, -1, 0.1], lower=side, upper=side
    )
    builder.rows("free", row=0, column=n[0], coefficient=1.0)
    none = np.zeros(0)
    builder.rows("empty", row=none, column=none.astype(int), coefficient=none, count=1, upper=2.0)
    return builder.build()


def read_by_highs(path: Path) -> tuple[highspy.HighsModelStatus, float, highspy.Highs]:
    """Solve a file with HiGHS, without the presolve that loses optima."""
    highs = highspy.Highs()
    highs.silent()
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    highs.setOptionValue("presolve", "off")
    highs.run()
    return highs.getModelStatus(), highs.getInfo().objective_function_value, highs


def read_by_cbc(path: Path) -> str:
    """Solve a file with CBC and return its output."""
    command = [binary(), str(path), "-increment", "1e-9", "-ratioGap", "0", "-solve"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@every_format
def test_awkward_program_is_read_as_itself(suffix: str, tmp_path: Path) -> None:
    """HiGHS reads every number to the last bit, and names, kinds and bounds; CBC finds the same optimum."""
    program, path = awkward(), tmp_path / f"program.{suffix}"
    WRITERS[suffix](program, path)
    _, value, highs = read_by_highs(path)
    lp, count = highs.getLp(), program.variables
    assert list(lp.col_cost_[:count]) == program.cost.tolist()
    assert list(lp.col_lower_[:count]) == program.lower.tolist()
    assert list(lp.col_upper_[:count]) == program.upper.tolist()
    kinds = [kind == highspy.HighsVarType.kInteger for kind in lp.integrality_[:count]]
    assert kinds == program.integer.tolist()
    wanted = {"mps": "a_b[2]", "lp": "a_b(2)"}
    assert highs.getColName(2)[1] == wanted[suffix]
    output = read_by_cbc(path)
    assert "read with 0 errors" in output or suffix == "lp"
    found = next(line for line in output.splitlines() if line.startswith("Objective value:"))
    assert float(found.split()[-1]) == pytest.approx(value, rel=1e-12)


@every_format
@given(program=mixed_integer_programs(max_variables=5))
@_FEW
def test_optimum_survives(suffix: str, program: MixedIntegerProgram, tmp_path: Path) -> None:
    """HiGHS and CBC find in the file what enumeration finds in the program."""
    path = tmp_path / f"random.{suffix}"
    WRITERS[suffix](program, path)
    truth = exhaustive.solve(program)
    status, value, _ = read_by_highs(path)
    output = read_by_cbc(path)
    if truth.status is Status.INFEASIBLE:
        assert status == highspy.HighsModelStatus.kInfeasible
        assert "nfeasible" in output
    else:
        assert value == pytest.approx(truth.value, abs=1e-5)
        lines = [line for line in output.splitlines() if line.lower().startswith(("objective value", "optimal - obj"))]
        assert float(lines[0].split()[-1]) == pytest.approx(truth.value, abs=1e-5)


def test_names_are_unique_and_without_blanks() -> None:
    """Blocks that differ only in what a format forbids keep different names; none reads as a number."""
    blocks = {"a b": slice(0, 2), "a_b": slice(2, 3), "e3": slice(3, 4), "3x": slice(4, 5), "A b": slice(5, 6)}
    found = export.names(blocks)
    assert found == ["a_b[0]", "a_b[1]", "a_b_[0]", "_e3[0]", "_3x[0]", "A_b__[0]"]


@every_format
def test_missing_folder_is_a_sentence(suffix: str, tmp_path: Path) -> None:
    """A path that cannot be written is refused with the path."""
    with pytest.raises(InputError, match="writable folder"):
        WRITERS[suffix](awkward(), tmp_path / "missing" / f"program.{suffix}")


def test_lp_without_variables_is_a_sentence(tmp_path: Path) -> None:
    """The LP format cannot say a program without variables."""
    with pytest.raises(InputError, match="at least one variable"):
        export.write_lp(ProgramBuilder().build(), tmp_path / "empty.lp")
