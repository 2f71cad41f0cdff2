"""What a selection plan decides."""

from __future__ import annotations

import math

from coinfer.errors import InputError
from coinfer.records import Record


class Route(Record, frozen=True, kw_only=True):
    """Who answers one category, or one calibration prompt.

    Attributes
    ----------
    category
        Application category.
    prompt
        Name of the calibration prompt; absent: the route holds for the whole category.
    expert
        Name of the expert.
    fraction
        Share of this traffic that goes there, in (0, 1]; shares of one prompt (or category) add up to 1.
    """

    category: str
    expert: str
    fraction: float
    prompt: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.fraction <= 1.0 or not math.isfinite(self.fraction):
            raise InputError("fraction", expected="a number in (0, 1]", found=self.fraction)


class SelectionDecision(Record, frozen=True, kw_only=True, tag_field="kind", tag="selection"):
    """The experts to keep resident and who answers what.

    Attributes
    ----------
    selected
        Names of the selected experts, in the order of the problem.
    routes
        Who answers what.
    preference
        By category, the selected experts that may answer it, best mean quality first: the order in which the
        executor falls back, and the first one answers prompts that were not in the calibration set.
    """

    selected: tuple[str, ...]
    routes: tuple[Route, ...]
    preference: dict[str, tuple[str, ...]]
