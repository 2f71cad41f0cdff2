"""A split problem as a layered path program, and its paths as decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.parts import Segment
from coinfer.models.split.trip import held_now, link_between, survival
from coinfer.solver.path.program import LayeredPath, Path, Piece
from coinfer.solver.program import FloatArray

if TYPE_CHECKING:
    from coinfer.models.split.data import SplitProblem

_PRICED = {"j_per_request": ("power_w", "j_per_byte"), "usd_per_request": ("usd_per_s", "usd_per_byte")}
"""What a second of a device and a byte of a link cost of a resource."""
BUDGETS = ("tpot_s", "ttft_s", "j_per_request", "usd_per_request", "quality_loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    """What one unit of decode time, prompt time and bytes adds to a resource."""

    name: str
    decode: float
    prefill: float


def layered_path(problem: SplitProblem) -> LayeredPath:
    """Return the program; resource 0 is the objective (the time of a token for the bottleneck)."""
    resources = _resources(problem)
    step, size, busy = _steps(problem, resources)
    loss = _limit(problem, "quality_loss")
    if loss is not None and loss < _exit_loss(problem):
        step = np.full_like(step, np.inf)  # the exits alone lose more than the budget
    weight, fixed, rate, amount, extra = _jumps(problem, resources)
    tpot_s = _limit(problem, "tpot_s")
    limits = [np.inf if resources[0].name != "tpot_s" or tpot_s is None else tpot_s]
    for resource in resources[1:]:
        limit = _limit(problem, resource.name) or 0.0
        # What no step uses must not use up the budget: exits lose their quality wherever the layers lie.
        limits.append(limit - (_exit_loss(problem) if resource.name == "quality_loss" else 0.0))
    return LayeredPath(
        step=step,
        size=size,
        capacity=np.array([device.memory_bytes for device in problem.devices], dtype=np.float64),
        budget=np.maximum(np.array(limits), 0.0),
        weight=weight,
        fixed=fixed,
        rate=rate,
        amount=amount,
        extra=extra,
        source=[device.name for device in problem.devices].index(problem.source),
        busy=busy,
        order="fixed" if problem.order == "listed" else "free",
        mixed_modes=len(problem.quantisations) > 1,
        objective="bottleneck" if problem.objective == "bottleneck" else "sum",
    )


def _resources(problem: SplitProblem) -> list[_Rates]:
    """Return the objective and each budgeted figure, as weights of decode and prompt seconds."""
    steps = problem.output_tokens - 1
    kinds = {
        "tpot_s": _Rates(name="tpot_s", decode=1.0, prefill=0.0),
        "ttft_s": _Rates(name="ttft_s", decode=0.0, prefill=1.0),
        "request_s": _Rates(name="request_s", decode=float(steps), prefill=1.0),
        "j_per_request": _Rates(name="j_per_request", decode=steps / problem.sequences, prefill=1.0),
        "usd_per_request": _Rates(name="usd_per_request", decode=steps / problem.sequences, prefill=1.0),
        "quality_loss": _Rates(name="quality_loss", decode=0.0, prefill=0.0),
    }
    first = "request_s" if problem.objective == "request" else "tpot_s"
    limited = [name for name in BUDGETS if _limit(problem, name) is not None]
    return [kinds[first], *(kinds[name] for name in limited if name != first)]


def _limit(problem: SplitProblem, name: str) -> float | None:
    return None if problem.budgets is None else getattr(problem.budgets, name)


def _exit_loss(problem: SplitProblem) -> float:
    return sum(early.quality_loss or 0.0 for early in problem.exits)


def _steps(problem: SplitProblem, resources: list[_Rates]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return step, size and busy of the program."""
    devices, modes = problem.devices, problem.quantisations
    counts = [group.count for group in problem.layers]
    layers = problem.layer_count
    alive = np.array(survival(problem))[:-1]
    decode = np.full((len(devices), len(modes), layers), np.inf)
    prefill = np.zeros_like(decode)
    size = np.zeros_like(decode)
    reload_s = np.zeros_like(decode)
    held = held_now(problem)
    for q, mode in enumerate(modes):
        weights = np.repeat([float(group.weights_bytes.get(mode, 0)) for group in problem.layers], counts)
        known = np.repeat([mode in group.weights_bytes for group in problem.layers], counts)
        kept = np.repeat([group.kv_bytes_per_token for group in problem.layers], counts) * problem.context_tokens
        size[:, q] = weights + kept
        for d, device in enumerate(devices):
            if mode in device.decode_s:
                decode[d, q] = np.where(known, np.repeat(device.decode_s[mode], counts) * alive, np.inf)
            table = (device.prefill_s_per_token or {}).get(mode)
            if table is not None:
                prefill[d, q] = np.repeat(table, counts) * problem.prompt_tokens
            if problem.running is not None and device.load_bytes_per_s is not None:
                missing = np.array([(device.name, mode, layer) not in held for layer in range(layers)])
                reload_s[d, q] = missing * weights / device.load_bytes_per_s / problem.running.tokens_until_next_change
    back = _exits(problem, decode, len(resources), resources)
    step = np.empty((len(resources), *decode.shape))
    for r, resource in enumerate(resources):
        step[r] = _used(problem, resource, decode, prefill) + back[r][:, None, :]
        if r == 0 and problem.objective != "bottleneck":
            step[r] += reload_s * (problem.output_tokens if problem.objective == "request" else 1)
    return step, size, np.where(np.isfinite(decode), decode, 0.0)


