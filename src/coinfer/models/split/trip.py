"""The way of a token through a split: what each device computes and what crosses each link."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from coinfer.models.split.parts import Codec, LayerGroup, Link

if TYPE_CHECKING:
    from coinfer.models.split.data import SplitProblem
    from coinfer.models.split.decision import SplitDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Mean seconds of a device for one step of the batch, and for a prompt; NaN where that was not measured."""

    device: str
    decode_s: float
    prefill_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One crossing of a link.

    Attributes
    ----------
    link
        The link.
    share
        Share of the steps that take it.
    step_bytes, prompt_bytes
        Bytes of one step of the batch, and of a prompt.
    codec
        Of hidden states; absent for token numbers.
    step_codec_s, prompt_codec_s
        Time of the codec in each.
    in_prompt
        Whether a prompt takes it: the way back from an early exit is taken by later tokens only.
    """

    link: Link
    share: float
    step_bytes: float
    prompt_bytes: float
    codec: Codec | None = None
    step_codec_s: float = 0.0
    prompt_codec_s: float = 0.0
    in_prompt: bool = True

    @property
    def busy_s(self) -> float:
        """Mean time that a step keeps the link busy; waiting for the signal keeps nothing busy."""
        return self.share * (self.step_bytes / self.link.bytes_per_s + self.step_codec_s)

    @property
    def decode_s(self) -> float:
        """Mean time that a step waits for it."""
        return self.share * self.link.latency_s + self.busy_s

    @property
    def prefill_s(self) -> float:
        """Time that a prompt waits for it."""
        if not self.in_prompt:
            return 0.0
        return self.link.latency_s + self.prompt_bytes / self.link.bytes_per_s + self.prompt_codec_s


def survival(problem: SplitProblem) -> tuple[float, ...]:
    """Return the share of tokens that pass each boundary, (layers + 1,): before layer 0, ..., after the last."""
    alive, shares = 1.0, []
    ends = {early.after_layer: early.share for early in problem.exits}
    for boundary in range(problem.layer_count + 1):
        alive = max(0.0, alive - ends.get(boundary, 0.0))
        shares.append(alive)
    return tuple(shares)


def group_of_layer(problem: SplitProblem) -> tuple[LayerGroup, ...]:
    """Return the group of each layer."""
    return tuple(group for group in problem.layers for _ in range(group.count))


def held_now(problem: SplitProblem) -> frozenset[tuple[str, str, int]]:
    """Return each (device, quantisation, layer) that the running split holds."""
    if problem.running is None:
        return frozenset()
    return frozenset(
        (segment.device, segment.quantisation, layer)
        for segment in problem.running.segments
        for layer in range(segment.first_layer, segment.last_layer + 1)
    )


def link_between(problem: SplitProblem, start: str, end: str) -> Link | None:
    """Return the link from one device to another: the one listed, or the one listed for the other way."""
    back = None
    for link in problem.links:
        if (link.source, link.to) == (start, end):
            return link
        if (link.source, link.to) == (end, start):
            back = link
    return back


def hidden_hop(problem: SplitProblem, link: Link, codec: Codec, *, share: float) -> Hop:
    """Return the crossing of hidden states."""
    position = problem.hidden_size * codec.bytes_per_element
    seconds = codec.seconds_per_token or 0.0
    return Hop(
        link=link,
        share=share,
        step_bytes=problem.sequences * position,
        prompt_bytes=problem.prompt_tokens * position,
        codec=codec,
        step_codec_s=problem.sequences * seconds,
        prompt_codec_s=problem.prompt_tokens * seconds,
    )


def misfits(problem: SplitProblem, decision: SplitDecision) -> Iterator[str]:
    """Yield a sentence for each way in which ``decision`` is no split of the problem's model."""
    names = [device.name for device in problem.devices]
    codecs = {codec.name for codec in problem.codecs}
    covered = 0
    for segment in decision.segments:
        if segment.device not in names:
            yield f"{segment.device!r} is no device of the problem"
            return
        if segment.first_layer != covered or segment.last_layer < covered:
            yield f"layer {covered} should come next; found {segment.first_layer}..{segment.last_layer}"
            return
        covered = segment.last_layer + 1
    if covered != problem.layer_count:
        yield f"the segments hold {covered} layers; the model has {problem.layer_count}"
        return
    path = [segment.device for segment in decision.segments]
    runs = [path[0], *(after for before, after in pairwise(path) if before != after)]
    if len(set(runs)) < len(runs):
        yield "a device holds two runs of layers; one is allowed"
    if problem.order == "listed" and [names.index(name) for name in runs] != sorted(names.index(name) for name in runs):
        yield "devices do not follow one another as they are listed"
    yield from _cannot_run(problem, decision)
    for before, segment in zip([None, *decision.segments[:-1]], decision.segments, strict=True):
        moved = before is not None and before.device != segment.device
        if moved != (segment.codec is not None) or (moved and segment.codec not in codecs):
            yield f"layer {segment.first_layer}: expected {'a codec' if moved else 'no codec'}; found {segment.codec!r}"
        if before is not None and moved and link_between(problem, before.device, segment.device) is None:
            yield f"there is no link from {before.device} to {segment.device}"
    for start, end in ((problem.source, path[0]), (path[-1], problem.source)):
        if start != end and link_between(problem, start, end) is None:
            yield f"there is no link from {start} to {end}"


