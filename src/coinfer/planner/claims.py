"""What a plan says of itself, and how far each claim was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coinfer.records import Record

FORMAT = "coinfer/plan/1"

Standing = Literal["verified", "claimed"]


class Claim(Record, frozen=True, kw_only=True):
    """One claim of a plan and its standing.

    Attributes
    ----------
    what
        ``feasibility``, ``objective`` or ``bound``.
    standing
        ``verified``: the checker re-derived it from the problem file alone, with the method named.
        ``claimed``: an engine said so.
    method
        How it was checked, or which engine said so.
    """

    what: Literal["feasibility", "objective", "bound"]
    standing: Standing
    method: str


RECOMPUTED = (
    Claim(what="feasibility", standing="verified", method="every constraint re-computed from the problem"),
    Claim(what="objective", standing="verified", method="re-computed from the problem in rational arithmetic"),
)
"""What planner and checker both derive from the problem alone, whatever the engine says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was re-checked.

    Attributes
    ----------
    claims
        Every claim with the standing it has *now*: ``verified`` only where this run re-derived it.
    value
        Objective, re-computed.
    bound
        The bound the proof shows; ``None`` without a proof.
    proven
        True when feasibility, objective and bound are all re-derived and the bound closes the gap.
    """

    claims: tuple[Claim, ...]
    value: float
    bound: float | None
    proven: bool
