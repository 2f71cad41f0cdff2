"""Prompts in strata of difficulty: what tells them apart, and what it costs to find out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Information, Source
from coinfer.solver.program import FloatArray, IntArray

_STRENGTH: tuple[Source, ...] = ("none", "label", "features", "history", "votes", "one_sample", "oracle")
_NAMED = 3
"""Most models that a description names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Partition:
    """Prompts told apart by what is known of them before they are answered.

    Attributes
    ----------
    of_prompt
        (prompts,): stratum of each prompt, counted from 0; a stratum may be empty.
    names
        Of the strata, all different.
    information
        What tells them apart, and what that costs for one prompt.
    level
        (strata,): place on a scale, where strata have an order (a count, a bin): close ones may learn from each other.
    group
        (strata,): which strata are of one kind (a label) and learn from each other more than from those of another.
    """

    of_prompt: IntArray
    names: tuple[str, ...]
    information: Information
    level: FloatArray
    group: IntArray

    def __post_init__(self) -> None:
        strata = len(self.names)
        if self.of_prompt.size and not 0 <= self.of_prompt.min() <= self.of_prompt.max() < strata:
            found = Plain(f"{self.of_prompt.min()}..{self.of_prompt.max()}")
            raise ProblemError("partition.of_prompt", expected=f"numbers in 0..{strata - 1}", found=found)
        if self.level.shape != (strata,) or self.group.shape != (strata,):
            expected = f"{strata} numbers, one for each stratum"
            raise ProblemError(
                "partition", expected=expected, found=Plain(f"{self.level.shape} and {self.group.shape}")
            )

    @property
    def prompts(self) -> IntArray:
        """(strata,): prompts in each."""
        return np.bincount(self.of_prompt, minlength=len(self.names)).astype(np.int64)

    def only(self, rows: IntArray) -> Partition:
        """Return the same strata with some of the prompts, given by position, in that order."""
        return replace(self, of_prompt=self.of_prompt[rows])


def pooled(prompts: int) -> Partition:
    """Return one stratum of all prompts: nothing is known."""
    information = Information(source="none", description="nothing: all prompts are alike")
    return _partition(np.zeros(prompts, dtype=np.int64), ("all",), information)


def by_label(outcomes: Outcomes) -> Partition:
    """Return one stratum for each label, which comes with the prompt and costs nothing.

    Raises
    ------
    ProblemError
        If the outcomes have no labels.
    """
    if not outcomes.labels:
        raise ProblemError("outcomes.labels", expected="a label of each prompt", found=Plain("none"))
    names = tuple(dict.fromkeys(outcomes.labels))
    of_prompt = np.array([names.index(label) for label in outcomes.labels], dtype=np.int64)
    information = Information(source="label", description=f"a label that comes with the prompt: {', '.join(names)}")
    return _partition(of_prompt, names, information, group=np.arange(len(names)))


def by_oracle(outcomes: Outcomes, arms: Sequence[str] = (), *, bins: int = 5) -> Partition:
    """Return bins of equal size by the measured rate of success itself (Snell et al., arXiv 2408.03314, section 3.2).

    Nobody knows this rate before the prompts are answered, so the information is marked as an oracle's and is not
    charged. Plan with such bins on some samples and score on others.

    Parameters
    ----------
    outcomes
        What was measured.
    arms
        Names of the arms whose mean rate counts; empty: all.
    bins
        How many.
    """
    columns = [_arm(outcomes, name) for name in arms] or list(range(len(outcomes.arms)))
    drawn = outcomes.samples[:, columns]
    rate = np.divide(outcomes.successes[:, columns], drawn, out=np.zeros(drawn.shape), where=drawn > 0)
    measured = (drawn > 0).sum(axis=1)
    if not measured.all():
        row = int(np.argmin(measured))
        raise ProblemError(f"outcomes.samples[{row}]", expected="at least one sample of an arm", found=Plain("none"))
    information = Information(
        source="oracle",
        charged=False,
        description=f"an oracle: {bins} bins by the measured rate itself, which nobody knows beforehand; not charged",
    )
    return _binned(rate.sum(axis=1) / measured, bins, information)


