"""One rule says which copy serves a token, and so what crosses between devices."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.errors import InputError
from coinfer.models.placement.crossings import Dispatch, Mode, chosen_devices, predict_crossings, visited_devices
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import Copies, copies, evaluate
from coinfer.models.placement.formulate import slots_of
from coinfer.models.placement.parts import PlacementDevice
from coinfer.records import Matrix

MODES: tuple[Mode, ...] = ("two_alltoall", "context_coherent")
RULES: tuple[Dispatch, ...] = ("split", "local")

Numbers = NDArray[np.int64]


def random_copies(generator: np.random.Generator, shape: tuple[int, int, int], *, replicated: bool) -> Copies:
    """Return copies with shares: one of each expert, or at random several."""
    layers, experts, devices = shape
    held = np.zeros(shape, dtype=bool)
    first = generator.integers(devices, size=(layers, experts, 1))
    np.put_along_axis(held, first, values=True, axis=2)
    if replicated:
        held |= generator.random(shape) < 0.4
    shares = np.where(held, generator.random(shape) + 0.05, 0.0)
    return Copies(held=held, shares=shares / shares.sum(axis=2, keepdims=True))


def random_trace(generator: np.random.Generator, tokens: int, shape: tuple[int, int, int], top_k: int) -> Numbers:
    """Return distinct experts for every token and layer, (tokens, layers, top_k)."""
    layers, experts, _ = shape
    trace: Numbers = np.argsort(generator.random((tokens, layers, experts)), axis=2)[:, :, :top_k]
    return trace


def walked(made: Copies, rule: Dispatch, trace: Numbers, home: Numbers, mode: Mode) -> tuple[Numbers, Numbers]:
    """Count rows by walking token for token, with sets and no arrays: an independent account of the protocol."""
    layers, _, devices = made.held.shape
    dispatched, combined = np.zeros((2, layers, devices, devices), dtype=np.int64)
    for token, path in enumerate(trace):
        at = int(home[token])
        for layer, experts in enumerate(path):
            one = np.array([token])
            device = chosen_devices(made, rule, layer=layer, experts=experts[None], tokens=one, here=np.array([at]))[
                0
            ].tolist()
            goes_on = at if mode == "two_alltoall" else device[0]
            for to in set(device):
                dispatched[layer, at, to] += 1
                combined[layer, to, goes_on] += to != goes_on
            at = goes_on
    return dispatched, combined


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    devices=st.integers(1, 5),
    top_k=st.integers(1, 3),
    mode=st.sampled_from(MODES),
    rule=st.sampled_from(RULES),
    replicated=st.booleans(),
)
def test_counts_are_those_of_a_walk(
    seed: int, devices: int, top_k: int, mode: Mode, rule: Dispatch, replicated: bool
) -> None:
    """The arrays say what following each token through each layer says."""
    generator = np.random.default_rng(seed)
    shape = (3, 6, devices)
    made = random_copies(generator, shape, replicated=replicated)
    trace = random_trace(generator, 25, shape, top_k)
    home = generator.integers(devices, size=25)
    found = predict_crossings(made, rule, trace, home, mode=mode)
    dispatched, combined = walked(made, rule, trace, home, mode)
    assert np.array_equal(found.dispatched, dispatched)
    assert np.array_equal(found.combined, combined)
    apart = ~np.eye(devices, dtype=bool)
    assert found.crossing.tolist() == dispatched[:, apart].sum(axis=1).tolist()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), top_k=st.integers(1, 3), replicated=st.booleans())
def test_what_goes_out_comes_back(seed: int, top_k: int, replicated: bool) -> None:
    """With two all-to-alls every row that leaves home has one result that returns on the same link."""
    generator = np.random.default_rng(seed)
    made = random_copies(generator, (3, 6, 4), replicated=replicated)
    trace = random_trace(generator, 30, (3, 6, 4), top_k)
    found = predict_crossings(made, "split", trace, generator.integers(4, size=30), mode="two_alltoall")
    out = found.dispatched.copy()
    out[:, range(4), range(4)] = 0
    assert np.array_equal(out, found.combined.transpose(0, 2, 1))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rule=st.sampled_from(RULES))
def test_one_expert_needs_no_way_back(seed: int, rule: Dispatch) -> None:
    """With one expert a token, context coherence sends each token at most once in a layer, and nothing back."""
    generator = np.random.default_rng(seed)
    made = random_copies(generator, (4, 6, 3), replicated=True)
    trace = random_trace(generator, 30, (4, 6, 3), 1)
    found = predict_crossings(made, rule, trace, generator.integers(3, size=30), mode="context_coherent")
    assert not found.combined.any()
    assert (found.dispatched.sum(axis=(1, 2)) == 30).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), devices=st.sampled_from((2, 3, 6)))
def test_crossings_are_those_the_plan_counts(seed: int, devices: int) -> None:
    """With one expert a token, the crossings after the first layer are the plan's transitions that change device."""
    generator = np.random.default_rng(seed)
    layers, experts, tokens = 4, 6, 50
    trace = random_trace(generator, tokens, (layers, experts, devices), 1)
    counts = np.zeros((layers - 1, experts, experts))
    for layer, (here, there) in enumerate(itertools.pairwise(trace[:, :, 0].T)):
        np.add.at(counts[layer], (here, there), 1.0)
    loads = np.array([np.bincount(column, minlength=experts) for column in trace[:, :, 0].T], dtype=float)
    problem = PlacementProblem(
        name="walk",
        layers=layers,
        experts=experts,
        top_k=1,
        devices=tuple(PlacementDevice(name=f"d{i}") for i in range(devices)),
        tokens=tokens,
        loads=Matrix(loads),
        transitions=Matrix(counts.reshape(-1, experts)),
    )
    part = np.array([generator.permutation(experts) % devices for _ in range(layers)])
    decision = PlacementDecision(slots=slots_of(part, problem))
    home = generator.integers(devices, size=tokens)
    found = predict_crossings(copies(problem, decision), "split", trace, home, mode="context_coherent")
    share = evaluate(problem, decision).fit.crossing
    assert share is not None
    assert found.crossing[1:].sum() == round(share * tokens * (layers - 1))


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.9])
def test_copies_serve_their_shares(share: float) -> None:
    """Over consecutive tokens a copy serves its share of them, far closer than chance would."""
    shares = np.array([[[share, 0.0, 1.0 - share]]])
    made = Copies(held=shares > 0.0, shares=shares)
    tokens = np.arange(7_000, 11_000)
    device = chosen_devices(
        made, "split", layer=0, experts=np.zeros((4_000, 1), dtype=np.int64), tokens=tokens, here=tokens * 0
    )
    assert abs((device == 0).sum() - share * 4_000) <= 8  # chance would give +- 60 for equal shares
    assert not (device == 1).any()


