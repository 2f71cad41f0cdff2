"""What a split plan decides."""

from __future__ import annotations

from coinfer.models.split.parts import Segment
from coinfer.records import Record


class SplitDecision(Record, frozen=True, kw_only=True, tag_field="kind", tag="split"):
    """Which device computes which layers.

    Attributes
    ----------
    segments
        In the order of the layers; together they hold every layer once. Successive segments of one device are allowed:
        its layers then have different quantisations.
    """

    segments: tuple[Segment, ...]
