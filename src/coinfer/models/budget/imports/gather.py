"""Rows of any format gathered into outcomes: counts, mean costs, labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.validate import LARGEST
from coinfer.solver.program import IntArray

MOST_CELLS = 50_000_000
"""Largest prompts times arms: two whole numbers and a float per resource are kept for each."""
UNLABELLED = "unlabelled"


@dataclass(slots=True)
class _Cell:
    right: int = 0
    drawn: int = 0
    counted: bool = False
    spent: dict[str, float] = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Gathered:
    """What has been read so far; rows are added one by one.

    Attributes
    ----------
    labels
        Label of each prompt that has one, by name.
    """

    labels: dict[str, str] = field(default_factory=dict)
    _prompts: dict[str, int] = field(default_factory=dict)
    _arms: dict[str, int] = field(default_factory=dict)
    _cells: dict[tuple[int, int], _Cell] = field(default_factory=dict)

    def add(
        self,
        where: str,
        *,
        prompt: str,
        arm: str,
        right: int,
        drawn: int,
        counted: bool = False,
        cost: Mapping[str, float] | None = None,
        label: str | None = None,
    ) -> None:
        """Add samples of an arm on a prompt.

        Parameters
        ----------
        where
            File and line, for errors.
        prompt, arm, label
            Names; the label must be the same in all rows of the prompt.
        right, drawn
            Right samples and all samples.
        counted
            True where the row is all there is on its cell: a second row is an error. Other rows add up.
        cost
            What one of these samples took in the mean, by resource.
        """
        for name, text in (("prompt", prompt), ("arm", arm), ("label", label)):
            if text is not None and (not text.strip() or not text.isprintable()):
                raise InputError(f"{where}: {name}", expected="a name of printable characters", found=text)
        if not 0 <= right <= drawn <= LARGEST:
            found = Plain(f"{right} of {drawn}")
            raise InputError(where, expected="0 <= right samples <= samples drawn <= 1e15", found=found)
        if label is not None and self.labels.setdefault(prompt, label) != label:
            found = Plain(f"{self.labels[prompt]!r} and {label!r}")
            raise InputError(f"{where}: label", expected=f"one label of prompt {prompt!r}", found=found)
        key = self._prompts.setdefault(prompt, len(self._prompts)), self._arms.setdefault(arm, len(self._arms))
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell(counted=counted)
        elif counted or cell.counted:
            expected = f"one row of counts for arm {arm!r} on prompt {prompt!r}"
            raise InputError(where, expected=expected, found=Plain("a second row"))
        if cell.drawn + drawn > LARGEST:
            raise InputError(where, expected="at most 1e15 samples of an arm on a prompt", found=Plain("more"))
        cell.right += right
        cell.drawn += drawn
        for resource, amount in (cost or {}).items():
            if not 0.0 <= amount <= LARGEST:
                raise InputError(f"{where}: {resource}", expected="a number in 0..1e15", found=amount)
            cell.spent[resource] = cell.spent.get(resource, 0.0) + amount * drawn
            cell.measured[resource] = cell.measured.get(resource, 0) + drawn

    def outcomes(self, where: str, *, requests: bool = True) -> tuple[Outcomes, list[str]]:
        """Return the outcomes in the order of the rows, and notes on what is absent.

        A resource that some arm never tells is left out: no plan could charge that arm for it.

        Parameters
        ----------
        where
            The files, for errors.
        requests
            Whether samples of files that tell no cost at all count as one request each; else there is no resource.
        """
        shape = len(self._prompts), len(self._arms)
        if not self._cells:
            raise InputError(where, expected="at least one row", found=Plain("none"))
        if shape[0] * shape[1] > MOST_CELLS:
            found = Plain(f"{shape[0]:,} x {shape[1]:,}")
            raise InputError(where, expected=f"at most {MOST_CELLS:,} prompts times arms", found=found)
        names = tuple(dict.fromkeys(name for cell in self._cells.values() for name in cell.spent))
        right, drawn = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        cost = np.full((len(names), *shape), np.nan)
        for key, cell in self._cells.items():
            right[key], drawn[key] = cell.right, cell.drawn
            for r, name in enumerate(names):
                if cell.measured.get(name):
                    cost[r][key] = cell.spent[name] / cell.measured[name]
        whole = [r for r in range(len(names)) if np.isfinite(cost[r]).any(axis=0)[drawn.any(axis=0)].all()]
        notes = self._notes(drawn, [names[r] for r in whole])
        notes += self._lacking([name for r, name in enumerate(names) if r not in whole])
        names, cost = tuple(names[r] for r in whole), cost[whole]
        if not names and requests:
            names, cost = ("requests",), np.ones((1, *shape))
            notes.append("no cost is known of all arms: each sample counts as one request")
        labels = tuple(self.labels.get(prompt, UNLABELLED) for prompt in self._prompts) if self.labels else ()
        made = Outcomes(
            prompts=tuple(self._prompts),
            arms=tuple(self._arms),
            successes=right,
            samples=drawn,
            resources=names,
            sample_cost=cost,
            labels=labels,
        )
        return made, notes

    def _lacking(self, names: list[str]) -> list[str]:
        """Return a note for each resource that some arm never tells: no plan could charge it for that."""
        notes = []
        for name in names:
            told = {key[1] for key, cell in self._cells.items() if cell.measured.get(name)}
            drawn = {key[1] for key, cell in self._cells.items() if cell.drawn}
            arm = next(arm for arm, column in self._arms.items() if column in drawn - told)
            notes.append(f"{name}: left out, because no row of arm {arm!r} tells it")
        return notes

    def _notes(self, drawn: IntArray, names: list[str]) -> list[str]:
        notes = []
        empty = int((drawn == 0).sum())
        if empty:
            notes.append(f"{empty:,} of {drawn.size:,} cells (prompt, arm) have no sample: absent, not wrong")
        for name in names:
            known = sum(1 for cell in self._cells.values() if cell.measured.get(name))
            if known < len(self._cells):
                missing = len(self._cells) - known
                notes.append(f"{name}: absent in {missing:,} of {len(self._cells):,} measured cells")
        if self.labels and len(self.labels) < len(self._prompts):
            missing = len(self._prompts) - len(self.labels)
            notes.append(f"{missing:,} of {len(self._prompts):,} prompts have no label: they are {UNLABELLED!r}")
        return notes


def left_out(columns: Counter[str]) -> list[str]:
    """Return a note on fields that were not read; none where there are none."""
    if not columns:
        return []
    names = ", ".join(name if name.isprintable() else repr(name) for name in sorted(columns)[:8])
    more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
    return [f"fields left out: {names}{more}"]
