"""distilp's profiles as rings and as splits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from coinfer.errors import InputError
from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.evaluate import evaluate
from coinfer.models.split.parts import Segment
from coinfer.models.split.ring import solve_ring
from coinfer.planner.split.from_distilp import KV_BYTES, ring_from_distilp, split_from_distilp
from coinfer.profiler.imports.distilp import read_distilp_device, read_distilp_folder, read_distilp_model
from coinfer.testing.ring import solve_ring_by_milp

SHARED = Path(__file__).parents[4] / "shared" / "data" / "distilp"

DEVICE: dict[str, Any] = {
    "name": "mac",
    "os_type": "mac_metal",
    "is_head": True,
    "is_unified_mem": True,
    "has_metal": True,
    "scpu": {"Q4_K": {"b_1": 2e11}},
    "sgpu_metal": {"Q4_K": {"b_1": 4e11}},
    "T_cpu": 3e10,
    "T_metal": 1e11,
    "s_disk": 2e9,
    "d_avail_ram": 6e9,
    "d_avail_metal": 6e9,
    "t_comm": 0.01,
    "unknown_field": 3,
}
LINUX: dict[str, Any] = {
    **{key: value for key, value in DEVICE.items() if "metal" not in key},
    "name": "linux",
    "os_type": "linux",
    "is_head": False,
    "d_avail_ram": 64e9,
    "s_disk": 5e8,
}
MODEL: dict[str, Any] = {
    "b": [0, 4e8, 4e8, 4e8, 4e8],
    "b_i": [0, 8e6, 8e6, 8e6, 8e6],
    "b_o": [0, 8e6, 8e6, 8e6, 8e6],
    "L": 4,
    "hk": 8,
    "ek": 128,
    "hv": 8,
    "ev": 128,
    "n_kv": 512,
    "e_embed": 8192,
    "V": 128256,
    "seq_len": 512,
    "f_q": {"prefill": {"b_1": [0, 8e11, 8e11, 8e11, 8e11]}, "decode": {"b_1": [0, 2e9, 2e9, 2e9, 2e9]}},
    "f_out": {"decode": {"b_1": 2e9}},
    "quantization": "Q4_K",
}


def _folder(tmp_path: Path, *devices: dict[str, Any], model: dict[str, Any] = MODEL) -> Path:
    for i, device in enumerate(devices):
        (tmp_path / f"device{i}.json").write_text(json.dumps(device), encoding="utf-8")
    (tmp_path / "model_profile.json").write_text(json.dumps(model), encoding="utf-8")
    return tmp_path


def test_a_split_of_linux_devices_costs_no_negative_time(tmp_path: Path) -> None:
    """Its own objective falls below 0 where a Linux device has much memory and a slow disk; a split's does not."""
    devices, model = read_distilp_folder(_folder(tmp_path, DEVICE, LINUX))
    ring = ring_from_distilp(devices, model, kv="8bit")
    found = solve_ring(ring.devices, ring.layers, constant_s=ring.constant_s)
    assert found is not None
    assert found.value < 0.0
    problem = split_from_distilp(devices, model, kv="8bit", link_bytes_per_s=1e8, output_tokens=32)
    halves = SplitDecision(
        segments=(
            Segment(device="mac", first_layer=0, last_layer=1, quantisation="Q4_K"),
            Segment(device="linux", first_layer=2, last_layer=3, quantisation="Q4_K", codec="fp16"),
        )
    )
    judged = evaluate(problem, halves)
    assert not judged.violations
    assert judged.value > 0.0


@pytest.mark.parametrize("kv", sorted(KV_BYTES))
@pytest.mark.parametrize("name", ["hermes_70b", "llama_3_70b/4bit", "llama_3_70b/online", "qwen3_32b/bf16"])
def test_shipped_profiles_have_the_objective_of_distilp(name: str, kv: str) -> None:
    """On every loadable folder and width the exact ring costs what distilp's integer program says."""
    if not SHARED.is_dir():
        pytest.skip("shared data is not here: data/distilp")
    devices, model = read_distilp_folder(SHARED / name)
    ring = ring_from_distilp(devices, model, kv=kv)
    found = solve_ring(ring.devices, ring.layers, constant_s=ring.constant_s)
    peer = solve_ring_by_milp(ring.devices, ring.layers, constant_s=ring.constant_s)
    assert found is not None
    assert peer is not None
    assert math.isclose(found.value, peer.value, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("name", "kv", "value", "rounds", "layers"),
    [
        ("hermes_70b", "4bit", 29.643569, 40, (2,)),
        ("llama_3_70b/4bit", "4bit", 12.834690, 8, (10,)),
        ("llama_3_70b/online", "4bit", 1.934942, 2, (13, 27)),
        ("qwen3_32b/bf16", "4bit", 12.072837, 16, (4,)),
    ],
)
def test_shipped_profiles_have_the_figures_that_distilp_printed(
    name: str, kv: str, value: float, rounds: int, layers: tuple[int, ...]
) -> None:
    """Objective, rounds and windows are those that distilp 0.1.6 itself returned."""
    if not SHARED.is_dir():
        pytest.skip("shared data is not here: data/distilp")
    devices, model = read_distilp_folder(SHARED / name)
    ring = ring_from_distilp(devices, model, kv=kv)
    found = solve_ring(ring.devices, ring.layers, constant_s=ring.constant_s)
    assert found is not None
    assert math.isclose(found.value, value, abs_tol=5e-7)
    assert (found.rounds, found.layers, found.gpu_layers) == (rounds, layers, layers)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"f_q": [0, 1, 2]}, "the schema before distilp 0.1"),
        ({"b": [0, 1]}, "b: expected 5 numbers"),
        ({"f_out": {}}, "f_out.decode.b_1"),
        ({"L": "many"}, "L"),
    ],
)
def test_a_broken_model_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Old schemas and wrong fields are named."""
    folder = _folder(tmp_path, DEVICE, model={**MODEL, **change})
    with pytest.raises(InputError, match=sentence):
        read_distilp_model(folder / "model_profile.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"T_cpu": 0.0}, "T_cpu: expected a finite number above 0"),
        ({"t_comm": -1.0}, "t_comm: expected a finite number, at least 0"),
        ({"os_type": "windows"}, "os_type"),
        ({"s_disk": None}, "s_disk"),
    ],
)
def test_a_broken_device_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Wrong fields are named."""
    folder = _folder(tmp_path, {**DEVICE, **change})
    with pytest.raises(InputError, match=sentence):
        read_distilp_device(folder / "device0.json")


def test_what_the_profiles_do_not_hold_is_refused(tmp_path: Path) -> None:
    """A width that distilp does not know, and a number format that was not measured, are named."""
    devices, model = read_distilp_folder(_folder(tmp_path, DEVICE))
    with pytest.raises(InputError, match="one of 4bit"):
        ring_from_distilp(devices, model, kv="3bit")
    folder = _folder(tmp_path, {**DEVICE, "scpu": {"F16": {"b_1": 1e11}}})
    devices, model = read_distilp_folder(folder)
    with pytest.raises(InputError, match="a throughput for Q4_K"):
        ring_from_distilp(devices, model, kv="8bit")
