"""The knapsack as an integer program, for engines that know nothing of it: a referee, and a file to hand on."""

from __future__ import annotations

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, check_block
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram, ProgramBuilder

MOST_VARIABLES = 2_000_000


def integer_program(program: MultipleChoiceKnapsack) -> MixedIntegerProgram:
    r"""Return :math:`\min -\sum v_{ij} x_{ij}`, :math:`\sum_j x_{ij} = n_i`, :math:`\sum c_{rij} x_{ij} \le B_r`.

    Variable :math:`x_{ij}`, the copies of row i with option j, stands at position ``row * options + option``.

    Raises
    ------
    InputError
        For more than two million variables, or menus that are no numbers.
    """
    menus = program.menus
    rows, options = menus.rows, menus.options
    if rows * options > MOST_VARIABLES:
        found = Plain(f"{rows:,} rows of {options} options")
        raise InputError("menus", expected=f"at most {MOST_VARIABLES:,} variables in an integer program", found=found)
    block = menus.block(0, rows)
    check_block(block, 0)
    present = block.value > -np.inf
    builder = ProgramBuilder()
    x = builder.variables(
        "x",
        rows * options,
        cost=-np.where(present, block.value, 0.0).ravel(),
        upper=np.where(present, block.copies[:, None], 0).ravel().astype(np.float64),
        integer=True,
    )
    copies = block.copies.astype(np.float64)
    row = np.repeat(np.arange(rows), options)
    builder.rows("one_option", row=row, column=x, coefficient=1.0, lower=copies, upper=copies)
    for resource, limit in enumerate(program.budget):
        cost = np.where(present, block.cost[resource], 0.0).ravel()
        builder.rows(f"budget_{resource}", row=0, column=x, coefficient=cost, upper=limit, count=1)
    return builder.build()


def taken_of(point: FloatArray, rows: int, options: int) -> IntArray:
    """Return the choice that a point of the integer program stands for, (entries, 3)."""
    counts = np.rint(point[: rows * options]).astype(np.int64)
    at = np.flatnonzero(counts)
    return np.column_stack([at // options, at % options, counts[at]]).astype(np.int64)
