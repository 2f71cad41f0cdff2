"""How routing traces are read, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from coinfer.errors import InputError
from coinfer.profiler.trace.counts import Pairs, RoutingCounts
from coinfer.profiler.trace.open_trace import TraceFormat
from coinfer.profiler.trace.split import check_split
from coinfer.profiler.trace.tokens import MOST_EXPERTS, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """How traces are read and counted.

    Attributes
    ----------
    format_name
        Format of the files; absent: recognised.
    experts
        Experts of a layer; absent: one more than the largest number in the trace.
    pairs
        ``all``: every token counts once for each of its top_k x top_k pairs. ``first``: the trace is read as if each
        token visited its first expert only, as ExFlow does.
    top_k
        Experts a token visits in a layer; only for files that hold loads without tokens, where absent means 1.
    heldout
        Share of the tokens that a plan is scored on only.
    folds
        Parts of the fitted tokens, for cross-validation.
    file_is_sequence
        Whether each file without names is one sequence.
    token_sets
        Whether to count sets of experts too.
    tokens_at_once
        Tokens in memory at a time; absent: as many as have 4,000,000 expert numbers.
    """

    format_name: TraceFormat | None = None
    experts: int | None = None
    pairs: Pairs = "all"
    top_k: int | None = None
    heldout: float = 0.2
    folds: int = 5
    file_is_sequence: bool = False
    token_sets: bool = False
    tokens_at_once: int | None = None

    def __post_init__(self) -> None:
        check_split(self.heldout, self.folds)
        if self.pairs not in ("all", "first"):
            raise InputError("pairs", expected="'all' or 'first'", found=self.pairs)
        for field in ("experts", "top_k"):
            number = getattr(self, field)
            if number is not None and not 1 <= number <= MOST_EXPERTS:
                raise InputError(field, expected=f"an integer in 1..{MOST_EXPERTS}", found=number)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceCounts:
    """Counts of traces, by part.

    Attributes
    ----------
    fit
        Counts of the tokens that a plan is fitted to.
    heldout
        Counts of the others; ``None`` where there are none.
    folds
        Counts of the fitted tokens by fold; empty where the files hold loads only.
    folds_all_pairs
        With ``pairs="first"``, and tokens that have further choices: transitions of all top_k x top_k pairs by fold,
        each (layers - 1, experts, experts); else empty.
    left_out
        Tokens that were not counted, since some of their layers are missing.
    sequences
        Named sequences; ``None`` where no file names any.
    layer_ids, model_layers
        Numbers of the layers, and how many the model has, where the files tell that others are missing.
    notes
        What was assumed and left out, one sentence each.
    """

    fit: RoutingCounts
    heldout: RoutingCounts | None
    folds: tuple[RoutingCounts, ...] = ()
    folds_all_pairs: tuple[IntArray, ...] = ()
    left_out: int = 0
    sequences: int | None = None
    layer_ids: tuple[int, ...] | None = None
    model_layers: int | None = None
    notes: tuple[str, ...] = ()
