r"""What a split does to a request: time, energy, money, quality and memory, from the problem alone.

With :math:`s_l` the share of tokens that still run at layer :math:`l` (what no exit before it has taken), one generated
token takes

.. math::
    \sum_l s_l t^{dec}_l + \sum_e a_e h_e + \sum_{cuts} s_l (\alpha + b\, n / \beta + \gamma) + \text{the way back},

with :math:`a_e` the share that reaches exit :math:`e`, :math:`h_e` its head's time, :math:`\alpha` and :math:`\beta` a
link's latency and bandwidth, :math:`b` a codec's bytes per number, :math:`n` the numbers of one position of every
sequence, :math:`\gamma` the codec's own time. The prompt is the same sum with prefill times, all its positions at every
cut, and no exits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coinfer.models.split.trip import Hop, Work, group_of_layer, held_now, misfits, trip
from coinfer.records import Record

if TYPE_CHECKING:
    from coinfer.models.split.data import SplitProblem
    from coinfer.models.split.decision import SplitDecision

SLACK = 1e-9
"""Relative amount by which a limit may be passed: rounding of sums, not room."""


class DeviceUse(Record, frozen=True, kw_only=True):
    """What one device holds and does.

    Attributes
    ----------
    device
        Its name.
    layers
        How many it computes.
    weights_bytes, kv_bytes
        Memory of its weights, and of the keys and values of every sequence.
    busy_s
        Mean time it computes for one generated token of every sequence.
    """

    device: str
    layers: int
    weights_bytes: float
    kv_bytes: float
    busy_s: float


class SplitFigures(Record, frozen=True, kw_only=True):
    """What a split does; absent: what it rests on was not measured.

    Attributes
    ----------
    tpot_s
        Mean seconds for each generated token.
    bottleneck_s
        Longest time for which one generated token of every sequence keeps a device or a link of the pipeline busy.
    tokens_per_s
        Most tokens per second of this pipeline: sequences over ``bottleneck_s``; absent where nothing is busy.
    hidden_bytes_per_token
        Hidden states sent for one generated token of one sequence.
    cuts
        Times that hidden states change device.
    use
        By device, in the order of the layers.
    ttft_s, request_s
        Seconds to the first token, and of a whole request.
    j_per_request, usd_per_request
        Energy and money of a request.
    quality_loss
        Sum of the losses.
    reload_s
        Seconds of bringing weights to devices that do not hold them now; absent where nothing runs.
    """

    tpot_s: float
    bottleneck_s: float
    hidden_bytes_per_token: float
    cuts: int
    use: tuple[DeviceUse, ...]
    tokens_per_s: float | None = None
    ttft_s: float | None = None
    request_s: float | None = None
    j_per_request: float | None = None
    usd_per_request: float | None = None
    quality_loss: float | None = None
    reload_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitEvaluation:
    """A decision's objective, its figures (absent where it is no split of the model), and each broken limit."""

    value: float
    figures: SplitFigures | None
    violations: tuple[str, ...]


def evaluate(problem: SplitProblem, decision: SplitDecision) -> SplitEvaluation:
    """Compute every figure of ``decision`` and check every limit."""
    broken = [*misfits(problem, decision)]
    if broken:
        return SplitEvaluation(value=math.inf, figures=None, violations=tuple(broken))
    work, hops = trip(problem, decision)
    figures = _figures(problem, decision, work, hops)
    for use in figures.use:
        room = next(device.memory_bytes for device in problem.devices if device.name == use.device)
        if use.weights_bytes + use.kv_bytes > room * (1.0 + SLACK):
            needed = use.weights_bytes + use.kv_bytes
            broken.append(f"{use.device} needs {needed:,.0f} bytes for weights and context; it has {room:,.0f}")
    for field in ("ttft_s", "tpot_s", "j_per_request", "usd_per_request", "quality_loss"):
        limit = None if problem.budgets is None else getattr(problem.budgets, field)
        number = getattr(figures, field)
        if limit is not None and not number <= limit + SLACK * max(limit, number):
            broken.append(f"{field} is {number:.6g}; the budget is {limit:.6g}")
    return SplitEvaluation(value=_value(problem, figures), figures=figures, violations=tuple(broken))


