"""The box of a node while a tree is walked: cut on the way down, restored on the way up, never copied."""

from __future__ import annotations

from coinfer.solver.program import MixedIntegerProgram


class Box:
    """Bounds of every variable, changed in place so that a tree of any depth costs one step per edge.

    Parameters
    ----------
    program
        Its variable bounds are the box of the root.

    Attributes
    ----------
    lower, upper
        One number per variable.
    crossed
        Number of variables whose lower bound is above their upper bound; the box is empty when it is not 0.
    """

    __slots__ = ("_program", "_trail", "crossed", "lower", "upper")

    def __init__(self, program: MixedIntegerProgram) -> None:
        self._program = program
        self._trail: list[tuple[list[float], int, float]] = []
        self.lower: list[float] = program.lower.tolist()
        self.upper: list[float] = program.upper.tolist()
        self.crossed = sum(low > high for low, high in zip(self.lower, self.upper, strict=True))

    def cut_below(self, variable: int, bound: float) -> None:
        """Keep ``x <= bound``."""
        self._set(self.upper, variable, min(bound, self.upper[variable]))

    def cut_above(self, variable: int, bound: float) -> None:
        """Keep ``x >= bound``."""
        self._set(self.lower, variable, max(bound, self.lower[variable]))

    def restore(self) -> None:
        """Undo the last cut."""
        side, variable, before = self._trail.pop()
        self._write(side, variable, before)

    def path(self) -> str:
        """Say which box this is, in the names of the variable blocks."""
        cuts = {(id(side), variable): (side, variable) for side, variable, _ in self._trail}
        parts = [
            f"{self._name(variable)} {'<=' if side is self.upper else '>='} {side[variable]:g}"
            for side, variable in list(cuts.values())[:12]
        ]
        return ", ".join(parts + ["..."] * (len(cuts) > 12)) if parts else "the whole box"

    def _set(self, side: list[float], variable: int, bound: float) -> None:
        self._trail.append((side, variable, side[variable]))
        self._write(side, variable, bound)

    def _write(self, side: list[float], variable: int, bound: float) -> None:
        self.crossed -= self.lower[variable] > self.upper[variable]
        side[variable] = bound
        self.crossed += self.lower[variable] > self.upper[variable]

    def _name(self, variable: int) -> str:
        for name, block in self._program.variable_blocks.items():
            if block.start <= variable < block.stop:
                return f"{name}[{variable - block.start}]"
        return f"variable {variable}"
