"""What a placement plan decides."""

from __future__ import annotations

from coinfer.records import Matrix, Record


class PlacementDecision(Record, frozen=True, kw_only=True, tag_field="kind", tag="placement"):
    """Which expert lies in which slot of which device.

    Attributes
    ----------
    slots
        (layers, slots): expert in each slot, counted from 0; -1 for an empty one. The slots of a layer belong to the
        devices in the order of the problem, each device's slots together.
    shares
        (layers, slots): share of its expert's tokens that each slot serves, where they are split; the shares of the
        copies of one expert add up to 1. Absent where no expert has two copies.
    """

    slots: tuple[tuple[int, ...], ...]
    shares: Matrix | None = None
