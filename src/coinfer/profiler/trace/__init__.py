"""Routing traces of mixtures of experts: which experts each token visited, counted without holding the trace."""

from __future__ import annotations

from coinfer.profiler.trace.count import count_traces
from coinfer.profiler.trace.counts import RoutingCounts
from coinfer.profiler.trace.open_trace import FORMATS, TraceFormat
from coinfer.profiler.trace.options import TraceCounts, TraceOptions

__all__ = ["FORMATS", "RoutingCounts", "TraceCounts", "TraceFormat", "TraceOptions", "count_traces"]
