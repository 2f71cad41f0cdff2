"""Programs read from the files of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.solver.export import write_lp, write_mps
from coinfer.solver.lp_file import read_program
from coinfer.solver.mip import solve
from coinfer.solver.program import ProgramBuilder

MAXIMISE = """\\ a comment
Maximize
  3 x + 2 y + z
Subject To
 both: x + y <= 4
 ranged: x + z >= 1
Bounds
 x <= 3
 z <= 1.5
Generals
 x y
End
"""


def test_a_maximised_program_is_read_with_its_names(tmp_path: Path) -> None:
    """Costs are negated, the objective is given back as the file counts it."""
    path = tmp_path / "model.lp"
    path.write_text(MAXIMISE)

    named = read_program(path)
    result = solve(named.program)

    assert named.variables == ("x", "y", "z")
    assert named.rows == ("both", "ranged")
    assert named.program.integer.tolist() == [True, True, False]
    assert named.objective(result.value) == pytest.approx(3 * 3 + 2 + 1.5)


def test_held_variables_keep_their_values(tmp_path: Path) -> None:
    """The rest is solved around them; unknown names and values out of bounds are refused."""
    path = tmp_path / "model.lp"
    path.write_text(MAXIMISE)
    named = read_program(path)

    result = solve(named.fixed({"x": 1.0, "z": 0.5}))

    assert result.incumbent is not None
    assert result.incumbent.tolist() == [1.0, 3.0, 0.5]
    assert named.objective(result.value) == pytest.approx(3 + 6 + 0.5)
    with pytest.raises(InputError, match="w: expected a variable"):
        named.fixed({"w": 1.0})
    with pytest.raises(InputError, match=r"x: expected a value in \[0, 3\]"):
        named.fixed({"x": 4.0})


@pytest.mark.parametrize("write", [write_lp, write_mps])
def test_what_is_written_is_read_again(write: object, tmp_path: Path) -> None:
    """A program that goes through a file has the same rows, costs and optimum."""
    random = np.random.default_rng(3)
    builder = ProgramBuilder()
    x = builder.variables("x", 4, cost=random.normal(size=4), upper=[1.0, 2.0, 3.0, 4.0], integer=True)
    builder.rows("r", row=np.repeat([0, 1], 4), column=np.tile(x, 2), coefficient=random.uniform(1, 2, 8), upper=5.5)
    program = builder.build()
    path = tmp_path / ("model.lp" if write is write_lp else "model.mps")
    write(program, path)  # type: ignore[operator]

    again = read_program(path)

    assert not again.maximised
    assert np.array_equal(again.program.coefficient, program.coefficient)
    assert solve(again.program).value == pytest.approx(solve(program).value)


@pytest.mark.parametrize("text", ["", "this is no program", "Maximize\n x +\nSubject To\n c: x <= \xff\nEnd"])
def test_files_that_are_no_programs_are_refused(text: str, tmp_path: Path) -> None:
    """One sentence names the file."""
    path = tmp_path / "model.lp"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(InputError, match=r"model\.lp: expected an LP or MPS file"):
        read_program(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path without a file is no program."""
    with pytest.raises(InputError, match="expected an LP or MPS file"):
        read_program(tmp_path / "none.lp")
