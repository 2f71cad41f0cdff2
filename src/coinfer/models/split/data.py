"""The split problem: which device computes which layers of one model."""

from __future__ import annotations

from typing import Literal

from coinfer.models.split.parts import Codec, EarlyExit, LayerGroup, Link, RunningSplit, SplitBudgets, SplitDevice
from coinfer.models.split.validate import validate
from coinfer.records import Document

FORMAT = "coinfer/problem/1"


class SplitProblem(Document, frozen=True, kw_only=True, tag_field="kind", tag="split"):
    """Cut a model's layers into segments and put each on a device, so that tokens come fast and every budget is kept.

    Attributes
    ----------
    name, description
        Of the problem.
    layers
        The model's layers in order, as groups of layers that are alike.
    hidden_size
        Numbers in one position's hidden state, which cross where the device changes.
    devices
        See the class. A device holds one run of consecutive layers at most, and may stay unused.
    links
        Between devices. Two devices without a link cannot follow one another.
    codecs
        How hidden states may be written for the wire; the plan chooses one for each boundary.
    prompt_tokens, output_tokens
        Of a typical request; together they are the context whose keys and values must fit.
    source
        Device where prompts start and tokens are wanted.
    sequences
        Requests whose keys and values are held at once, and the batch that ``decode_s`` was measured with.
    token_bytes
        Bytes of a token's number on the way back to ``source``.
    exits
        Places at which tokens may end before the last layer.
    objective
        ``tpot``: mean seconds for each generated token. ``request``: seconds of a whole request. ``bottleneck``: the
        longest busy time of any device or link for one token, whose inverse is the most tokens per second of one
        pipeline.
    order
        ``listed``: layers pass devices in the order of the list, some left out; ``free``: in any order.
    budgets
        Limits on the rest.
    running
        The split that runs now, and what leaving it costs.
    model
        The language model, for the executor: ``zoo:NAME``, a local path or a Hugging Face id.
    """

    file_format = FORMAT

    name: str
    layers: tuple[LayerGroup, ...]
    hidden_size: int
    devices: tuple[SplitDevice, ...]
    codecs: tuple[Codec, ...]
    prompt_tokens: int
    output_tokens: int
    source: str
    links: tuple[Link, ...] = ()
    sequences: int = 1
    token_bytes: float = 4.0
    exits: tuple[EarlyExit, ...] = ()
    objective: Literal["tpot", "request", "bottleneck"] = "tpot"
    order: Literal["listed", "free"] = "listed"
    budgets: SplitBudgets | None = None
    running: RunningSplit | None = None
    model: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        validate(self)

    @property
    def layer_count(self) -> int:
        """Layers of the model."""
        return sum(group.count for group in self.layers)

    @property
    def context_tokens(self) -> int:
        """Tokens whose keys and values are held."""
        return self.sequences * (self.prompt_tokens + self.output_tokens)

    @property
    def quantisations(self) -> tuple[str, ...]:
        """Every quantisation that a group of layers lists, in the order met first."""
        return tuple(dict.fromkeys(name for group in self.layers for name in group.weights_bytes))
