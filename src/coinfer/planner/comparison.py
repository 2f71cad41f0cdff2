"""Predicted against measured: what a plan promised and what a run of it showed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from coinfer.planner.sample import Measured, mean_of, quantile_of, weighted
from coinfer.planner.selection.document import Deployment, Prediction, SelectionPlan
from coinfer.profiler.measurement import Measurement

COUNTED_SOURCES = frozenset({"rapl", "nvml", "jetson"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One prediction beside its measurement.

    Attributes
    ----------
    prediction
        What the plan expects.
    statistic
        What both are: ``mean``, a percentile such as ``p95``, the same ``of the slowest expert`` where several answer
        a category, or ``sum`` of the experts on a device.
    measured
        What the run showed; absent when nothing measured it.
    declared
        The same statistic of figures that no counter took (a power figure times a time, or a published number);
        never compared as a measurement.
    absent_because
        Why there is no measurement; absent when there is one.
    """

    prediction: Prediction
    statistic: str
    measured: Measured | None = None
    declared: Measured | None = None
    absent_because: str | None = None

    @property
    def inside(self) -> bool | None:
        """Whether the measured value lies in the predicted interval; ``None`` when either is absent."""
        low, high = self.prediction.low, self.prediction.high
        if self.measured is None or low is None or high is None:
            return None
        return low <= self.measured.value <= high

    @property
    def overlaps(self) -> bool | None:
        """Whether the two 95 % intervals meet; ``None`` when either is absent."""
        low, high, found = self.prediction.low, self.prediction.high, self.measured
        if found is None or found.low is None or found.high is None or low is None or high is None:
            return None
        return found.low <= high and low <= found.high

    @property
    def plausible(self) -> bool | None:
        """Whether the predicted value lies in the measured 95 % interval; ``None`` when that is absent."""
        found = self.measured
        if found is None or found.low is None or found.high is None:
            return None
        return found.low <= self.prediction.value <= found.high

    @property
    def relative_error(self) -> float | None:
        """(measured - predicted) / |predicted|; ``None`` without a measurement or with a prediction of zero."""
        if self.measured is None or self.prediction.value == 0.0:
            return None
        return (self.measured.value - self.prediction.value) / abs(self.prediction.value)

    @property
    def keeps_budget(self) -> bool | None:
        """Whether the measured value keeps the budget (a quality: the floor); ``None`` when either is absent."""
        if self.measured is None or self.prediction.budget is None:
            return None
        if self.prediction.quantity == "quality":
            return self.measured.value >= self.prediction.budget
        return self.measured.value <= self.prediction.budget


def compare(
    plan: SelectionPlan,
    rows: Iterable[Measurement],
    *,
    latency_statistic: str = "mean",
    category_weights: Mapping[str, float] | None = None,
) -> tuple[Compared, ...]:
    """Put every prediction of ``plan`` beside what ``rows`` measured, in the order of the predictions.

    Parameters
    ----------
    plan
        The plan that was run.
    rows
        Measurements of its run. Only rows whose source is ``measured`` count; of energy, only rows that a counter
        took.
    latency_statistic
        What the latency predictions are (``latency_statistic`` of the problem): ``mean``, ``median`` or ``p95`` ...
        Where several experts answer a category the prediction is that of the slowest, and so is the measurement.
    category_weights
        Traffic share of each category, in any unit. With it a mean over the whole workload is taken with the mix
        that was planned; without it, with the mix of the rows.

    Returns
    -------
    tuple of Compared
        One per prediction. What was not measured is absent, with the reason.
    """
    requests = [row for row in rows if row.source == "measured"]
    shares = dict(category_weights or {})
    return tuple(_compare(prediction, plan, requests, latency_statistic, shares) for prediction in plan.predictions)


def _compare(
    prediction: Prediction,
    plan: SelectionPlan,
    rows: list[Measurement],
    latency_statistic: str,
    shares: dict[str, float],
) -> Compared:
    if prediction.quantity == "memory_bytes":
        return _memory(prediction, plan, rows)
    if prediction.quantity == "price_usd":
        return Compared(prediction=prediction, statistic="mean", absent_because="measurements carry no price")
    name = latency_statistic if prediction.quantity == "latency_s" else "mean"
    summary = _summary(name)
    if summary is None:
        return Compared(prediction=prediction, statistic=name, absent_because=f"no rule computes {name!r}")
    wanted = [row for row in rows if row.phase == "request" and prediction.category in (None, row.category)]
    if prediction.quantity == "latency_s" and prediction.category is not None:
        sharing = {route.expert for route in plan.decision.routes if route.category == prediction.category}
        if len(sharing) > 1:
            return _slowest(prediction, plan, wanted, sharing, name, summary)
    counted, declared = _values(prediction, wanted)
    weights = shares if prediction.category is None and name == "mean" else {}
    measured, reason = _summarise(counted, summary, weights)
    without, _ = _summarise(declared, summary, weights)
    if measured is None and without is not None:
        reason = "no energy counter; declared or published figures only"
    return Compared(prediction=prediction, statistic=name, measured=measured, declared=without, absent_because=reason)


