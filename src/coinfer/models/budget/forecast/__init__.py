"""Coverage at thousands of samples of each prompt, forecast from a few, with an interval."""

from __future__ import annotations

from coinfer.models.budget.forecast.forecast import Forecast, forecast

__all__ = ["Forecast", "forecast"]
