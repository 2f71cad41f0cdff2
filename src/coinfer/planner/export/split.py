"""Splits in the form that the engines read.

Facts:

- Accelerate and transformers (``device_map``): module names and devices; every weight must lie below exactly one of the
  names. Devices are indices of local GPUs, ``cpu``, ``disk`` or a torch device.
- llama.cpp (``src/llama-model.cpp``): layers before ``n_layer + 1 - n_gpu_layers`` stay on the processor; layer ``i``
  of the others goes to the first device whose cumulative share of ``--tensor-split`` lies above its position; the
  output layer is the last position. Whole counts with one more for the last device therefore cut exactly.
  ``--device`` sets the order; without it RPC servers come before local devices.
- dnet (firstbatchxyz) reads assignments by instance, with one list of layers for each round; distilp's solutions are
  rounds ``k`` and layers ``w`` for each device and round.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coinfer.errors import InputError, Plain
from coinfer.models.split.trip import group_of_layer

if TYPE_CHECKING:
    from coinfer.models.split.data import SplitProblem
    from coinfer.models.split.decision import SplitDecision

EMBEDDING, HEAD = "embedding", "lm_head"
"""Names of layer groups that stand for the ends of a model; all other layers are its decoder layers."""
_ADDRESS = re.compile(r"[^\s,:]+:\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSplit:
    """What an engine reads, and what it cannot be told.

    Attributes
    ----------
    content
        JSON object.
    notes
        One sentence each.
    """

    content: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Where each decoder layer lies, and the two ends of the model."""

    decoder: tuple[str, ...]
    first: str
    last: str
    quantisations: tuple[str, ...]


def _ends(problem: SplitProblem, decision: SplitDecision) -> _Ends:
    groups = group_of_layer(problem)
    place = [
        segment.device for segment in decision.segments for _ in range(segment.first_layer, segment.last_layer + 1)
    ]
    ends = [i for i, group in enumerate(groups) if group.name in (EMBEDDING, HEAD)]
    if any(0 < i < len(groups) - 1 for i in ends):
        found = Plain("one in the middle")
        raise InputError("layers", expected=f"groups named {EMBEDDING} first and {HEAD} last", found=found)
    return _Ends(
        decoder=tuple(device for i, device in enumerate(place) if i not in ends),
        first=place[0],
        last=place[-1],
        quantisations=tuple(dict.fromkeys(segment.quantisation for segment in decision.segments)),
    )


def device_map(
    problem: SplitProblem,
    decision: SplitDecision,
    *,
    targets: Mapping[str, str | int] | None = None,
    prefix: str = "model",
) -> ExportedSplit:
    """Return the ``device_map`` of Accelerate for a causal language model of transformers.

    Parameters
    ----------
    problem, decision
        What was planned, and the split.
    targets
        Torch device of each device used, as ``0`` or ``"cpu"``; absent: 0, 1, 2 ... in the order of the layers.
    prefix
        Module that holds the layers: ``model`` for Llama, Qwen, Mistral and their kin.

    Raises
    ------
    InputError
        If a device used has no target.
    """
    ends = _ends(problem, decision)
    used = tuple(dict.fromkeys((ends.first, *ends.decoder, ends.last)))
    chosen = dict(zip(used, range(len(used)), strict=True)) if targets is None else _targets(used, targets)
    content = {
        f"{prefix}.embed_tokens": chosen[ends.first],
        f"{prefix}.rotary_emb": chosen[ends.first],
        **{f"{prefix}.layers.{i}": chosen[device] for i, device in enumerate(ends.decoder)},
        f"{prefix}.norm": chosen[ends.last],
        "lm_head": chosen[ends.last],
    }
    notes = [f"{device}: {chosen[device]}" for device in used]
    if len(ends.quantisations) > 1:
        notes.append(f"one model file has one quantisation; the plan has {', '.join(ends.quantisations)}")
    return ExportedSplit(content=content, notes=tuple(notes))


def _targets(used: tuple[str, ...], targets: Mapping[str, str | int]) -> dict[str, str | int]:
    missing = [device for device in used if device not in targets]
    if missing:
        raise InputError("targets", expected=f"a target for {missing[0]!r}", found=Plain(", ".join(targets) or "none"))
    return {device: targets[device] for device in used}


def llama_cpp(problem: SplitProblem, decision: SplitDecision, *, targets: Mapping[str, str | int]) -> ExportedSplit:
    """Return the arguments of llama.cpp's programs.

    Parameters
    ----------
    problem, decision
        What was planned, and the split.
    targets
        For each device used: a name as ``llama-server --list-devices`` prints it (``CUDA0``), the ``host:port`` of an
        ``rpc-server``, or ``cpu`` for the machine's own processor.

    Raises
    ------
    InputError
        If a device used has no target, or the processor holds other than the first layers.
    """
    ends = _ends(problem, decision)
    used = tuple(dict.fromkeys(ends.decoder))
    chosen = {device: str(target) for device, target in _targets(used, targets).items()}
    counts = {device: ends.decoder.count(device) for device in used}
    processors = [device for device in used if chosen[device].lower() == "cpu"]
    if processors not in ([], [used[0]]):
        expected = "the processor for the first layers only: llama.cpp gives it no others"
        raise InputError("targets", expected=expected, found=Plain(f"{processors[-1]} later on"))
    split = [device for device in used if device not in processors]
    servers = [chosen[device] for device in split if _ADDRESS.fullmatch(chosen[device])]
    names = [f"RPC{servers.index(chosen[d])}" if chosen[d] in servers else chosen[d] for d in split]
    arguments = ["--n-gpu-layers", str(sum(counts[device] for device in split) + bool(split))]
    if servers:
        arguments += ["--rpc", ",".join(servers)]
    if split:
        shares = [counts[device] + (device == split[-1]) for device in split]
        arguments += ["--device", ",".join(names), "--split-mode", "layer"]
        arguments += ["--tensor-split", ",".join(str(share) for share in shares)]
    notes = ["the last share counts the output layer too"] if split else []
    if split and ends.last != split[-1]:
        notes.append(f"the plan has the output layer on {ends.last}; llama.cpp puts it on {split[-1]}")
    if len(ends.quantisations) > 1:
        notes.append(f"a GGUF file has its own types for each tensor; the plan has {', '.join(ends.quantisations)}")
    if servers:
        notes.append("RPC devices are named RPC0, RPC1 ... in the order of --rpc; check with --list-devices")
    return ExportedSplit(content={"arguments": arguments, "command": shlex.join(arguments)}, notes=tuple(notes))


def layer_table(problem: SplitProblem, decision: SplitDecision) -> ExportedSplit:
    """Return layers by device, as distilp states its solutions and dnet reads its assignments."""
    ends = _ends(problem, decision)
    used = tuple(dict.fromkeys(ends.decoder))
    own = {device: [i for i, place in enumerate(ends.decoder) if place == device] for device in used}
    after: dict[str, str | None] = dict(zip(used, [*used[1:], None], strict=True))
    assignments = [
        {
            "instance": device,
            "layers": [own[device]],
            "next_instance": after[device],
            "window_size": len(own[device]),
            "residency_size": len(own[device]),
        }
        for device in used
    ]
    named = [device.name for device in problem.devices]
    content = {
        "k": 1,
        "devices": named,
        "w": [len(own.get(name, ())) for name in named],
        "assignments": assignments,
    }
    left = [name for name in named if name not in own]
    notes = [f"{name} holds no layer" for name in left]
    if left:
        notes.append("distilp itself gives every device a layer")
    return ExportedSplit(content=content, notes=tuple(notes))
