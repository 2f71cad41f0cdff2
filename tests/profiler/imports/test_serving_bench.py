"""Files of vLLM's and SGLang's serving benchmarks as measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coinfer.errors import InputError
from coinfer.profiler.imports import import_file

DETAILED: dict[str, Any] = {
    "date": "20260101-000000",
    "backend": "vllm",
    "model_id": "meta-llama/Llama-3.1-8B",
    "duration": 4.0,
    "completed": 2,
    "input_lens": [100, 50, 10],
    "output_lens": [3, 1, 0],
    "ttfts": [0.5, 0.25, 0.0],
    "itls": [[0.1, 0.15], [], []],
    "errors": ["", "", "refused"],
}
MEANS: dict[str, Any] = {
    "backend": "sglang",
    "model_id": "Qwen3-8B",
    "duration": 10.0,
    "completed": 20,
    "total_input_tokens": 2000,
    "total_output_tokens": 4000,
    "mean_ttft_ms": 50.0,
    "mean_tpot_ms": 20.0,
    "mean_e2e_latency_ms": 4000.0,
}


def _write(path: Path, *runs: dict[str, Any], indent: int | None = None) -> Path:
    path.write_text("\n".join(json.dumps(run, indent=indent) for run in runs) + "\n", encoding="utf-8")
    return path


def test_each_answered_request_becomes_a_prefill_and_a_decode(tmp_path: Path) -> None:
    """Requests keep their own tokens and seconds; one that failed, and a decode of no token, are absent."""
    rows = list(import_file(_write(tmp_path / "a.json", DETAILED, indent=2), "vllm-bench", device="Orin"))
    assert [(row.phase, row.prompt_tokens, row.output_tokens, row.seconds) for row in rows] == [
        ("prefill", 100, None, 0.5),
        ("decode", None, 2, 0.25),
        ("prefill", 50, None, 0.25),
    ]
    assert {(row.device, row.model, row.engine, row.batch) for row in rows} == {("Orin", "Llama-3.1-8B", "vllm", 1)}


def test_means_become_a_step_of_the_batch_in_flight(tmp_path: Path) -> None:
    """20 requests of 4 s in 10 s are 8 in flight: in one step of 20 ms each of them writes a token."""
    path = _write(tmp_path / "b.jsonl", MEANS, {**MEANS, "mean_tpot_ms": 30.0})
    rows = list(import_file(path, "sglang-bench", device="H100"))
    assert [(row.phase, row.batch, row.output_tokens, row.seconds) for row in rows] == [
        ("prefill", 1, None, 0.05),
        ("decode", 8, 8, 0.02),
        ("prefill", 1, None, 0.05),
        ("decode", 8, 8, 0.03),
    ]
    assert rows[0].prompt_tokens == 100
    assert "queue" in rows[0].source


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"duration": 0.0}, "duration: expected a finite number above 0"),
        ({"completed": 0}, "at least one request answered"),
        ({"model_id": None}, "model_id"),
        ({"itls": [[0.1]]}, "itls: expected 3 entries"),
        ({"ttfts": "soon"}, "ttfts"),
        ({"ttfts": [-1.0, 0.25, 0.0]}, "seconds"),
    ],
)
def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Each broken field is named with its file."""
    path = _write(tmp_path / "c.json", {**DETAILED, **change})
    with pytest.raises(InputError, match=sentence):
        list(import_file(path, "vllm-bench", device="x"))


def test_the_device_must_be_said(tmp_path: Path) -> None:
    """The files do not name the device, so none is made up."""
    with pytest.raises(InputError, match="what the server ran on"):
        list(import_file(_write(tmp_path / "d.json", DETAILED), "vllm-bench"))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """Nothing is not a run."""
    (tmp_path / "e.json").write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="the result of a serving benchmark"):
        list(import_file(tmp_path / "e.json", "vllm-bench", device="x"))
