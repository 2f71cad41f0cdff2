"""Recorded outcomes are played back as they are, and say that they are."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from coinfer.errors import EndpointError, InputError
from coinfer.executor.backends.base import CompletionRequest
from coinfer.executor.backends.replay import ReplayBackend

LINE = {"prompt": "p", "text": "ab", "output_tokens": 2, "seconds": 0.25}


def write(folder: Path, *lines: dict[str, Any]) -> Path:
    """Write a file of outcomes."""
    path = folder / "outcomes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_what_was_recorded_comes_back(tmp_path: Path) -> None:
    """Text, counts, time and energy are those of the file, and the source names the file as a replay."""
    path = write(tmp_path, {**LINE, "energy_j": 3.0, "energy_source": "nvml", "prompt_tokens": 7})
    backend = ReplayBackend(path)
    reply = asyncio.run(backend.complete(CompletionRequest(prompt="p", max_tokens=2)))

    assert (reply.completions[0].text, reply.completions[0].output_tokens) == ("ab", 2)
    assert (reply.seconds, reply.energy_j, reply.energy_source, reply.prompt_tokens) == (0.25, 3.0, "nvml", 7)
    assert backend.facts.source == "replay of outcomes.jsonl"


def test_samples_of_one_request_are_different_lines(tmp_path: Path) -> None:
    """Six samples of five lines are all lines and one again; another seed has another order."""
    backend = ReplayBackend(write(tmp_path, *({**LINE, "text": text} for text in "abcde")))
    orders = set()
    for seed in range(5):
        asked = CompletionRequest(prompt="p", max_tokens=2, temperature=1.0, seed=seed, samples=6)
        texts = [each.text for each in asyncio.run(backend.complete(asked)).completions]
        assert set(texts[:5]) == set("abcde")
        assert [each.text for each in asyncio.run(backend.complete(asked)).completions] == texts
        orders.add(tuple(texts))
    assert len(orders) > 1


def test_recorded_log_probabilities_come_back_and_are_offered_only_where_all_have_them(tmp_path: Path) -> None:
    """They are cut with the text."""
    known = {**LINE, "tokens": ["a", "b"], "logprobs": [-0.5, -0.25]}
    backend = ReplayBackend(write(tmp_path, known))
    assert asyncio.run(backend.probe()).logprobs
    (cut,) = asyncio.run(backend.complete(CompletionRequest(prompt="p", max_tokens=1))).completions
    assert (cut.text, cut.logprobs, cut.finish) == ("a", (-0.5,), "length")
    assert not asyncio.run(ReplayBackend(write(tmp_path, known, LINE)).probe()).logprobs


def test_what_was_not_recorded_is_refused(tmp_path: Path) -> None:
    """An unknown prompt, and an answer that cannot be cut at ``max_tokens``, are sentences."""
    backend = ReplayBackend(write(tmp_path, LINE))
    with pytest.raises(EndpointError, match="no outcome is recorded"):
        asyncio.run(backend.complete(CompletionRequest(prompt="q", max_tokens=2)))
    with pytest.raises(EndpointError, match="no token pieces"):
        asyncio.run(backend.complete(CompletionRequest(prompt="p", max_tokens=1)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seconds": 0.0}, "line 2: seconds"),
        ({"seconds": "x"}, "line 2: seconds"),
        ({"output_tokens": -1}, "line 2: output_tokens"),
        ({"energy_j": 1.0}, "line 2: energy_source"),
        ({"tokens": ["a"]}, "line 2: tokens"),
        ({"logprobs": [-0.1]}, "line 2: logprobs"),
        ({"logprobs": [-0.1, 0.2]}, "line 2: logprobs"),
        ({"odd": 1}, "line 2"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """A line that is no outcome is refused with its number and field."""
    with pytest.raises(InputError, match=said):
        ReplayBackend(write(tmp_path, LINE, {**LINE, **change}))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """A file without outcomes, and no file, are sentences."""
    with pytest.raises(InputError, match="at least one"):
        ReplayBackend(write(tmp_path))
    with pytest.raises(InputError, match="readable file"):
        ReplayBackend(tmp_path / "none.jsonl")
