"""Coverage at thousands of samples of each prompt, forecast from a few, with an interval."""

from __future__ import annotations

from coinfer.models.budget.forecast.forecast import Forecast, forecast
from coinfer.models.budget.forecast.joint import Sharing, forecast_jointly

__all__ = ["Forecast", "Sharing", "forecast", "forecast_jointly"]
