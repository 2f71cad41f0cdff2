"""Read routing traces and count them: first a survey of tokens and sequences, then the counts of every part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.counts import Counter, repeated
from coinfer.profiler.trace.only_loads import count_loads
from coinfer.profiler.trace.open_trace import open_trace
from coinfer.profiler.trace.options import TraceCounts, TraceOptions
from coinfer.profiler.trace.split import SequenceSplit, stretch_parts
from coinfer.profiler.trace.tokens import MOST_EXPERTS, TokenChunk, TokenTrace

MOST_SET_ROWS = 400_000
"""Rows of token sets, at most; where there could be more, only one token of so many enters the sets."""


def count_traces(files: Sequence[Path], options: TraceOptions | None = None) -> TraceCounts:
    """Read traces of one model and count them; every file is read in pieces, twice.

    Raises
    ------
    InputError
        If there is no file, one cannot be read, or they do not fit together; with file and token or line.
    BackendMissing
        If a ``.pt`` file is to be read without PyTorch.
    """
    options = TraceOptions() if options is None else options
    if not files:
        raise InputError("files", expected="at least one trace", found=Plain("none"))
    opened = [open_trace(path, options.format_name) for path in files]
    loads = [trace for trace in opened if isinstance(trace, np.ndarray)]
    traces = [(path, trace) for path, trace in zip(files, opened, strict=True) if not isinstance(trace, np.ndarray)]
    if loads and traces:
        found = Plain("tokens beside other files' loads")
        raise InputError(str(traces[0][0]), expected="files that all hold tokens or all hold loads", found=found)
    if loads:
        return count_loads(loads, files, options)
    survey = _Survey(options=options)
    for path, trace in traces:
        survey.add(path, trace)
    return _counted(survey, traces)


@dataclass(slots=True, kw_only=True, eq=False)
class _Survey:
    """What has to be known of all tokens before any is counted.

    Attributes
    ----------
    options
        How to read.
    shape
        Layers and experts per token.
    layer_ids
        Numbers of the layers, where a file has them.
    most
        Largest number of an expert.
    tokens
        Complete tokens of each file.
    left_out
        Tokens with missing layers.
    split
        Sequences and their parts.
    """

    options: TraceOptions
    shape: tuple[int, int] | None = None
    layer_ids: tuple[int, ...] | None = None
    most: int = -1
    tokens: list[int] = field(default_factory=list)
    left_out: int = 0
    split: SequenceSplit = field(init=False)

    def __post_init__(self) -> None:
        self.split = SequenceSplit(heldout=self.options.heldout, folds=self.options.folds)

    def add(self, path: Path, trace: TokenTrace) -> None:
        """Go through one trace."""
        self._same_layers(path, trace)
        count, named = 0, None
        for chunk in self.read(path, trace):
            self.left_out += chunk.incomplete
            if not len(chunk.experts):
                continue
            count += len(chunk.experts)
            if named is not None and named != (chunk.sequences is not None):
                where = f"{chunk.where} {chunk.first}"
                raise InputError(where, expected="a sequence for all tokens or for none", found=Plain("only for some"))
            named = chunk.sequences is not None
            if chunk.sequences is not None:
                self.split.see(chunk.sequences)
            self.most = max(self.most, int(chunk.experts.max()))
        self.tokens.append(count)

    def _same_layers(self, path: Path, trace: TokenTrace) -> None:
        if self.layer_ids is not None and trace.layer_ids is not None and trace.layer_ids != self.layer_ids:
            found = Plain(_listed(trace.layer_ids))
            raise InputError(str(path), expected=f"layers {_listed(self.layer_ids)}, as before", found=found)
        self.layer_ids = trace.layer_ids if self.layer_ids is None else self.layer_ids

    def read(self, path: Path, trace: TokenTrace) -> Iterator[TokenChunk]:
        """Yield the complete tokens of a trace, checked; ``incomplete`` counts all that are left out."""
        most = (self.options.experts or MOST_EXPERTS) - 1
        for chunk in trace.chunks(self.options.tokens_at_once):
            experts = chunk.experts
            if self.shape is None:
                self.shape = (experts.shape[1], experts.shape[2])
            if experts.shape[1:] != self.shape:
                expected = f"{self.shape[0]} layers and top-{self.shape[1]}, as before"
                found = Plain(f"{experts.shape[1]} layers and top-{experts.shape[2]}")
                raise InputError(f"{chunk.where} {chunk.first}", expected=expected, found=found)
            known = np.asarray((experts >= 0).all(axis=(1, 2)))
            _refuse(chunk, np.asarray((experts > most).any(axis=(1, 2))), f"experts in 0..{most}", "a larger number")
            _refuse(chunk, known & repeated(experts), "experts that differ in each layer", "one twice")
            names = chunk.sequences
            if names is None and self.options.file_is_sequence:
                names = np.full(len(experts), str(path))
            yield TokenChunk(
                experts=experts[known],
                sequences=None if names is None else names[known],
                where=chunk.where,
                first=chunk.first,
                incomplete=chunk.incomplete + int((~known).sum()),
            )


def _refuse(chunk: TokenChunk, wrong: NDArray[np.bool_], expected: str, found: str) -> None:
    """Refuse the first token that is wrong."""
    if wrong.any():
        raise InputError(f"{chunk.where} {chunk.first + int(np.argmax(wrong))}", expected=expected, found=Plain(found))


def _counted(survey: _Survey, traces: Sequence[tuple[Path, TokenTrace]]) -> TraceCounts:
    """Read all again and count."""
    options, total = survey.options, sum(survey.tokens)
    if survey.shape is None or not total:
        found = Plain(f"none; {survey.left_out} lack layers" if survey.left_out else "none")
        raise InputError(str(traces[0][0]), expected="a token with all its layers", found=found)
    layers, recorded = survey.shape
    top_k = 1 if options.pairs == "first" else recorded
    experts = options.experts or survey.most + 1
    every = _every(layers, experts, top_k, total) if options.token_sets else None
    counter = Counter(layers=layers, experts=experts, top_k=top_k, parts=options.folds + 1, every=every)
    further = None
    if top_k < recorded:
        further = Counter(layers=layers, experts=experts, top_k=recorded, parts=options.folds + 1)
    position = 0
    for (path, trace), tokens in zip(traces, survey.tokens, strict=True):
        place = 0
        for chunk in survey.read(path, trace):
            size = len(chunk.experts)
            if chunk.sequences is not None:
                part = survey.split.parts(chunk.sequences)
            else:
                part = stretch_parts(place, size, tokens, heldout=options.heldout, folds=options.folds)
            counter.add(chunk.experts[:, :, :top_k], part, position)
            if further is not None:
                further.add(chunk.experts, part, position)
            place, position = place + size, position + size
    if position != total:
        raise InputError(str(traces[0][0]), expected=f"{total} tokens, as when first read", found=Plain(f"{position}"))
    return _parts(survey, counter, further)


def _parts(survey: _Survey, counter: Counter, further: Counter | None) -> TraceCounts:
    """Name the parts that were counted."""
    options, sequences = survey.options, survey.split.sequences or None
    used = [part for part in range(options.folds) if counter.tokens[part]]
    folds = tuple(counter.counts(part) for part in used)
    held = counter.counts(options.folds)
    if not folds:
        raise InputError("heldout", expected="a share that leaves tokens to fit", found=options.heldout)
    ids = survey.layer_ids
    if ids is not None and ids == tuple(range(len(ids))):
        ids = None
    return TraceCounts(
        fit=reduce(add, folds),
        heldout=held if held.tokens else None,
        folds=folds,
        folds_all_pairs=() if further is None else tuple(further.transitions[used]),
        left_out=survey.left_out,
        sequences=sequences,
        layer_ids=ids,
        model_layers=None if ids is None else ids[-1] + 1,
        notes=_notes(survey, counter, held_tokens=held.tokens),
    )


def _notes(survey: _Survey, counter: Counter, *, held_tokens: int) -> tuple[str, ...]:
    """Say what was assumed and left out."""
    options, notes = survey.options, []
    if options.experts is None:
        notes.append(
            f"The largest expert number is {survey.most}, so {survey.most + 1} experts in a layer are assumed."
        )
    if survey.left_out:
        how_many = "1 token was" if survey.left_out == 1 else f"{survey.left_out} tokens were"
        notes.append(f"{how_many} left out for want of some layers.")
    if survey.layer_ids is not None and survey.layer_ids != tuple(range(len(survey.layer_ids))):
        last = survey.layer_ids[-1]
        notes.append(f"The layers are {_listed(survey.layer_ids)}; the model is taken to end with layer {last}.")
    if options.pairs == "first" and survey.shape is not None and survey.shape[1] > 1:
        notes.append(f"Only the first of {survey.shape[1]} experts of each token and layer was counted.")
    if counter.every is not None and counter.every > 1:
        notes.append(f"Token sets are those of one token in {counter.every}.")
    if not held_tokens and options.heldout:
        notes.append("Nothing is held out: there are too few sequences or tokens to be split.")
    elif held_tokens and not survey.split.sequences:
        notes.append("No sequences are named: the end of each file is held out.")
    return tuple(notes)


def _every(layers: int, experts: int, top_k: int, tokens: int) -> int:
    """Return of how many tokens one enters the sets, so that they stay within bounds."""
    possible = layers * min(math.comb(experts, top_k), tokens)
    return 1 if possible <= MOST_SET_ROWS else math.ceil(layers * tokens / MOST_SET_ROWS)


def _listed(ids: tuple[int, ...]) -> str:
    """Write layer numbers shortly."""
    if ids == tuple(range(ids[0], ids[-1] + 1)):
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids[:8])) + (" ..." if len(ids) > 8 else "")
