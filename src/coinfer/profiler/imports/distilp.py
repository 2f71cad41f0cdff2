"""Profiles of distilp (firstbatchxyz, version 0.1): what its profiler writes of devices and models.

Only the fields that its solver reads are kept; all others are passed over. A model file has one entry for each layer
and the embedding before them; distilp takes the first layer for all, and so does this reader. Throughputs of quantised
numbers in these files are distilp's factors of the measured F32 figure (0.25 for Q4_K, 0.31, 0.37, 0.5), not
measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, ProfileError

BATCH = "b_1"
"""distilp plans for batch 1."""


class DistilpDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device; the symbols are those of prima.cpp (arXiv 2504.08791).

    Attributes
    ----------
    name, os_type
        Host name; ``mac_metal``, ``mac_no_metal``, ``linux`` or ``android``.
    is_head
        Whether it holds the embedding and the output layer.
    is_unified_mem, has_cuda, has_metal
        What kind of memory and of graphics processor it has.
    scpu, sgpu_cuda, sgpu_metal
        Operations per second, by number format and batch (``b_1``).
    T_cpu, T_cuda, T_metal
        Bytes per second from memory to registers.
    t_kvcpy_cpu, t_kvcpy_gpu, t_ram2vram, t_vram2ram, t_comm
        Seconds of copying keys and values, of copies between memories, and of a message.
    s_disk
        Bytes per second from the disk.
    d_avail_ram, d_avail_cuda, d_avail_metal
        Bytes free.
    c_cpu, c_gpu
        Bytes of computing buffers.
    d_bytes_can_swap, d_swap_avail
        Bytes that Android could swap, and room for them.
    """

    name: str
    os_type: Literal["mac_metal", "mac_no_metal", "linux", "android"]
    scpu: dict[str, dict[str, float]]
    T_cpu: float
    s_disk: float
    d_avail_ram: float
    is_head: bool = False
    is_unified_mem: bool = False
    has_cuda: bool = False
    has_metal: bool = False
    sgpu_cuda: dict[str, dict[str, float]] | None = None
    sgpu_metal: dict[str, dict[str, float]] | None = None
    T_cuda: float | None = None
    T_metal: float | None = None
    t_kvcpy_cpu: float = 0.0
    t_kvcpy_gpu: float = 0.0
    t_ram2vram: float = 0.0
    t_vram2ram: float = 0.0
    t_comm: float = 0.0
    d_avail_cuda: float | None = None
    d_avail_metal: float | None = None
    c_cpu: float = 0.0
    c_gpu: float = 0.0
    d_bytes_can_swap: float = 0.0
    d_swap_avail: float = 0.0

    @property
    def gpu(self) -> tuple[dict[str, dict[str, float]], float] | None:
        """Operations and bytes per second of the graphics processor; Metal before CUDA; ``None`` without one."""
        if self.has_metal and self.sgpu_metal and self.T_metal:
            return self.sgpu_metal, self.T_metal
        if self.has_cuda and self.sgpu_cuda and self.T_cuda:
            return self.sgpu_cuda, self.T_cuda
        return None