def _cannot_run(problem: SplitProblem, decision: SplitDecision) -> Iterator[str]:
    """Yield a sentence for each layer or exit that a device cannot compute."""
    devices = {device.name: device for device in problem.devices}
    groups = group_of_layer(problem)
    for segment in decision.segments:
        layers = range(segment.first_layer, segment.last_layer + 1)
        known = all(segment.quantisation in groups[layer].weights_bytes for layer in layers)
        if segment.quantisation not in devices[segment.device].decode_s or not known:
            yield f"{segment.device} cannot compute layers {layers[0]}..{layers[-1]} in {segment.quantisation!r}"
        for early in problem.exits:
            if early.after_layer - 1 not in layers:
                continue
            if segment.device not in early.head_s:
                yield f"{segment.device} cannot hold the exit after layer {early.after_layer}"
            elif segment.device != problem.source and link_between(problem, segment.device, problem.source) is None:
                yield f"there is no link from {segment.device}, which holds an exit, to {problem.source}"


def trip(problem: SplitProblem, decision: SplitDecision) -> tuple[tuple[Work, ...], tuple[Hop, ...]]:
    """Return all work and all crossings of a decision that :func:`misfits` finds nothing about."""
    alive = survival(problem)
    devices = {device.name: device for device in problem.devices}
    codecs = {codec.name: codec for codec in problem.codecs}
    number = [index for index, group in enumerate(problem.layers) for _ in range(group.count)]
    work: list[Work] = []
    hops: list[Hop] = []
    at = problem.source
    for segment in decision.segments:
        device = devices[segment.device]
        if segment.device != at:
            link = _link(problem, at, segment.device)
            if segment.first_layer == 0:
                prompt = problem.prompt_tokens * problem.token_bytes
                hops.append(_tokens(problem, link, share=1.0, prompt_bytes=prompt))
            else:
                codec = codecs[segment.codec or ""]
                hops.append(hidden_hop(problem, link, codec, share=alive[segment.first_layer]))
        at = segment.device
        prompt_table = device.prefill_s_per_token or {}
        for layer in range(segment.first_layer, segment.last_layer + 1):
            numbers = prompt_table.get(segment.quantisation)
            prefill_s = math.nan if numbers is None else problem.prompt_tokens * numbers[number[layer]]
            decode_s = alive[layer] * device.decode_s[segment.quantisation][number[layer]]
            work.append(Work(device=at, decode_s=decode_s, prefill_s=prefill_s))
        for early in problem.exits:
            if segment.first_layer < early.after_layer <= segment.last_layer + 1:
                head_s = alive[early.after_layer - 1] * early.head_s[at]
                work.append(Work(device=at, decode_s=head_s, prefill_s=0.0))
                if at != problem.source:
                    link = _link(problem, at, problem.source)
                    hops.append(_tokens(problem, link, share=early.share, prompt_bytes=0.0, in_prompt=False))
    if at != problem.source:
        link = _link(problem, at, problem.source)
        hops.append(_tokens(problem, link, share=alive[-1], prompt_bytes=problem.token_bytes))
    return tuple(work), tuple(hops)


def _link(problem: SplitProblem, start: str, end: str) -> Link:
    found = link_between(problem, start, end)
    if found is None:
        raise ValueError(f"no link from {start} to {end}: misfits() refuses such a decision")
    return found


def _tokens(problem: SplitProblem, link: Link, *, share: float, prompt_bytes: float, in_prompt: bool = True) -> Hop:
    """Return the crossing of token numbers."""
    step_bytes = problem.sequences * problem.token_bytes
    return Hop(link=link, share=share, step_bytes=step_bytes, prompt_bytes=prompt_bytes, in_prompt=in_prompt)