def _used(problem: SplitProblem, resource: _Rates, decode: FloatArray, prefill: FloatArray) -> FloatArray:
    """Return what each step uses of a resource."""
    possible = np.isfinite(decode)
    seconds = resource.decode * np.where(possible, decode, 0.0) + resource.prefill * prefill
    if resource.name == "quality_loss":
        seconds = np.zeros_like(decode)
        for q, mode in enumerate(problem.quantisations):
            losses = [(group.quality_loss or {}).get(mode, 0.0) for group in problem.layers]
            seconds[:, q] = np.repeat(losses, [group.count for group in problem.layers])
    price = _PRICED.get(resource.name)
    if price is not None:
        seconds = seconds * np.array([getattr(device, price[0]) for device in problem.devices])[:, None, None]
    return np.asarray(np.where(possible, seconds, np.inf))


def _exits(problem: SplitProblem, decode: FloatArray, count: int, resources: list[_Rates]) -> list[FloatArray]:
    """Add heads to ``decode``, and return what the way back from each exit uses, (devices, layers) by resource."""
    alive = survival(problem)
    back = [np.zeros((len(problem.devices), problem.layer_count)) for _ in range(count)]
    sent = problem.sequences * problem.token_bytes
    for early in problem.exits:
        layer = early.after_layer - 1
        for d, device in enumerate(problem.devices):
            link = link_between(problem, device.name, problem.source)
            if device.name not in early.head_s or (link is None and device.name != problem.source):
                decode[d, :, layer] = np.inf
                continue
            decode[d, :, layer] += alive[layer] * early.head_s[device.name]
            if link is None or device.name == problem.source:
                continue
            seconds = early.share * (link.latency_s + sent / link.bytes_per_s)
            for r, resource in enumerate(resources):
                if resource.name == "quality_loss":
                    continue
                price = _PRICED.get(resource.name)
                used = seconds if price is None else (getattr(link, price[1]) or 0.0) * early.share * sent
                back[r][d, layer] += resource.decode * used
    return back


