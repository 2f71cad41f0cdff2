"""The parts of a split problem."""

from __future__ import annotations

from collections.abc import Iterator

from coinfer.errors import ProblemError
from coinfer.records import Record

LEAST, LARGEST = 1e-15, 1e15
"""Of an amount that is not 0, in any unit: sums and products of such amounts stay finite."""


def need_amount(record: object, *fields: str, above_0: bool = False) -> None:
    """Refuse an amount of ``record`` that is negative, too large or no number (or 0, with ``above_0``).

    A field holds a number, or numbers by name; an absent one passes.
    """
    least = LEAST if above_0 else 0.0
    for field in fields:
        held = getattr(record, field)
        for where, number in _amounts(field, held):
            if not least <= number <= LARGEST:
                raise ProblemError(where, expected=f"a number in {least:g}..{LARGEST:g}", found=number)


def _amounts(where: str, held: object) -> Iterator[tuple[str, float]]:
    """Yield every number that a field holds, with its place."""
    if isinstance(held, dict):
        for name, one in held.items():
            yield from _amounts(f"{where}[{name!r}]", one)
    elif isinstance(held, tuple):
        for i, one in enumerate(held):
            yield from _amounts(f"{where}[{i}]", one)
    elif isinstance(held, int | float):
        yield where, held


class LayerGroup(Record, frozen=True, kw_only=True):
    """Consecutive layers that are alike.

    Attributes
    ----------
    count
        How many; at least 1.
    weights_bytes
        Size of one layer, by quantisation.
    kv_bytes_per_token
        Size of one layer's keys and values for one token; the same in every quantisation of the weights.
    quality_loss
        Quality lost by computing one layer in a quantisation, in the user's unit; losses are taken to add up. Needed
        where quality has a budget.
    name
        For people, as ``decoder`` or ``lm_head``.
    """

    count: int
    weights_bytes: dict[str, int]
    kv_bytes_per_token: float
    quality_loss: dict[str, float] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_LAYERS:
            raise ProblemError("count", expected=f"an integer in 1..{MOST_LAYERS}", found=self.count)
        need_amount(self, "kv_bytes_per_token", "weights_bytes", "quality_loss")


class SplitDevice(Record, frozen=True, kw_only=True):
    """One device that can compute layers.

    Attributes
    ----------
    name
        Unique name.
    memory_bytes
        Room for weights, keys and values.
    decode_s
        Seconds that one layer takes for one token of every sequence in the batch, by quantisation and then by group of
        layers. A quantisation that is not listed cannot run here.
    prefill_s_per_token
        Seconds of one layer for each token of a prompt, in the same form; needed where the first token's time counts.
    power_w
        Power while computing.
    usd_per_s
        Price while computing.
    load_bytes_per_s
        How fast weights are brought to the device when the plan changes.
    """

    name: str
    memory_bytes: float
    decode_s: dict[str, tuple[float, ...]]
    prefill_s_per_token: dict[str, tuple[float, ...]] | None = None
    power_w: float | None = None
    usd_per_s: float | None = None
    load_bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            raise ProblemError("name", expected="a name of printable characters", found=self.name)
        need_amount(self, "memory_bytes", "power_w", "usd_per_s", "decode_s", "prefill_s_per_token")
        need_amount(self, "load_bytes_per_s", above_0=True)


class Link(Record, frozen=True, kw_only=True):
    """A connection in one direction, or in both where the problem lists no other from ``to`` to ``source``.

    Attributes
    ----------
    source, to
        Names of devices.
    latency_s
        Time of the smallest message.
    bytes_per_s
        Bandwidth.
    usd_per_byte, j_per_byte
        Price and energy of the traffic; absent: not counted, so a budget on them refuses the problem.
    """

    source: str
    to: str
    latency_s: float
    bytes_per_s: float
    usd_per_byte: float | None = None
    j_per_byte: float | None = None

    def __post_init__(self) -> None:
        need_amount(self, "latency_s", "usd_per_byte", "j_per_byte")
        need_amount(self, "bytes_per_s", above_0=True)
        if self.source == self.to:
            raise ProblemError("to", expected="a device other than 'source'", found=self.to)


class Codec(Record, frozen=True, kw_only=True):
    """How hidden states are written for the wire.

    Attributes
    ----------
    name
        As ``fp16`` or ``int8``.
    bytes_per_element
        Bytes of one number; scales included.
    seconds_per_token
        Time to encode and decode one position.
    quality_loss
        Quality lost at each boundary it is used at; needed where quality has a budget.
    """

    name: str
    bytes_per_element: float
    seconds_per_token: float | None = None
    quality_loss: float | None = None

    def __post_init__(self) -> None:
        need_amount(self, "bytes_per_element", above_0=True)
        need_amount(self, "seconds_per_token", "quality_loss")


class EarlyExit(Record, frozen=True, kw_only=True):
    """A place at which tokens may end.

    Attributes
    ----------
    after_layer
        Layers before it, counted from 1.
    share
        Share of all generated tokens that end here, as measured at the exit's threshold.
    head_s
        Seconds of the exit's head on each device, by name; a device that is not listed cannot hold this exit.
    quality_loss
        Quality lost by ending here, over all tokens; needed where quality has a budget.
    """

    after_layer: int
    share: float
    head_s: dict[str, float]
    quality_loss: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ProblemError("share", expected="a share in 0..1", found=self.share)
        need_amount(self, "quality_loss", "head_s")


class SplitBudgets(Record, frozen=True, kw_only=True):
    """What a plan may cost at most; absent: no limit.

    Attributes
    ----------
    ttft_s
        Time to the first token.
    tpot_s
        Time for each further token.
    j_per_request, usd_per_request
        Energy and money of one request: its prompt and all its tokens.
    quality_loss
        Sum of the losses of quantisations, codecs and exits.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    j_per_request: float | None = None
    usd_per_request: float | None = None
    quality_loss: float | None = None

    def __post_init__(self) -> None:
        need_amount(self, "ttft_s", "tpot_s", "j_per_request", "usd_per_request", "quality_loss")


class RunningSplit(Record, frozen=True, kw_only=True):
    """The split that runs now, and for how many tokens a new one would have to pay for the change.

    Attributes
    ----------
    segments
        As in a decision.
    tokens_until_next_change
        Generated tokens over which the time of bringing weights to devices is spread.
    """

    segments: tuple[Segment, ...]
    tokens_until_next_change: float

    def __post_init__(self) -> None:
        need_amount(self, "tokens_until_next_change", above_0=True)


class Segment(Record, frozen=True, kw_only=True):
    """Consecutive layers on one device.

    Attributes
    ----------
    device
        Its name.
    first_layer, last_layer
        Counted from 0, both included.
    quantisation
        Of the weights.
    codec
        In which hidden states arrive from the device before; absent on the first segment of the source, and where the
        device is the same as the one before.
    """

    device: str
    first_layer: int
    last_layer: int
    quantisation: str
    codec: str | None = None


MOST_LAYERS, MOST_DEVICES = 4096, 512