def _value(problem: SplitProblem, figures: SplitFigures) -> float:
    """Return the objective; leaving the running split is charged to the tokens until the next change."""
    if problem.objective == "bottleneck":
        return figures.bottleneck_s
    reload_s = 0.0
    if problem.running is not None:
        reload_s = (figures.reload_s or 0.0) / problem.running.tokens_until_next_change
    if problem.objective == "tpot":
        return figures.tpot_s + reload_s
    return _number(figures.request_s) + problem.output_tokens * reload_s


def _figures(
    problem: SplitProblem, decision: SplitDecision, work: tuple[Work, ...], hops: tuple[Hop, ...]
) -> SplitFigures:
    tpot_s = sum(part.decode_s for part in work) + sum(hop.decode_s for hop in hops)
    ttft_s = sum(part.prefill_s for part in work) + sum(hop.prefill_s for hop in hops)
    steps = problem.output_tokens - 1
    shared = steps / problem.sequences  # a step computes a token of every sequence; a request pays its part
    use = _use(problem, decision, work)
    bottleneck_s = max([*(part.busy_s for part in use), *(hop.busy_s for hop in hops if hop.in_prompt)])
    devices = {device.name: device for device in problem.devices}
    joules = dollars = 0.0
    for part in work:
        busy_s = part.prefill_s + shared * part.decode_s
        joules += busy_s * _number(devices[part.device].power_w)
        dollars += busy_s * _number(devices[part.device].usd_per_s)
    for hop in hops:
        sent = hop.prompt_bytes + shared * hop.share * hop.step_bytes
        joules += sent * _number(hop.link.j_per_byte)
        dollars += sent * _number(hop.link.usd_per_byte)
    cuts = [hop for hop in hops if hop.codec is not None]
    reload_s = _reload_s(problem, decision)
    return SplitFigures(
        tpot_s=tpot_s,
        bottleneck_s=bottleneck_s,
        tokens_per_s=problem.sequences / bottleneck_s if bottleneck_s > 0.0 else None,
        hidden_bytes_per_token=sum(hop.share * hop.step_bytes for hop in cuts) / problem.sequences,
        cuts=len(cuts),
        use=use,
        ttft_s=_present(ttft_s),
        request_s=_present(ttft_s + steps * tpot_s),
        j_per_request=_present(joules),
        usd_per_request=_present(dollars),
        quality_loss=_present(_quality_loss(problem, decision)),
        reload_s=reload_s,
    )


def _use(problem: SplitProblem, decision: SplitDecision, work: tuple[Work, ...]) -> tuple[DeviceUse, ...]:
    groups = group_of_layer(problem)
    used: dict[str, DeviceUse] = {}
    for name in dict.fromkeys(segment.device for segment in decision.segments):
        own = [segment for segment in decision.segments if segment.device == name]
        layers = [(layer, s.quantisation) for s in own for layer in range(s.first_layer, s.last_layer + 1)]
        used[name] = DeviceUse(
            device=name,
            layers=len(layers),
            weights_bytes=float(sum(groups[layer].weights_bytes[q] for layer, q in layers)),
            kv_bytes=sum(groups[layer].kv_bytes_per_token for layer, _ in layers) * problem.context_tokens,
            busy_s=sum(part.decode_s for part in work if part.device == name),
        )
    return tuple(used.values())


def _quality_loss(problem: SplitProblem, decision: SplitDecision) -> float:
    groups = group_of_layer(problem)
    codecs = {codec.name: codec for codec in problem.codecs}
    total = sum(_number(early.quality_loss) for early in problem.exits)
    for segment in decision.segments:
        for layer in range(segment.first_layer, segment.last_layer + 1):
            total += _number((groups[layer].quality_loss or {}).get(segment.quantisation))
        if segment.codec is not None:
            total += _number(codecs[segment.codec].quality_loss)
    return total


def _reload_s(problem: SplitProblem, decision: SplitDecision) -> float | None:
    if problem.running is None:
        return None
    groups = group_of_layer(problem)
    rates = {device.name: device.load_bytes_per_s or math.nan for device in problem.devices}
    held = held_now(problem)
    return sum(
        groups[layer].weights_bytes[segment.quantisation] / rates[segment.device]
        for segment in decision.segments
        for layer in range(segment.first_layer, segment.last_layer + 1)
        if (segment.device, segment.quantisation, layer) not in held
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _present(value: float) -> float | None:
    return None if math.isnan(value) else value
