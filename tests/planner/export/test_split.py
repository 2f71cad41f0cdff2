"""Splits as Accelerate, llama.cpp and dnet read them."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.parts import Codec, LayerGroup, Segment, SplitDevice
from coinfer.planner.export.split import device_map, layer_table, llama_cpp


def _split(*counts: int) -> tuple[SplitProblem, SplitDecision]:
    devices = tuple(SplitDevice(name=f"d{i}", memory_bytes=1e9, decode_s={"q4": (0.1,)}) for i in range(len(counts)))
    problem = SplitProblem(
        name="split",
        layers=(LayerGroup(count=sum(counts), weights_bytes={"q4": 10}, kv_bytes_per_token=0.0),),
        hidden_size=8,
        devices=devices,
        codecs=(Codec(name="fp16", bytes_per_element=2.0),),
        prompt_tokens=1,
        output_tokens=2,
        source="d0",
    )
    ends = np.cumsum(counts)
    segments = tuple(
        Segment(
            device=f"d{i}",
            first_layer=int(end - count),
            last_layer=int(end - 1),
            quantisation="q4",
            codec=None if end == count else "fp16",
        )
        for i, (count, end) in enumerate(zip(counts, ends, strict=True))
        if count
    )
    return problem, SplitDecision(segments=segments)


def _layers_of_llama_cpp(arguments: list[str], layers: int) -> list[str]:
    """Return the device of each layer, by the rule of llama.cpp in single precision."""
    said = dict(zip(arguments[::2], arguments[1::2], strict=True))
    offloaded = int(said["--n-gpu-layers"])
    start, active = max(layers + 1 - offloaded, 0), min(offloaded, layers + 1)
    names = said.get("--device", "").split(",")
    shares = np.cumsum(np.array(said.get("--tensor-split", "1").split(","), dtype=np.float32), dtype=np.float32)
    shares = (shares / shares[-1]).astype(np.float32)
    places = []
    for layer in range(layers + 1):
        if layer < start or layer - start >= active:
            places.append("cpu")
        else:
            position = np.float32(layer - start) / np.float32(active)
            places.append(names[int(np.searchsorted(shares, position, side="right"))])
    return places


class TestLlamaCpp:
    """Arguments of its programs."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.booleans())
    def test_its_rule_puts_every_layer_where_the_plan_has_it(self, counts: list[int], processor: bool) -> None:
        """By llama.cpp's rule for shares, each layer lands on the device of the plan, and the output on the last."""
        problem, decision = _split(*counts)
        targets: dict[str, str | int] = {f"d{i}": f"CUDA{i}" for i in range(len(counts))}
        if processor:
            targets["d0"] = "cpu"
        made = llama_cpp(problem, decision, targets=targets).content["arguments"]
        places = _layers_of_llama_cpp(made, sum(counts))
        wanted = [str(targets[f"d{i}"]) for i, count in enumerate(counts) for _ in range(count)]
        assert places == [*wanted, wanted[-1]]

    def test_servers_are_named_in_the_order_of_the_rpc_argument(self) -> None:
        """Two RPC servers around a local card keep the order of the layers."""
        problem, decision = _split(3, 4, 5)
        targets: dict[str, str | int] = {"d0": "10.0.0.1:50052", "d1": "CUDA0", "d2": "pi.local:50052"}
        said = llama_cpp(problem, decision, targets=targets).content["arguments"]
        assert said[said.index("--rpc") + 1] == "10.0.0.1:50052,pi.local:50052"
        assert said[said.index("--device") + 1] == "RPC0,CUDA0,RPC1"
        assert said[said.index("--tensor-split") + 1] == "3,4,6"

    def test_the_processor_cannot_come_later(self) -> None:
        """A split that llama.cpp cannot express is refused with a sentence."""
        problem, decision = _split(3, 4)
        with pytest.raises(InputError, match="first layers only"):
            llama_cpp(problem, decision, targets={"d0": "CUDA0", "d1": "cpu"})
        with pytest.raises(InputError, match="a target for 'd1'"):
            llama_cpp(problem, decision, targets={"d0": "CUDA0"})


class TestDeviceMap:
    """Accelerate and transformers."""

    @pytest.mark.parametrize("kind", ["llama", "qwen2"])
    def test_every_weight_of_a_real_model_lies_below_exactly_one_name(self, kind: str) -> None:
        """Each parameter and buffer of a transformers model is covered once, and layers lie where the plan has them."""
        transformers: Any = pytest.importorskip("transformers")
        config = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[kind](
            hidden_size=16, intermediate_size=16, num_hidden_layers=5, num_attention_heads=2, vocab_size=32
        )
        model = transformers.AutoModelForCausalLM.from_config(config)
        problem, decision = _split(2, 0, 3)
        found = device_map(problem, decision, targets={"d0": "cpu", "d2": 0}).content
        names = [name for name, _ in [*model.named_parameters(), *model.named_buffers()]]
        for name in names:
            assert sum(name == key or name.startswith(f"{key}.") for key in found) == 1, name
        assert [found[f"model.layers.{i}"] for i in range(5)] == ["cpu", "cpu", 0, 0, 0]
        assert (found["model.embed_tokens"], found["lm_head"]) == ("cpu", 0)

    def test_named_ends_are_no_decoder_layers(self) -> None:
        """Groups named embedding and lm_head place the ends, and the layers between them count from 0."""
        problem, decision = _split(2, 3)
        group = problem.layers[0]
        ends = (
            msgspec.structs.replace(group, count=1, name="embedding"),
            msgspec.structs.replace(group, count=3),
            msgspec.structs.replace(group, count=1, name="lm_head"),
        )
        devices = tuple(msgspec.structs.replace(d, decode_s={"q4": (0.1, 0.1, 0.1)}) for d in problem.devices)
        named = msgspec.structs.replace(problem, layers=ends, devices=devices)
        found = device_map(named, decision).content
        assert [key for key in found if key.startswith("model.layers")] == [f"model.layers.{i}" for i in range(3)]
        assert [found[f"model.layers.{i}"] for i in range(3)] == [0, 1, 1]


class TestLayerTable:
    """distilp and dnet."""

    def test_windows_add_up_to_the_layers_in_order(self) -> None:
        """Each used device has its layers once, in order, and knows the next; the others have none."""
        problem, decision = _split(2, 0, 5)
        found = layer_table(problem, decision).content
        assert (found["k"], found["w"]) == (1, [2, 0, 5])
        chain = found["assignments"]
        assert [layer for part in chain for round_ in part["layers"] for layer in round_] == list(range(7))
        assert [(part["instance"], part["next_instance"]) for part in chain] == [("d0", "d2"), ("d2", None)]
