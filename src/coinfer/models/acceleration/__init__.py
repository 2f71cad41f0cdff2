"""Meta-learned choice of acceleration methods: predict what was not measured, choose, name what to measure next."""

from __future__ import annotations

from coinfer.models.acceleration.choose import Comparison, choose, compare
from coinfer.models.acceleration.data import AccelerationProblem, read_acceleration
from coinfer.models.acceleration.decision import AccelerationDecision, Estimate, Suggestion, read_decision
from coinfer.models.acceleration.estimate import Option, estimate
from coinfer.models.acceleration.published import read_ml_energy

__all__ = [
    "AccelerationDecision",
    "AccelerationProblem",
    "Comparison",
    "Estimate",
    "Option",
    "Suggestion",
    "choose",
    "compare",
    "estimate",
    "read_acceleration",
    "read_decision",
    "read_ml_energy",
]
