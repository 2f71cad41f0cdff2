"""Which copy of an expert serves a token, and how many tokens change device: one rule for the plan and for the run.

The executor asks :func:`choose_devices` at every layer, so what :func:`predict_crossings` says of the routing trace of
a run is what the run sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import copies
from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.program import FloatArray, IntArray

Mode = Literal["two_alltoall", "context_coherent"]
MODES: tuple[Mode, ...] = get_args(Mode)

_TOKEN_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: the most even sequence of its kind
_LAYER_STEP = np.uint64(0xC13FA9A902A6328F)  # 2^64 over the plastic number, and over its square: independent offsets
_EXPERT_STEP = np.uint64(0x91E10DA5C79E7B1D)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DispatchTable:
    """The copies of a placement.

    Attributes
    ----------
    held
        (layers, experts, devices): whether the device holds a copy.
    shares
        (layers, experts, devices): share of the expert's tokens that the copy serves.
    dispatch
        ``split`` or ``local``, as in the problem.
    """

    held: BoolArray
    shares: FloatArray
    dispatch: Literal["split", "local"]

    @classmethod
    def of(cls, problem: PlacementProblem, decision: PlacementDecision) -> DispatchTable:
        """Return the copies that ``decision`` makes.

        Raises
        ------
        InputError
            If an expert has no copy with a share.
        CertificateError
            If the decision does not have the shape of the problem.
        """
        made = copies(problem, decision)
        lonely = np.argwhere(made.shares.sum(axis=2) <= 0.0)
        if len(lonely):
            layer, expert = lonely[0].tolist()
            expected = "a device with a share of every expert's tokens"
            raise InputError("decision", expected=expected, found=Plain(f"none for expert {expert} of layer {layer}"))
        return cls(held=made.held, shares=made.shares, dispatch=problem.dispatch)


def choose_devices(
    table: DispatchTable, layer: int, tokens: IntArray, experts: IntArray, present: IntArray
) -> IntArray:
    """Return the device that serves each expert of each token in one layer, (tokens, top_k).

    With several copies, ``split`` puts the token at ``frac(token / golden ratio + offset)`` in [0, 1), where the offset
    depends on layer and expert, and takes the copy whose stretch holds this point; stretches are as long as the shares,
    in the order of the devices. ``local`` takes the copy on the present device where there is one. No state is kept,
    so every device decides alike without asking another.

    Parameters
    ----------
    table
        Copies of the experts.
    layer
        Layer with experts, from 0.
    tokens
        (tokens,) number of each token in the run.
    experts
        (tokens, top_k) experts of each token.
    present
        (tokens,) device on which each token is now.
    """
    offset = np.array(layer, dtype=np.uint64) * _LAYER_STEP + experts.astype(np.uint64) * _EXPERT_STEP
    number = tokens.astype(np.uint64)[:, None] * _TOKEN_STEP
    point = ((number + offset) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    ends: FloatArray = np.cumsum(table.shares[layer], axis=1)
    ends = ends / ends[:, -1:]  # shares that add up to a hair less than 1 leave no gap at the end
    chosen: IntArray = (ends[experts] <= point[:, :, None]).sum(axis=2)
    if table.dispatch == "local":
        here = np.broadcast_to(present[:, None], experts.shape)
        chosen = np.where(table.held[layer][experts, here], here, chosen)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossings:
    """Rows that go from one device to another, (layers, senders, receivers) each; what stays counts nowhere.

    Attributes
    ----------
    dispatched
        Hidden states sent to devices of the token's experts: one row for each token and device, however many of the
        token's experts are there.
    returned
        Results of experts sent back: to the device that asked (``two_alltoall``), or to the one where the token goes
        on (``context_coherent``; none where top_k is 1).
    moved
        The part of ``dispatched`` with which a token itself moved to the device of its first expert; 0 in
        ``two_alltoall``, where tokens never move.
    """

    dispatched: IntArray
    returned: IntArray
    moved: IntArray

    @property
    def by_layer(self) -> IntArray:
        """Rows that changed device in each layer, (layers,)."""
        total: IntArray = (self.dispatched + self.returned).sum(axis=(1, 2))
        return total

    @property
    def total(self) -> int:
        """Rows that changed device."""
        return int(self.by_layer.sum())

    @property
    def moves_between_layers(self) -> IntArray:
        """Tokens that changed device between each layer and the next, (layers - 1,): what a plan's transitions count.

        The first layer is left out: where a token comes from there is no matter of placement.
        """
        between: IntArray = self.moved.sum(axis=(1, 2))[1:]
        return between

    def equals(self, other: Crossings) -> bool:
        """Return whether both hold the same numbers."""
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self.__slots__)


def predict_crossings(table: DispatchTable, experts: IntArray, *, mode: Mode, homes: IntArray) -> Crossings:
    """Return how many rows each device sends to each other one, layer by layer, if tokens are routed as told.

    Parameters
    ----------
    table
        Copies of the experts.
    experts
        (tokens, layers, top_k) routing trace, best expert first; a token's number is its row.
    mode
        ``two_alltoall``: each token lives on its home device; in each layer its hidden state goes to the devices of
        its experts and their results come back. ``context_coherent`` (ExFlow, arXiv 2401.08383): the token moves to
        the device of its first expert and goes on from there; devices of its further experts get a copy and send their
        results to where the token is now.
    homes
        (tokens,) device on which each token begins.

    Raises
    ------
    InputError
        If the trace or the homes do not fit the table.
    """
    _check(table, experts, homes, mode)
    layers, _, devices = table.held.shape
    tokens, present = np.arange(len(experts)), homes.astype(np.int64)
    out, back, moved = (np.zeros((layers, devices, devices), dtype=np.int64) for _ in range(3))
    for layer in range(layers):
        chosen = choose_devices(table, layer, tokens, experts[:, layer].astype(np.int64), present)
        visited = np.zeros((len(tokens), devices), dtype=bool)
        np.put_along_axis(visited, chosen, True, axis=1)
        token, to = np.nonzero(visited)
        after = chosen[:, 0] if mode == "context_coherent" else present
        np.add.at(out[layer], (present[token], to), 1)
        np.add.at(back[layer], (to, after[token]), 1)
        np.add.at(moved[layer], (present, after), 1)
        present = after
    for part in (out, back, moved):
        part[:, range(devices), range(devices)] = 0
    return Crossings(dispatched=out, returned=back, moved=moved)


def _check(table: DispatchTable, experts: IntArray, homes: IntArray, mode: str) -> None:
    layers, number, devices = table.held.shape
    if mode not in MODES:
        raise InputError("mode", expected=" or ".join(MODES), found=mode)
    if experts.ndim != 3 or experts.shape[1] != layers or not experts.shape[2]:
        raise InputError("trace", expected=f"(tokens, {layers}, top_k) experts", found=Plain(str(experts.shape)))
    if experts.size and not 0 <= int(experts.min()) <= int(experts.max()) < number:
        raise InputError("trace", expected=f"experts in 0..{number - 1}", found=Plain("others"))
    if homes.shape != (len(experts),) or (homes.size and not 0 <= int(homes.min()) <= int(homes.max()) < devices):
        raise InputError("homes", expected=f"a device in 0..{devices - 1} for each token", found=Plain("others"))