def _slowest(
    prediction: Prediction,
    plan: SelectionPlan,
    rows: list[Measurement],
    sharing: set[str],
    name: str,
    summary: Callable[[Sequence[float]], Measured],
) -> Compared:
    """Compare with the slowest of the experts that share a category; a mix of all would look too good."""
    found: list[Measured] = []
    for deployment in plan.deployments:
        if deployment.expert in sharing:
            own = [row.seconds for row in rows if row.model in _names(deployment)]
            found += [summary(own)] if own else []
    statistic = f"{name} of the slowest expert"
    if len(found) < len(sharing):
        reason = "not every expert that shares it was measured"
        return Compared(prediction=prediction, statistic=statistic, absent_because=reason)
    slowest = max(found, key=lambda measured: measured.value)
    return Compared(prediction=prediction, statistic=statistic, measured=slowest)


def _names(deployment: Deployment) -> set[str]:
    """Return the names under which an expert may stand in a measurement."""
    return {deployment.expert} | ({deployment.endpoint.model} if deployment.endpoint is not None else set())


def _summary(name: str) -> Callable[[Sequence[float]], Measured] | None:
    """Return the function that computes the statistic called ``name``; ``None`` for an unknown one."""
    if name == "mean":
        return mean_of
    match = re.fullmatch(r"p(\d{1,2}(?:\.\d+)?)", "p50" if name == "median" else name)
    return None if match is None else lambda values: quantile_of(values, float(match[1]) / 100)


Labelled = list[tuple[str | None, float]]  # (category of the row, value)


def _values(prediction: Prediction, rows: list[Measurement]) -> tuple[Labelled, Labelled]:
    """Return the values of one quantity with the category of their row: measured ones, and declared ones."""
    if prediction.quantity == "quality":
        return [(row.category, row.correct) for row in rows if row.correct is not None], []
    if prediction.quantity == "latency_s":
        return [(row.category, row.seconds) for row in rows], []
    counted: Labelled = []
    declared: Labelled = []
    for row in rows:
        if row.energy_j is not None:
            kept = counted if row.energy_source in COUNTED_SOURCES else declared
            kept.append((row.category, row.energy_j / row.batch))
    return counted, declared


def _summarise(
    values: Labelled, summary: Callable[[Sequence[float]], Measured], weights: dict[str, float]
) -> tuple[Measured | None, str | None]:
    """Return the statistic, or the reason why there is none; with weights, category by category."""
    if not values:
        return None, "no row measured it"
    if not weights:
        return summary([value for _, value in values]), None
    parts: list[tuple[float, Measured]] = []
    total = math.fsum(weights.values())
    for category, weight in weights.items():
        own = [value for label, value in values if label == category]
        if weight > 0.0 and not own:
            return None, f"category {category!r} was not measured"
        if weight > 0.0:
            parts.append((weight / total, summary(own)))
    return weighted(parts), None


def _memory(prediction: Prediction, plan: SelectionPlan, rows: list[Measurement]) -> Compared:
    """Add up the largest memory each expert of the device was seen to hold; all of them must have been seen."""
    total, samples = 0, 0
    for deployment in plan.deployments:
        if deployment.device != prediction.device:
            continue
        names = _names(deployment)
        held = [
            row.memory_bytes
            for row in rows
            if row.device == prediction.device and row.model in names and row.memory_bytes is not None
        ]
        if not held:
            reason = f"no row measured the memory of {deployment.expert!r}"
            return Compared(prediction=prediction, statistic="sum", absent_because=reason)
        total, samples = total + max(held), samples + len(held)
    if samples == 0:
        return Compared(prediction=prediction, statistic="sum", absent_because="no expert is deployed there")
    return Compared(prediction=prediction, statistic="sum", measured=Measured(value=float(total), samples=samples))
