"""Counts from files that know how often each expert was chosen, but not by which token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.counts import RoutingCounts
from coinfer.profiler.trace.options import TraceCounts, TraceOptions
from coinfer.profiler.trace.tokens import IntArray

NO_AFFINITY = (
    "The files count how often each expert was chosen, not by which token: only balance can be planned from them, "
    "no transitions."
)


def count_loads(dumps: Sequence[IntArray], files: Sequence[Path], options: TraceOptions) -> TraceCounts:
    """Add dumps of (steps, layers, experts) up; the last share of each dump's steps is held out.

    Layers without any token are left out as layers without experts, and the others keep their numbers.

    Raises
    ------
    InputError
        If the dumps have different sizes or count nothing.
    """
    layers, experts = dumps[0].shape[1:]
    for path, dump in zip(files, dumps, strict=True):
        if dump.shape[1:] != (layers, experts):
            found = Plain(f"{dump.shape[1]} layers and {dump.shape[2]} experts")
            raise InputError(str(path), expected=f"{layers} layers and {experts} experts, as before", found=found)
    if options.experts not in (None, experts):
        raise InputError(str(files[0]), expected=f"{options.experts} experts", found=experts)
    kept = [len(dump) - round(len(dump) * options.heldout) for dump in dumps]
    fit = np.sum([dump[:count].sum(axis=0) for dump, count in zip(dumps, kept, strict=True)], axis=0)
    held = np.sum([dump[count:].sum(axis=0) for dump, count in zip(dumps, kept, strict=True)], axis=0)
    used = np.flatnonzero((fit + held).any(axis=1))
    if not len(used) or not fit.any():
        raise InputError(str(files[0]), expected="a layer with tokens", found=Plain("counts that are all 0"))
    top_k = options.top_k or 1
    notes = [NO_AFFINITY]
    if options.top_k is None:
        notes.append("Experts per token are not known from such files; 1 is assumed.")
    if options.heldout and not held.any():
        notes.append("Nothing is held out: the files have too few steps to be split.")
    if len(used) < layers:
        notes.append(f"{layers - len(used)} of {layers} layers have no token and are taken for layers without experts.")
    return TraceCounts(
        fit=_counts(fit[used], top_k),
        heldout=_counts(held[used], top_k) if held.any() else None,
        layer_ids=tuple(used.tolist()) if len(used) < layers else None,
        model_layers=layers if len(used) < layers else None,
        notes=tuple(notes),
    )


def _counts(loads: IntArray, top_k: int) -> RoutingCounts:
    layers, experts = loads.shape
    if top_k > experts:
        raise InputError("top_k", expected=f"at most {experts}, the experts of a layer", found=top_k)
    tokens = int(loads.sum(axis=1).max()) // top_k
    return RoutingCounts(layers=layers, experts=experts, top_k=top_k, tokens=tokens, loads=loads, transitions=None)
