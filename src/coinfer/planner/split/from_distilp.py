"""Problems from distilp's profiles: the ring that distilp itself plans, and a split whose costs are never negative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coinfer.errors import InputError
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.parts import Codec, LayerGroup, Link, SplitDevice
from coinfer.models.split.ring import RingDevice
from coinfer.profiler.imports.distilp import BATCH, DistilpDevice, DistilpModel

KV_BYTES = {"4bit": 0.5, "8bit": 1.0, "fp16": 2.0, "bf16": 2.0}
"""Bytes of a number in keys and values, by distilp's names."""
WEIGHTS_OVERHEAD, KV_OVERHEAD = 1.15, 1.0 + 2.0 / 64.0
"""distilp's allowance for weights, and for the scales of keys and values in groups of 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilpRing:
    """What :func:`coinfer.models.split.ring.solve_ring` takes.

    Attributes
    ----------
    devices, layers
        Of the ring.
    constant_s
        distilp's constant. It takes the memory of Linux devices, read from the disk, off the time, and can be negative.
    """

    devices: tuple[RingDevice, ...]
    layers: int
    constant_s: float


def layer_bytes(model: DistilpModel, kv: str) -> int:
    """Return distilp's size of a layer with its keys and values.

    Raises
    ------
    InputError
        If ``kv`` is no width that distilp knows.
    """
    if kv not in KV_BYTES:
        raise InputError("kv", expected=f"one of {', '.join(KV_BYTES)}", found=kv)
    held = sum(model.kv_elements) * model.kv_tokens * KV_BYTES[kv]
    return int(WEIGHTS_OVERHEAD * model.layer_bytes + KV_OVERHEAD * held)


def ring_from_distilp(devices: Sequence[DistilpDevice], model: DistilpModel, *, kv: str) -> DistilpRing:
    """Return the ring of distilp 0.1's own cost model, term for term.

    Raises
    ------
    InputError
        If ``kv`` is no width that distilp knows, or a device has no throughput for the model's number format.
    """
    size = layer_bytes(model, kv)
    ends = model.input_bytes / model.vocabulary + model.output_bytes
    ring = tuple(_ring_device(device, model, size, ends) for device in devices)
    head = next((device for device in devices if device.is_head), devices[0])
    constant_s = _over(model.output_flops, _speed(head.scpu, model, head.name)) + ends / head.T_cpu
    constant_s += model.input_bytes / (model.vocabulary * head.s_disk) + model.output_bytes / head.s_disk
    constant_s += sum(
        (device.c_cpu - device.d_avail_ram - _swap(device)) / device.s_disk
        for device in devices
        if device.os_type != "mac_metal"
    )
    return DistilpRing(devices=ring, layers=model.layers, constant_s=constant_s)


def _ring_device(device: DistilpDevice, model: DistilpModel, size: int, ends: float) -> RingDevice:
    cpu_s, gpu_s = _layer_s(device, model, size)
    kept = (ends if device.is_head else 0.0) + device.c_cpu
    card = math.inf
    if device.has_cuda and device.d_avail_cuda is not None:
        card = (device.d_avail_cuda - device.c_gpu) / size
    if device.has_metal and device.d_avail_metal is not None:
        output = model.output_bytes if device.is_head else 0.0
        card = min(card, (device.d_avail_metal - device.c_gpu - output) / size)
    shared = main = math.inf
    if device.os_type == "mac_no_metal":
        shared = (device.d_avail_ram - kept) / size
    elif device.os_type == "mac_metal":
        if device.d_avail_metal is not None:
            shared = (device.d_avail_metal - kept - device.c_gpu) / size
    else:
        main = (device.d_avail_ram + _swap(device) - kept) / size
    disk = max(1.0, device.s_disk)
    # On Metal what does not fit is read as bare weights, elsewhere with its keys and values.
    read = (model.layer_bytes if device.os_type == "mac_metal" else size) / disk
    copies = 0.0 if device.is_unified_mem else device.t_ram2vram + device.t_vram2ram
    gains = gpu_s is not None and device.os_type != "mac_no_metal"
    return RingDevice(
        name=device.name,
        layer_s=cpu_s,
        gpu_gain_s=(gpu_s - cpu_s) if gains and gpu_s is not None else 0.0,
        round_s=device.t_comm + copies,
        fetch_s=size / disk,
        spill_s=(read, size / disk, read),
        room=(shared, main, card),
        has_gpu=(device.has_cuda and device.d_avail_cuda is not None)
        or (device.has_metal and device.d_avail_metal is not None),
    )


def _swap(device: DistilpDevice) -> float:
    return min(device.d_bytes_can_swap, device.d_swap_avail) if device.os_type == "android" else 0.0


def _layer_s(device: DistilpDevice, model: DistilpModel, size: float) -> tuple[float, float | None]:
    """Return the seconds of a layer on the processor, and on the graphics processor."""
    cpu_s = _over(model.layer_flops, _speed(device.scpu, model, device.name))
    cpu_s += device.t_kvcpy_cpu + size / device.T_cpu
    if device.gpu is None:
        return cpu_s, None
    speeds, rate = device.gpu
    return cpu_s, _over(model.layer_flops, _speed(speeds, model, device.name)) + device.t_kvcpy_gpu + size / rate


def _speed(speeds: dict[str, dict[str, float]], model: DistilpModel, name: str) -> float:
    speed = speeds.get(model.quantisation, {}).get(BATCH)
    if speed is None:
        expected = f"a throughput for {model.quantisation} at {BATCH}"
        raise InputError(name, expected=expected, found=", ".join(speeds))
    return speed


def _over(flops: float, speed: float) -> float:
    """Return the seconds; distilp counts none where a throughput is 0."""
    return flops / speed if speed > 0.0 else 0.0


def split_from_distilp(
    devices: Sequence[DistilpDevice], model: DistilpModel, *, kv: str, link_bytes_per_s: float, output_tokens: int
) -> SplitProblem:
    """Return a split problem with the measured times of distilp's profiles.

    Each device computes on its graphics processor where it has one, with the memory of it. Layers must fit: nothing is
    read from the disk while tokens are made, and every time is a sum of measured times, so no cost is negative.

    Parameters
    ----------
    devices, model
        As read.
    kv
        Width of keys and values, as distilp names it.
    link_bytes_per_s
        Bandwidth between devices; the files hold none. A message takes ``t_comm`` of the device that it comes from.
    output_tokens
        Of a request; its prompt has the length that the model was profiled with.

    Raises
    ------
    InputError
        As for :func:`ring_from_distilp`.
    """
    size = layer_bytes(model, kv)
    head = next((device for device in devices if device.is_head), devices[0])
    made = []
    for device in devices:
        cpu_s, gpu_s = _layer_s(device, model, size)
        speeds = device.scpu if device.gpu is None else device.gpu[0]
        prompt = model.layer_prefill_flops
        per_token = None if prompt is None else prompt / max(1, model.prompt_tokens)
        room = device.d_avail_ram if device.gpu is None else _card_bytes(device)
        made.append(
            SplitDevice(
                name=device.name,
                memory_bytes=max(0.0, room - (device.c_cpu if device.gpu is None else device.c_gpu)),
                decode_s={model.quantisation: (cpu_s if gpu_s is None else gpu_s,)},
                prefill_s_per_token=None
                if per_token is None
                else {model.quantisation: (_over(per_token, _speed(speeds, model, device.name)),)},
            )
        )
    links = tuple(
        Link(source=a.name, to=b.name, latency_s=a.t_comm, bytes_per_s=link_bytes_per_s)
        for a in devices
        for b in devices
        if a is not b
    )
    return SplitProblem(
        name="from distilp",
        layers=(
            LayerGroup(
                count=model.layers,
                weights_bytes={model.quantisation: int(WEIGHTS_OVERHEAD * model.layer_bytes)},
                kv_bytes_per_token=KV_OVERHEAD * KV_BYTES[kv] * sum(model.kv_elements),
            ),
        ),
        hidden_size=model.hidden_size,
        devices=tuple(made),
        codecs=(Codec(name="fp16", bytes_per_element=2.0),),
        prompt_tokens=max(1, model.prompt_tokens),
        output_tokens=output_tokens,
        source=head.name,
        links=links,
        order="free" if len(devices) > 1 else "listed",
    )


def _card_bytes(device: DistilpDevice) -> float:
    metal = device.d_avail_metal if device.has_metal else None
    cuda = device.d_avail_cuda if device.has_cuda else None
    return next((number for number in (metal, cuda) if number is not None), device.d_avail_ram)