class _ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a model file that are read."""

    b: list[float]
    b_i: list[float]
    b_o: list[float]
    L: int
    hk: int
    ek: int
    hv: int
    ev: int
    n_kv: int
    e_embed: int
    V: int
    f_q: dict[str, dict[str, list[float]]]
    f_out: dict[str, dict[str, float]]
    quantization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilpModel:
    """A model of equal layers.

    Attributes
    ----------
    layers, vocabulary, hidden_size, kv_tokens
        Counts; keys and values are held for ``kv_tokens`` tokens.
    layer_bytes, input_bytes, output_bytes
        Bytes of a layer's weights, and of what goes in and out.
    layer_flops, layer_prefill_flops, output_flops
        Operations of a layer for a token and for a whole prompt, and of the output layer for a token.
    prompt_tokens
        Length of that prompt.
    kv_elements
        Numbers in a layer's keys and values for one token: keys, values.
    quantisation
        Number format of the weights, as ``Q4_K``.
    """

    layers: int
    vocabulary: int
    hidden_size: int
    kv_tokens: int
    layer_bytes: float
    input_bytes: float
    output_bytes: float
    layer_flops: float
    layer_prefill_flops: float | None
    output_flops: float
    prompt_tokens: int
    kv_elements: tuple[int, int]
    quantisation: str


def read_distilp_device(path: Path) -> DistilpDevice:
    """Read a device profile.

    Raises
    ------
    InputError
        With the field that is missing, of another kind, or no amount.
    """
    where = str(path)
    device = jsonfile.convert(jsonfile.parse(jsonfile.read_text(path), where=where), DistilpDevice, where=where)
    for field in ("T_cpu", "s_disk"):
        if not 0.0 < getattr(device, field) < math.inf:
            raise ProfileError(f"{where}: {field}", expected="a finite number above 0", found=getattr(device, field))
    for field in device.__struct_fields__:
        number = getattr(device, field)
        if isinstance(number, float | int) and not 0.0 <= number < math.inf:
            raise ProfileError(f"{where}: {field}", expected="a finite number, at least 0", found=number)
    return device


def read_distilp_model(path: Path) -> DistilpModel:
    """Read a model profile.

    Raises
    ------
    InputError
        With the field that is missing, of another kind, or of another length; also for the schema before version 0.1,
        whose ``f_q`` has no phases.
    """
    where = str(path)
    data: Any = jsonfile.parse(jsonfile.read_text(path), where=where)
    if isinstance(data, dict) and not isinstance(data.get("f_q"), dict):
        expected = "operations by phase and batch; the schema before distilp 0.1 has none"
        raise ProfileError(f"{where}: f_q", expected=expected, found=data.get("f_q"))
    read = jsonfile.convert(data, _ModelFile, where=where)
    if read.L < 1 or read.V < 1:
        raise ProfileError(f"{where}: L", expected="at least one layer and a vocabulary", found=(read.L, read.V))
    decode = read.f_q.get("decode", {}).get(BATCH, [])
    for name, entries in (("b", read.b), ("b_i", read.b_i), ("b_o", read.b_o), (f"f_q.decode.{BATCH}", decode)):
        if len(entries) != read.L + 1:
            expected = f"{read.L + 1} numbers, for the embedding and each layer"
            raise ProfileError(f"{where}: {name}", expected=expected, found=Plain(str(len(entries))))
    output = read.f_out.get("decode", {}).get(BATCH)
    if output is None:
        raise ProfileError(f"{where}: f_out.decode.{BATCH}", expected="a number", found=Plain("none"))
    prefill = read.f_q.get("prefill", {}).get(BATCH, [])
    return DistilpModel(
        layers=read.L,
        vocabulary=read.V,
        hidden_size=read.e_embed,
        kv_tokens=read.n_kv,
        layer_bytes=read.b[1],
        input_bytes=read.b_i[1],
        output_bytes=read.b_o[1],
        layer_flops=decode[1],
        layer_prefill_flops=prefill[1] if len(prefill) == read.L + 1 else None,
        output_flops=output,
        prompt_tokens=int(data.get("seq_len") or 0),
        kv_elements=(read.hk * read.ek, read.hv * read.ev),
        quantisation=read.quantization,
    )


def read_distilp_folder(folder: Path) -> tuple[tuple[DistilpDevice, ...], DistilpModel]:
    """Read ``model_profile.json`` of a folder, and every other JSON file in it as a device, by name.

    Without a head among them the first device becomes the head, as in distilp.
    """
    files = sorted(path for path in folder.glob("*.json") if path.name != "model_profile.json")
    if not files:
        raise InputError(
            str(folder), expected="a JSON file for each device beside model_profile.json", found=Plain("0")
        )
    return with_head([read_distilp_device(path) for path in files]), read_distilp_model(folder / "model_profile.json")


def with_head(devices: Sequence[DistilpDevice]) -> tuple[DistilpDevice, ...]:
    """Return the devices, the first one as head where there is none."""
    if any(device.is_head for device in devices):
        return tuple(devices)
    return (msgspec.structs.replace(devices[0], is_head=True), *devices[1:])
