"""Programs of others, read from LP and MPS files by HiGHS, and solved with some variables held fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.engines.task import missing
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedProgram:
    """A program with the names of its file.

    Attributes
    ----------
    program
        The program, minimised: costs are negated where the file maximises. Bounds are those of the file, so integer
        variables may be unbounded.
    variables, rows
        Names, in the order of the program.
    maximised
        True where the file maximises; its objective is then the negated value.
    """

    program: MixedIntegerProgram
    variables: tuple[str, ...]
    rows: tuple[str, ...]
    maximised: bool

    def objective(self, value: float) -> float:
        """Return a value of ``program`` as the file counts it."""
        return -value if self.maximised else value

    def fixed(self, values: Mapping[str, float]) -> MixedIntegerProgram:
        """Return the program with the named variables held at the given values.

        Raises
        ------
        InputError
            If there is no such variable, or the value lies outside its bounds.
        """
        place = {name: index for index, name in enumerate(self.variables)}
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        for name, value in values.items():
            if name not in place:
                raise InputError(name, expected="a variable of the program", found=Plain("none of that name"))
            index = place[name]
            if not lower[index] <= value <= upper[index]:
                raise InputError(name, expected=f"a value in [{lower[index]:g}, {upper[index]:g}]", found=value)
            lower[index] = upper[index] = value
        return replace(self.program, lower=lower, upper=upper)


def read_program(path: Path) -> NamedProgram:
    """Read an LP or MPS file.

    Raises
    ------
    InputError
        If HiGHS does not read the file, or it has parts that are no rows of a linear program.
    BackendMissing
        If highspy is not installed.
    """
    try:
        import highspy
    except ImportError as error:
        raise missing("highs", "highspy") from error
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    if not path.is_file() or highs.readModel(str(path)) == highspy.HighsStatus.kError:
        raise InputError(str(path), expected="an LP or MPS file that HiGHS reads", found=Plain("none"))
    lp = highs.getLp()
    if lp.num_col_ == 0:  # HiGHS reads text that means nothing as an empty program
        raise InputError(str(path), expected="an LP or MPS file that HiGHS reads", found=Plain("no variable"))
    matrix = lp.a_matrix_
    start, index, number = (np.array(part) for part in (matrix.start_, matrix.index_, matrix.value_))
    major = np.repeat(np.arange(len(start) - 1), np.diff(start))
    by_column = matrix.format_ == highspy.MatrixFormat.kColwise
    row, column = (index, major) if by_column else (major, index)
    maximised = lp.sense_ == highspy.ObjSense.kMaximize
    sign = -1.0 if maximised else 1.0
    kinds = lp.integrality_ or [highspy.HighsVarType.kContinuous] * lp.num_col_
    integer = np.array([kind != highspy.HighsVarType.kContinuous for kind in kinds])
    builder = ProgramBuilder()
    builder.variables("variables", lp.num_col_, cost=sign * np.array(lp.col_cost_), lower=-np.inf)
    builder.rows(
        "rows", row=row, column=column, coefficient=number, lower=lp.row_lower_, upper=lp.row_upper_, count=lp.num_row_
    )
    builder.offset = sign * float(lp.offset_)
    built = builder.build()
    program = replace(built, lower=np.array(lp.col_lower_), upper=np.array(lp.col_upper_), integer=integer)
    names = tuple(lp.col_names_), tuple(lp.row_names_)
    return NamedProgram(program=program, variables=names[0], rows=names[1], maximised=maximised)
