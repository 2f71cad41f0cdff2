"""What the tests of placement plans share."""

from __future__ import annotations

import pytest

from coinfer.models.placement.data import PlacementProblem
from coinfer.testing.placement import placement_problem


@pytest.fixture(scope="session")
def problem() -> PlacementProblem:
    """A problem with three layers of four experts on two devices."""
    return placement_problem()
