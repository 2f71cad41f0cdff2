"""A plan as one HTML page that a person can read, check and pass on."""

from __future__ import annotations

from coinfer.planner.report.page import build

__all__ = ["build"]
