"""A plan as one HTML page that a person can read, check and pass on."""

from __future__ import annotations

from coinfer.planner.report.budget import build_budget
from coinfer.planner.report.page import build
from coinfer.planner.report.placement import build_placement

__all__ = ["build", "build_budget", "build_placement"]
