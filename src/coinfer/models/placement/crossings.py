"""Which copy serves which token, and what therefore crosses between devices: one rule for planner and executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.models.placement.evaluate import Copies
from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.program import IntArray

Mode = Literal["two_alltoall", "context_coherent"]
Dispatch = Literal["split", "local"]

_TOKEN_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: the most even sequence of this kind
_LAYER_STEP = 0xC13FA9A902A6328F  # 2^64 over the plastic number and over its square: other offsets
_EXPERT_STEP = np.uint64(0x91E10DA5C79E7B1D)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossings:
    """Rows that are sent between devices.

    Attributes
    ----------
    dispatched
        (layers, devices, devices): tokens sent from a device (row) to one that runs experts for them (column); the
        diagonal counts what stays. A token goes once to each device, however many of its experts lie there.
    combined
        (layers, devices, devices): results sent on, from where an expert ran to where the token goes on.
    """

    dispatched: IntArray
    combined: IntArray

    @property
    def crossing(self) -> IntArray:
        """Rows of each layer that change device on their way to the experts, (layers,).

        With one expert a token in ``context_coherent`` mode, those of all layers but the first are what the plan counts
        as transitions that change device.
        """
        crossing: IntArray = self.dispatched.sum(axis=(1, 2)) - np.trace(self.dispatched, axis1=1, axis2=2)
        return crossing


def chosen_devices(
    copies: Copies, dispatch: Dispatch, *, layer: int, experts: IntArray, tokens: IntArray, here: IntArray
) -> IntArray:
    """Return the device whose copy serves each choice, (tokens, top_k).

    Among several copies the token's number decides: its place in the sequence ``frac(token / golden ratio + offset)``,
    whose offset depends on layer and expert, falls into the stretch of one copy; stretches are as long as the shares.
    No state is kept, so every device decides alike without asking.

    Parameters
    ----------
    copies
        What lies where, and the shares.
    dispatch
        ``split``: by the shares. ``local``: the device where the token is, if it holds a copy, else by the shares.
    layer
        Layer among those with experts.
    experts
        (tokens, top_k): experts of each token.
    tokens
        (tokens,): number of each token in its trace.
    here
        (tokens,): device where each token is.
    """
    number = tokens.astype(np.uint64)[:, None] * _TOKEN_STEP
    offset = np.uint64(layer * _LAYER_STEP % 2**64) + experts.astype(np.uint64) * _EXPERT_STEP
    place = ((number + offset) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    ends = np.cumsum(copies.shares[layer], axis=1)
    ends /= ends[:, -1:]  # shares that add up to a hair less than 1 leave no gap at the end
    device: IntArray = (ends[experts] <= place[:, :, None]).sum(axis=2)
    if dispatch == "local":
        present = np.broadcast_to(here[:, None], experts.shape)
        device = np.where(copies.held[layer][experts, present], present, device)
    return device


def visited_devices(device: IntArray, devices: int) -> BoolArray:
    """Return which devices each token is sent to, (tokens, devices), for the device of each choice (tokens, top_k)."""
    visited = np.zeros((len(device), devices), dtype=bool)
    np.put_along_axis(visited, device, True, axis=1)
    return visited


def predict_crossings(copies: Copies, dispatch: Dispatch, trace: IntArray, home: IntArray, *, mode: Mode) -> Crossings:
    """Return exactly what an execution of a trace sends between devices.

    Parameters
    ----------
    copies, dispatch
        What lies where, and the rule.
    trace
        (tokens, layers, top_k): experts of each token, best first; a token's number is its row.
    home
        (tokens,): device where each token starts.
    mode
        ``two_alltoall``: in every layer a token is sent from its home to the devices of its experts, and their results
        come back. ``context_coherent`` (ExFlow, arXiv 2401.08383): a token goes on where its first expert ran; results
        of its other experts are sent there.

    Raises
    ------
    InputError
        If trace or homes do not fit the copies.
    """
    layers, experts, devices = copies.held.shape
    if trace.ndim != 3 or trace.shape[1] != layers or (trace.size and not 0 <= trace.min() <= trace.max() < experts):
        expected = f"(tokens, {layers}, top_k) numbers in 0..{experts - 1}"
        raise InputError("trace", expected=expected, found=Plain(str(trace.shape)))
    if home.shape != (len(trace),) or (home.size and not 0 <= home.min() <= home.max() < devices):
        raise InputError("home", expected=f"a device in 0..{devices - 1} for each token", found=Plain("others"))
    tokens, here = np.arange(len(trace)), home.astype(np.int64)
    dispatched = np.zeros((layers, devices, devices), dtype=np.int64)
    combined = np.zeros_like(dispatched)
    for layer in range(layers):
        chosen = trace[:, layer].astype(np.int64)
        device = chosen_devices(copies, dispatch, layer=layer, experts=chosen, tokens=tokens, here=here)
        visited = visited_devices(device, devices)
        onward = here if mode == "two_alltoall" else device[:, 0]
        np.add.at(dispatched[layer], here, visited)
        np.add.at(combined[layer].T, onward, visited)
        here = onward
    combined[:, range(devices), range(devices)] = 0  # results that stay are not sent
    return Crossings(dispatched=dispatched, combined=combined)
