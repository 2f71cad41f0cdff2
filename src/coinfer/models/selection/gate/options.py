"""How a gate is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from coinfer.errors import InputError
from coinfer.models.selection.gate.loss import Objective

DECAYS = (0.03, 0.3, 1.0, 3.0)
"""Weight decays to choose from. Scores cannot grow much beyond 8 divided by the decay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How a gate is trained.

    Attributes
    ----------
    objective
        ``mixture`` (nats) or ``expected`` (quality); see :mod:`coinfer.models.selection.gate.loss`.
    masks
        True to train on random subsets of the experts, False on all experts alone.
    hidden
        Width of the hidden layer; 0 for none, a linear gate.
    steps
        Steps of the optimiser, each on 128 prompts.
    learning_rate
        Of Adam; it falls to 0 along a cosine.
    weight_decay
        Share of a weight that is taken off in each step, times the learning rate: the larger, the less a gate can tell
        its prompts apart. Absent: the value in :data:`DECAYS` that is best on the stopping prompts.
    seed
        Decides the parts the prompts are put in, the batches and the subsets.
    """

    objective: Objective = "mixture"
    masks: bool = True
    hidden: int = 0
    steps: int = 2000
    learning_rate: float = 0.02
    weight_decay: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.objective not in ("mixture", "expected"):
            raise InputError("objective", expected="'mixture' or 'expected'", found=self.objective)
        for name, least in (("hidden", 0), ("steps", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(name, expected=f"an integer, at least {least}", found=getattr(self, name))
        if not 0.0 < self.learning_rate < math.inf:
            raise InputError("learning_rate", expected="a finite number above 0", found=self.learning_rate)
        if self.weight_decay is not None and not 0.0 <= self.weight_decay < math.inf:
            raise InputError("weight_decay", expected="a finite number, at least 0", found=self.weight_decay)
