"""What was measured: how often arms were right on prompts, and what their samples took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """Success counts of arms (models, or models in a setting) on prompts.

    Attributes
    ----------
    prompts, arms
        Names, all different.
    successes, samples
        (prompts, arms): right samples, and samples drawn; 0 drawn means not measured, never wrong.
    resources
        Names of what samples take: ``usd``, ``tokens``, ``s``, ``j`` ...
    sample_cost
        (resources, prompts, arms): mean taken by one sample; NaN where not measured.
    labels
        A label of each prompt that is known before anything is asked (``easy``, a category); empty: none.
    """

    prompts: tuple[str, ...]
    arms: tuple[str, ...]
    successes: IntArray
    samples: IntArray
    resources: tuple[str, ...]
    sample_cost: FloatArray
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.arms))
        for name in ("successes", "samples"):
            found = getattr(self, name).shape
            if found != shape:
                raise ProblemError(f"outcomes.{name}", expected=f"shape {shape}", found=Plain(f"{found}"))
        if self.sample_cost.shape != (len(self.resources), *shape):
            expected = f"shape {(len(self.resources), *shape)}"
            raise ProblemError("outcomes.sample_cost", expected=expected, found=Plain(f"{self.sample_cost.shape}"))
        if self.labels and len(self.labels) != len(self.prompts):
            raise ProblemError("outcomes.labels", expected="one for each prompt", found=len(self.labels))
        wrong = (self.successes < 0) | (self.successes > self.samples)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            where = f"outcomes.successes[{row}][{column}]"
            expected = f"a number in 0..{int(self.samples[row, column])}"
            raise ProblemError(where, expected=expected, found=int(self.successes[row, column]))

    def only(self, rows: IntArray) -> Outcomes:
        """Return the outcomes of some prompts, given by position, in that order."""
        return Outcomes(
            prompts=tuple(self.prompts[row] for row in rows),
            arms=self.arms,
            successes=self.successes[rows],
            samples=self.samples[rows],
            resources=self.resources,
            sample_cost=self.sample_cost[:, rows],
            labels=tuple(self.labels[row] for row in rows) if self.labels else (),
        )

    def thinned(self, most: int, *, seed: int) -> tuple[Outcomes, Outcomes]:
        """Split the samples of each cell at random: at most ``most`` of them, and the rest.

        The right ones among those drawn follow the hypergeometric law, so the two parts are samples of their own: what
        is planned on one can be scored on the other.
        """
        random = np.random.default_rng(seed)
        drawn = np.minimum(self.samples, most)
        right = random.hypergeometric(self.successes, self.samples - self.successes, drawn).astype(np.int64)
        first = (right, drawn)
        second = (self.successes - right, self.samples - drawn)
        parts = []
        for successes, samples in (first, second):
            parts.append(
                Outcomes(
                    prompts=self.prompts,
                    arms=self.arms,
                    successes=successes,
                    samples=samples,
                    resources=self.resources,
                    sample_cost=self.sample_cost,
                    labels=self.labels,
                )
            )
        return parts[0], parts[1]