def by_history(
    successes: IntArray,
    samples: IntArray,
    *,
    models: Sequence[str],
    cost: tuple[Amount, ...] = (),
    past: bool = False,
    bins: int | None = None,
) -> Partition:
    """Return strata by how often other models were right on the same prompts.

    Parameters
    ----------
    successes, samples
        (prompts, models): right samples, and samples drawn.
    models
        Their names.
    cost
        What these samples take for one prompt.
    past
        True where the runs were paid before, for another purpose: the cost is then stated and not charged.
    bins
        Bins of equal size by the mean rate; absent: one stratum for each total that is possible. With samples that
        differ from prompt to prompt bins are needed.

    Raises
    ------
    ProblemError
        For shapes that do not fit, or numbers of samples that differ without ``bins``.
    """
    if successes.ndim != 2 or successes.shape != samples.shape or successes.shape[1] != len(models):
        expected = f"two matrices with {len(models)} column(s)"
        raise ProblemError("history", expected=expected, found=Plain(f"{successes.shape} and {samples.shape}"))
    drawn, right = samples.sum(axis=1), successes.sum(axis=1)
    if drawn.size == 0 or drawn.min() < 1:
        raise ProblemError("history.samples", expected="at least one sample of each prompt", found=Plain("none"))
    many = f"{int(drawn.min())}" if drawn.min() == drawn.max() else f"{int(drawn.min())} to {int(drawn.max())}"
    who = ", ".join(models) if len(models) <= _NAMED else f"{len(models)} models"
    price = ", ".join(f"{each.amount:g} {each.resource}" for each in cost) or "not known"
    paid = "paid before, so not charged" if past else "charged"
    text = f"{many} {'past ' if past else ''}run(s) of {who}; cost per prompt {price}, {paid}"
    information = Information(source="history", cost=cost, charged=not past, description=text)
    if bins is not None:
        return _binned(right / drawn, bins, information)
    if drawn.min() != drawn.max():
        raise ProblemError("history.samples", expected="as many for each prompt, or bins", found=Plain(many))
    most = int(drawn[0])
    names = tuple(f"{count} of {most}" for count in range(most + 1))
    return _partition(right.astype(np.int64), names, information, level=np.arange(most + 1) / most)


def by_score(
    score: FloatArray,
    *,
    bins: int,
    cost: tuple[Amount, ...],
    source: Source = "one_sample",
    description: str = "mean negative log-likelihood of one sample",
) -> Partition:
    """Return bins of equal size by a number per prompt, such as the mean negative log-likelihood of one sample.

    The sample's cost is charged. With ``source`` ``votes`` the number may be the confusion of
    :func:`coinfer.models.budget.difficulty.top_two.top_two`, the cost that of the votes.
    """
    if score.ndim != 1 or not np.isfinite(score).all():
        raise ProblemError("score", expected="one finite number for each prompt", found=Plain("something else"))
    return _binned(score, bins, Information(source=source, cost=cost, description=f"{description}; charged"))


def crossed(first: Partition, second: Partition) -> Partition:
    """Return every pair of strata of two partitions of the same prompts; the costs of both are paid.

    Groups come from the first, levels from the second.
    """
    if len(first.of_prompt) != len(second.of_prompt):
        expected = f"{len(first.of_prompt)} prompts, as in the first"
        raise ProblemError("partition", expected=expected, found=len(second.of_prompt))
    outer, inner = len(first.names), len(second.names)
    parts = (first.information, second.information)
    charged = {part.charged for part in parts if part.cost} or {all(part.charged for part in parts)}
    if len(charged) > 1:
        expected = "costs that are both charged or both not"
        raise ProblemError("partition.information", expected=expected, found=Plain("one of each"))
    total: dict[str, float] = {}
    for part in parts:
        for each in part.cost:
            total[each.resource] = math.fsum([total.get(each.resource, 0.0), each.amount])
    information = Information(
        source=max((part.source for part in parts), key=_STRENGTH.index),
        cost=tuple(Amount(resource=name, amount=amount) for name, amount in total.items()),
        charged=charged.pop(),
        description="; and ".join(part.description or part.source for part in parts),
    )
    names = tuple(f"{a}, {b}" for a in first.names for b in second.names)
    return _partition(
        first.of_prompt * inner + second.of_prompt,
        names,
        information,
        level=np.tile(second.level, outer),
        group=np.repeat(first.group, inner),
    )


def _binned(score: FloatArray, bins: int, information: Information) -> Partition:
    """Cut prompts into bins of nearly equal size; prompts with equal scores share a bin."""
    if not 1 <= bins <= len(score):
        raise ProblemError("bins", expected=f"a number in 1..{len(score)}", found=bins)
    ordered = np.sort(score)
    middle = (np.searchsorted(ordered, score, side="left") + np.searchsorted(ordered, score, side="right") - 1) / 2.0
    raw = np.minimum((middle * bins / len(score)).astype(np.int64), bins - 1)
    used, of_prompt = np.unique(raw, return_inverse=True)
    names = tuple(f"bin {number + 1} of {len(used)}" for number in range(len(used)))
    return _partition(of_prompt.astype(np.int64), names, information, level=(used + 0.5) / bins)


def _partition(
    of_prompt: IntArray,
    names: tuple[str, ...],
    information: Information,
    *,
    level: FloatArray | None = None,
    group: IntArray | None = None,
) -> Partition:
    return Partition(
        of_prompt=of_prompt,
        names=names,
        information=information,
        level=np.zeros(len(names)) if level is None else level,
        group=np.zeros(len(names), dtype=np.int64) if group is None else group.astype(np.int64),
    )


def _arm(outcomes: Outcomes, name: str) -> int:
    if name not in outcomes.arms:
        raise ProblemError("arms", expected=f"names of arms: {', '.join(outcomes.arms)}", found=name)
    return outcomes.arms.index(name)