def _jumps(
    problem: SplitProblem, resources: list[_Rates]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return weight, fixed, rate, amount and extra of the program.

    A jump waits for the signal in the share of the steps that take it and once for the prompt (``weight``), and moves
    the bytes of both (``amount``, for each unit of weight).
    """
    ends = [*(device.name for device in problem.devices), problem.source]
    alive = np.array(survival(problem))
    positions, step_bytes, prompt_bytes = _bytes(problem)
    weight = np.empty((len(resources), problem.layer_count + 1))
    fixed = np.zeros((len(resources), len(ends), len(ends)))
    rate = np.zeros_like(fixed)
    amount = np.zeros((len(resources), *step_bytes.shape))
    extra = np.zeros_like(amount)
    for r, resource in enumerate(resources):
        price = _PRICED.get(resource.name)
        moved = resource.decode * alive * step_bytes + resource.prefill * prompt_bytes
        weight[r] = resource.decode * alive + resource.prefill if price is None else 1.0
        amount[r] = np.divide(moved, weight[r], out=np.zeros_like(moved), where=weight[r] > 0.0)
        if resource.name == "quality_loss":
            extra[r, :, 1:-1] = np.array([[codec.quality_loss or 0.0] for codec in problem.codecs]).reshape(-1, 1)
        elif price is None:
            extra[r] = positions * (
                resource.decode * problem.sequences * alive + resource.prefill * problem.prompt_tokens
            )
        for a, start in enumerate(ends):
            for b, end in enumerate(ends):
                link = link_between(problem, start, end)
                if start == end or link is None:
                    fixed[r, a, b] = np.inf if start != end and r == 0 else 0.0
                elif price is not None:
                    rate[r, a, b] = getattr(link, price[1]) or 0.0
                elif resource.name != "quality_loss":
                    fixed[r, a, b], rate[r, a, b] = link.latency_s, 1.0 / link.bytes_per_s
    return weight, fixed, rate, amount, extra


def _bytes(problem: SplitProblem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return seconds of each codec for a position, bytes of a step and bytes of a prompt, (codecs, layers + 1) each.

    Hidden states cross inner boundaries; at both ends it is the numbers of tokens.
    """
    shape = (max(1, len(problem.codecs)), problem.layer_count + 1)
    seconds, element = np.zeros(shape), np.zeros(shape)
    for c, codec in enumerate(problem.codecs):
        seconds[c, 1:-1] = codec.seconds_per_token or 0.0
        element[c, 1:-1] = problem.hidden_size * codec.bytes_per_element
    step_bytes, prompt_bytes = problem.sequences * element, problem.prompt_tokens * element
    step_bytes[:, [0, -1]] = problem.sequences * problem.token_bytes
    prompt_bytes[:, 0] = problem.prompt_tokens * problem.token_bytes
    prompt_bytes[:, -1] = problem.token_bytes
    return seconds, step_bytes, prompt_bytes


def decision_of(problem: SplitProblem, path: Path) -> SplitDecision:
    """Return a path of the program as a decision."""
    segments: list[Segment] = []
    for i, piece in enumerate(path):
        starts = [j for j, mode in enumerate(piece.modes) if j == 0 or mode != piece.modes[j - 1]]
        for j, end in zip(starts, [*starts[1:], len(piece.modes)], strict=True):
            segments.append(
                Segment(
                    device=problem.devices[piece.carrier].name,
                    first_layer=piece.first + j,
                    last_layer=piece.first + end - 1,
                    quantisation=problem.quantisations[piece.modes[j]],
                    codec=problem.codecs[piece.codec].name if i > 0 and j == 0 else None,
                )
            )
    return SplitDecision(segments=tuple(segments))


def path_of(problem: SplitProblem, decision: SplitDecision) -> Path:
    """Return a decision that is a split of the problem's model as a path of the program."""
    devices = [device.name for device in problem.devices]
    codecs = [codec.name for codec in problem.codecs]
    pieces: list[Piece] = []
    for segment in decision.segments:
        modes = (problem.quantisations.index(segment.quantisation),) * (segment.last_layer - segment.first_layer + 1)
        carrier = devices.index(segment.device)
        if pieces and pieces[-1].carrier == carrier:
            before = pieces.pop()
            pieces.append(before._replace(last=segment.last_layer, modes=before.modes + modes))
            continue
        codec = 0 if segment.codec is None else codecs.index(segment.codec)
        pieces.append(
            Piece(carrier=carrier, first=segment.first_layer, last=segment.last_layer, modes=modes, codec=codec)
        )
    return tuple(pieces)