def test_experts_and_layers_are_split_apart() -> None:
    """Which copy serves one expert says nothing of another expert, or of another layer."""
    made = Copies(held=np.ones((3, 4, 2), dtype=bool), shares=np.full((3, 4, 2), 0.5))
    tokens = np.arange(4_000)
    experts = np.tile(np.arange(4), (4_000, 1))
    device = np.concatenate(
        [chosen_devices(made, "split", layer=i, experts=experts, tokens=tokens, here=tokens * 0) for i in range(3)],
        axis=1,
    )
    together = np.array([(one == other).mean() for one, other in itertools.combinations(device.T, 2)])
    assert ((together > 0.0) & (together < 1.0)).all()


@pytest.mark.parametrize("rule", RULES)
def test_local_copies_keep_tokens(rule: Literal["split", "local"]) -> None:
    """With every expert on every device, ``local`` sends nothing, and ``split`` does."""
    made = Copies(held=np.ones((3, 4, 2), dtype=bool), shares=np.full((3, 4, 2), 0.5))
    generator = np.random.default_rng(5)
    trace = random_trace(generator, 200, (3, 4, 2), 2)
    found = predict_crossings(made, rule, trace, np.arange(200) % 2, mode="context_coherent")
    assert bool(found.crossing.any()) == (rule == "split")


def test_a_device_counts_once() -> None:
    """A token whose experts all lie on one device visits one device."""
    visited = visited_devices(np.array([[1, 1], [0, 2]]), 3)
    assert visited.tolist() == [[False, True, False], [True, False, True]]


def test_traces_that_do_not_fit_are_refused() -> None:
    """Another number of layers, an unknown expert or an unknown home is one clear sentence."""
    made = Copies(held=np.ones((2, 4, 2), dtype=bool), shares=np.full((2, 4, 2), 0.5))
    good, home = np.zeros((3, 2, 1), dtype=np.int64), np.zeros(3, dtype=np.int64)
    for trace, start in ((good[:, :1], home), (good + 4, home), (good - 1, home), (good, home + 2), (good, home[:2])):
        with pytest.raises(InputError, match=r"^(trace|home): expected"):
            predict_crossings(made, "split", trace, start, mode="two_alltoall")
