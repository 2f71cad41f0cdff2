"""Counts of a trace: the same whatever the pieces, additive over files, and equal to counting token by token."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from coinfer.profiler.trace import TraceCounts, TraceOptions, count, count_traces

EXPERTS = 5
Array = NDArray[np.int64]


@st.composite
def traces(draw: st.DrawFn, top_k: int = 2) -> Array:
    """Draw (tokens, layers, top_k) with experts that differ in each layer."""
    tokens, layers = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    order = draw(hnp.arrays(np.float64, (tokens, layers, EXPERTS), elements=st.floats(0, 1), unique=True))
    return np.argsort(order, axis=2)[:, :, :top_k]


def save(folder: Path, name: str, experts: Array, sequence: Array | None = None) -> Path:
    """Write a trace as ``.npz``, with sequences, or as ``.npy``."""
    path = folder / (f"{name}.npy" if sequence is None else f"{name}.npz")
    if sequence is None:
        np.save(path, experts.astype(np.int16))
    else:
        np.savez_compressed(path, experts=experts.astype(np.uint8), sequence=sequence)
    return path


def everything(counts: TraceCounts) -> list[object]:
    """Return all numbers of the counts."""
    parts = [part for part in (counts.fit, counts.heldout, *counts.folds) if part is not None]
    numbers: list[object] = [counts.left_out, counts.sequences, counts.notes]
    for part in parts:
        sets = None if part.token_sets is None else part.token_sets.tolist()
        pairs = None if part.transitions is None else part.transitions.tolist()
        numbers += [part.tokens, part.loads.tolist(), pairs, sets]
    return numbers


def by_hand(experts: Array, first_only: bool = False) -> tuple[Counter[object], Counter[object], Counter[object]]:
    """Count visits, pairs and sets one by one."""
    loads: Counter[object] = Counter()
    pairs: Counter[object] = Counter()
    sets: Counter[object] = Counter()
    for token in experts[:, :, :1] if first_only else experts:
        for layer, here in enumerate(token.tolist()):
            loads.update((layer, e) for e in here)
            sets[(layer, *sorted(here))] += 1
            if layer + 1 < len(token):
                pairs.update((layer, e, f) for e in here for f in token[layer + 1].tolist())
    return loads, pairs, sets


@settings(max_examples=60)
@given(experts=traces(), step=st.integers(1, 30), named=st.booleans(), heldout=st.sampled_from([0.0, 0.2, 0.5]))
def test_chunk_size_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, experts: Array, step: int, named: bool, heldout: float
) -> None:
    """Streamed counts equal those of one piece, whatever the size of the pieces."""
    folder = tmp_path_factory.mktemp("trace")
    path = save(folder, "t", experts, np.arange(len(experts)) // 3 if named else None)
    common = {"heldout": heldout, "folds": 2, "token_sets": True, "experts": EXPERTS}
    whole = count_traces([path], TraceOptions(tokens_at_once=10_000, **common))  # type: ignore[arg-type]
    pieces = count_traces([path], TraceOptions(tokens_at_once=step, **common))  # type: ignore[arg-type]
    assert everything(whole) == everything(pieces)


@settings(max_examples=60)
@given(experts=traces(), first_only=st.booleans())
def test_counts_equal_counting_by_hand(
    tmp_path_factory: pytest.TempPathFactory, experts: Array, first_only: bool
) -> None:
    """Fit and held-out counts together are what counting each token by itself gives."""
    path = save(tmp_path_factory.mktemp("trace"), "t", experts)
    options = TraceOptions(
        heldout=0.3, folds=3, token_sets=True, experts=EXPERTS, pairs="first" if first_only else "all"
    )
    made = count_traces([path], options)
    both = made.fit if made.heldout is None else made.fit + made.heldout
    loads, pairs, sets = by_hand(experts, first_only)
    assert both.tokens == len(experts)
    assert both.top_k == (1 if first_only else 2)
    assert both.transitions is not None
    assert both.token_sets is not None
    assert {place: n for place, n in np.ndenumerate(both.loads) if n} == loads
    assert {place: n for place, n in np.ndenumerate(both.transitions) if n} == pairs
    assert {(row[0], *row[2:]): row[1] for row in both.token_sets.tolist()} == sets


@settings(max_examples=40)
@given(experts=traces(), cut=st.integers(0, 25))
def test_counts_add_over_files(tmp_path_factory: pytest.TempPathFactory, experts: Array, cut: int) -> None:
    """Two files give the sum of what each gives, and the same as one file of both."""
    folder = tmp_path_factory.mktemp("trace")
    cut = min(cut, len(experts) - 1)
    options = TraceOptions(heldout=0.0, folds=1, token_sets=True, experts=EXPERTS)
    whole = count_traces([save(folder, "whole", experts)], options)
    pieces = [save(folder, f"part{i}", part) for i, part in enumerate((experts[:cut], experts[cut:])) if len(part)]
    together = count_traces(pieces, options)
    assert everything(together) == everything(whole)


@settings(max_examples=60)
@given(
    names=st.lists(st.integers(0, 6), min_size=2, max_size=40),
    heldout=st.floats(0.0, 0.9),
    folds=st.integers(1, 4),
)
def test_split_never_divides_a_sequence(
    tmp_path_factory: pytest.TempPathFactory, names: list[int], heldout: float, folds: int
) -> None:
    """Every sequence is in one part only, wherever its tokens stand, and the parts hold all tokens."""
    experts = np.array(names)[:, None, None]  # the first layer's expert is the sequence
    path = save(tmp_path_factory.mktemp("trace"), "t", experts, np.array(names))
    made = count_traces([path], TraceOptions(heldout=heldout, folds=folds, experts=7, tokens_at_once=3))
    parts = [part for part in (*made.folds, made.heldout) if part is not None]
    assert sum(part.tokens for part in parts) == len(names)
    assert (np.sum([part.loads[0] > 0 for part in parts], axis=0) <= 1).all()
    assert made.sequences == len(set(names))


def test_tokens_without_names_are_held_out_at_the_end(tmp_path: Path) -> None:
    """Without names the last share of each file is held out, and the folds are stretches."""
    experts = np.arange(20)[:, None, None]
    made = count_traces([save(tmp_path, "t", experts)], TraceOptions(heldout=0.25, folds=3))
    assert made.heldout is not None
    assert np.flatnonzero(made.heldout.loads[0]).tolist() == [15, 16, 17, 18, 19]
    assert [np.flatnonzero(fold.loads[0]).tolist() for fold in made.folds] == [
        list(range(5)),
        list(range(5, 10)),
        list(range(10, 15)),
    ]
    assert any("No sequences are named" in note for note in made.notes)


def test_a_file_can_be_a_sequence(tmp_path: Path) -> None:
    """With one sequence to a file, whole files are held out."""
    files = [save(tmp_path, f"t{i}", np.full((4, 2, 1), i)) for i in range(4)]
    made = count_traces(files, TraceOptions(heldout=0.5, folds=1, file_is_sequence=True))
    assert made.heldout is not None
    assert made.sequences == 4
    assert made.fit.loads[0].tolist() == [4, 0, 4, 0]
    assert made.heldout.loads[0].tolist() == [0, 4, 0, 4]


def test_tokens_with_missing_layers_are_left_out_and_counted(tmp_path: Path) -> None:
    """A token with a number below 0 is no part of any count, and a note says how many there were."""
    experts = np.array([[[0], [1]], [[1], [-1]], [[2], [0]]])
    made = count_traces([save(tmp_path, "t", experts)], TraceOptions(heldout=0.0))
    assert made.left_out == 1
    assert made.fit.tokens == 2
    assert made.fit.loads[0].tolist() == [1, 0, 1]
    assert "1 token was left out for want of some layers." in made.notes


def test_first_choices_keep_all_pairs_by_fold(tmp_path: Path) -> None:
    """Read as top-1, the folds still tell where the further choices went."""
    experts = np.array([[[0, 1], [2, 3]]] * 4)
    made = count_traces([save(tmp_path, "t", experts)], TraceOptions(heldout=0.0, folds=2, pairs="first"))
    assert [int(fold.transitions.sum()) for fold in made.folds if fold.transitions is not None] == [2, 2]
    assert len(made.folds_all_pairs) == 2
    assert made.folds_all_pairs[0][0].tolist() == [[0, 0, 2, 2], [0, 0, 2, 2], [0] * 4, [0] * 4]


def test_sets_are_sampled_evenly_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit one token of so many enters the sets, and a note says so."""
    monkeypatch.setattr(count, "MOST_SET_ROWS", 4)
    path = save(tmp_path, "t", np.arange(12)[:, None, None])
    made = count_traces([path], TraceOptions(heldout=0.0, token_sets=True, tokens_at_once=5))
    assert made.fit.token_sets is not None
    assert made.fit.token_sets.tolist() == [[0, 1, 0], [0, 1, 3], [0, 1, 6], [0, 1, 9]]
    assert "Token sets are those of one token in 3." in made.notes


def test_layers_keep_their_numbers(tmp_path: Path) -> None:
    """Rows of layers 3 and 5 make a trace of two layers that still has these numbers."""
    path = tmp_path / "t.jsonl"
    rows = [{"layer": layer, "token_idx": t, "experts": [t]} for layer in (3, 5) for t in range(3)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    made = count_traces([path], TraceOptions(heldout=0.0))
    assert made.fit.layers == 2
    assert made.layer_ids == (3, 5)
    assert made.model_layers == 6


def test_folds_are_dealt_evenly(tmp_path: Path) -> None:
    """The fitted sequences are dealt to the folds in turn, also where every so-manieth is held out."""
    experts = np.zeros((24, 1, 1), dtype=np.int64)
    path = save(tmp_path, "t", experts, np.arange(24))
    made = count_traces([path], TraceOptions(heldout=0.5, folds=4))
    assert [fold.tokens for fold in made.folds] == [3, 3, 3, 3]
