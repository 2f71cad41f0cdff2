"""Selection instances of known difficulty: latent ability, specialty, difficulty and noise, on two kinds of device.

The families are ours, after the description of the problem in MoE² (arXiv 2501.09410); no data of the paper is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from coinfer.solver.monotonic.program import FacilityLocation, FloatArray, LinearRows, MonotonicProgram

Family = Literal["heterogeneous", "near-peer"]
CATEGORIES = 8
DEVICES = ((200e9, 45.0), (1000e9, 350.0))
"""Memory bandwidth in bytes per second and power in watts: an Orin-like board and a 4090-like card."""
TOKENS = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instance:
    """One instance.

    Attributes
    ----------
    log_likelihood
        (prompts, experts), in nats, at most 0.
    energy_j
        (experts,) energy of an answer.
    """

    log_likelihood: FloatArray
    energy_j: FloatArray

    def program(self, share: float) -> MonotonicProgram:
        """Return the program with an energy budget of a share of what all experts together take."""
        prompts, experts = self.log_likelihood.shape
        rows = LinearRows(
            coefficients=self.energy_j[None] / self.energy_j.sum(), limits=np.array([share]), names=("energy",)
        )
        objective = FacilityLocation(values=self.log_likelihood, weights=np.full(prompts, 1.0 / prompts))
        box = np.zeros(experts, dtype=np.int64), np.ones(experts, dtype=np.int64)
        return MonotonicProgram(lower=box[0], upper=box[1], objective=objective, constraints=(rows,))


def draw(family: Family, experts: int, seed: int, *, prompts: int = 2000) -> Instance:
    """Draw an instance.

    ``heterogeneous``: 0.5 to 70 billion parameters at 4 bits, on either device. ``near-peer``: 4 to 14 billion, one
    device, little specialty and much noise, so that the experts are nearly exchangeable: the hard one.
    """
    rng = np.random.default_rng(seed)
    peers = family == "near-peer"
    billions = rng.uniform(4.0, 14.0, experts) if peers else np.exp(rng.uniform(np.log(0.5), np.log(70.0), experts))
    ability = 0.5 * np.log(billions) + 0.2 * rng.normal(size=experts)
    specialty = (0.3 if peers else 0.8) * rng.normal(size=(CATEGORIES, experts))
    difficulty = rng.normal(1.2, 1.0, prompts)
    noise = (1.2 if peers else 0.8) * rng.normal(size=(prompts, experts))
    logit = ability - difficulty[:, None] + specialty[rng.integers(0, CATEGORIES, prompts)] + noise
    bandwidth, power = np.array(DEVICES)[np.zeros(experts, dtype=int) if peers else rng.integers(0, 2, experts)].T
    return Instance(
        log_likelihood=np.log(np.clip(1.0 / (1.0 + np.exp(-logit)), 1e-3, 1.0)),
        energy_j=power * TOKENS * billions * 0.5e9 / bandwidth,
    )
