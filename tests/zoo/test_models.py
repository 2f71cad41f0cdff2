"""The shipped models are what the manifest says they are."""

from __future__ import annotations

import functools
import hashlib
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coinfer import zoo
from coinfer.errors import InputError
from coinfer.zoo.tasks import CATEGORIES, MAX_ANSWER_TOKENS, is_correct, sample_tasks

MEGABYTE = 1_000_000
FRESH_PROMPTS = 40
ENTRIES = {entry["name"]: entry for entry in zoo.manifest()["models"]}
every_model = pytest.mark.parametrize("name", zoo.names())


@functools.cache
def _load(name: str) -> tuple[Any, Any]:
    """Load one model and its tokenizer from the package, offline."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo.path(name), local_files_only=True)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(zoo.path(name), local_files_only=True)


def _answers(name: str, prompts: list[str]) -> list[str]:
    """Answer all prompts greedily."""
    model, tokenizer = _load(name)
    batch = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    out = model.generate(**batch)
    return tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_zoo_is_small() -> None:
    """Models, tokenizers and records together stay below 8 MB, and the routing below 60 kB."""
    root = zoo.routing_path().parent
    assert sum(f.stat().st_size for f in root.rglob("*") if f.is_file()) < 8 * MEGABYTE
    assert zoo.routing_path().stat().st_size < 60_000


def test_importing_the_zoo_imports_no_torch() -> None:
    """Names, paths and tasks are available where torch is not installed."""
    code = (
        "import sys, coinfer.zoo, coinfer.zoo.tasks; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """Asking for a model that is not there lists those that are."""
    with pytest.raises(InputError, match="generalist-tiny"):
        zoo.path("gpt-5")


def test_the_manifest_cannot_be_changed_by_its_readers() -> None:
    """Every caller gets a copy of its own."""
    zoo.manifest()["models"].clear()
    assert zoo.manifest()["models"]


@every_model
def test_every_file_is_the_one_that_was_examined(name: str) -> None:
    """The hash of each shipped file is in the manifest, and no file is missing or added."""
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in zoo.path(name).iterdir()}
    assert found == ENTRIES[name]["sha256"]


@every_model
def test_models_load_offline_in_single_precision(name: str) -> None:
    """Each folder loads without a network into float32, with the architecture and size of the manifest."""
    torch = pytest.importorskip("torch")
    model, tokenizer = _load(name)

    assert type(model).__name__ == ENTRIES[name]["architecture"]
    assert sum(p.numel() for p in model.parameters()) == ENTRIES[name]["parameters"]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.generation_config.max_new_tokens == MAX_ANSWER_TOKENS
    assert model.config.vocab_size == len(tokenizer)
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)


@every_model
def test_the_tokenizer_gives_one_token_per_character(name: str) -> None:
    """Every prompt and answer survives a round trip, one token per character after the first token."""
    _, tokenizer = _load(name)
    for task in sample_tasks(np.random.default_rng(3), count=50):
        ids = tokenizer(task.prompt + task.answer).input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert len(ids) == 1 + len(task.prompt + task.answer)
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == task.prompt + task.answer


@every_model
def test_accuracy_is_what_the_manifest_says(name: str) -> None:
    """Greedy accuracy on freshly drawn held-out prompts lies within sampling error of the recorded one."""
    rng = np.random.default_rng(99)
    recorded, exam = ENTRIES[name]["greedy_accuracy"], zoo.manifest()["exam"]["prompts"]
    tasks = [sample_tasks(rng, count=FRESH_PROMPTS, categories=(c,), distinct=True) for c in CATEGORIES]
    answers = iter(_answers(name, [task.prompt for drawn in tasks for task in drawn]))
    for category, drawn in zip(CATEGORIES, tasks, strict=True):
        right = np.mean([is_correct(category, task.prompt, next(answers)) for task in drawn])
        share = (recorded[category] * exam + 1) / (exam + 2)  # never exactly 0 or 1, so that the error is not 0 either
        error = math.sqrt(share * (1 - share) * (1 / FRESH_PROMPTS + 1 / exam))
        assert right == pytest.approx(recorded[category], abs=4 * error + 1 / FRESH_PROMPTS), category


@pytest.mark.parametrize("name", [name for name in zoo.names() if name.startswith("specialist")])
def test_specialists_fail_off_their_skill(name: str) -> None:
    """A specialist is of next to no use on what it was not trained for, and good at most of what it was."""
    entry = ENTRIES[name]
    on = [share for category, share in entry["greedy_accuracy"].items() if category in entry["trained_on"]]
    off = [share for category, share in entry["greedy_accuracy"].items() if category not in entry["trained_on"]]

    assert float(np.median(on)) > 0.9
    assert max(off) <= 0.1


def test_no_model_is_the_cheapest_good_choice_for_everything() -> None:
    """Which model is the smallest of those near the best depends on the skill, and none of these is near on all."""
    best = {category: max(entry["greedy_accuracy"][category] for entry in ENTRIES.values()) for category in CATEGORIES}
    by_size = sorted(ENTRIES.values(), key=lambda entry: entry["parameters"])
    near = {e["name"]: {c for c in CATEGORIES if e["greedy_accuracy"][c] >= best[c] - 0.05} for e in by_size}
    chosen = {next(name for name in near if category in near[name]) for category in CATEGORIES}

    assert len(chosen) > 1
    assert all(near[name] != set(CATEGORIES) for name in chosen)


@every_model
def test_more_samples_never_lower_the_chance_of_a_right_one(name: str) -> None:
    """The recorded pass@k rises with k and stays a probability."""
    for shares in ENTRIES[name]["pass_at_k"].values():
        assert 0.0 <= shares["1"] <= shares["4"] <= shares["16"] <= 1.0


def test_the_page_about_the_zoo_has_the_numbers_of_the_manifest() -> None:
    """The table of docs/zoo.md is the manifest, rounded."""
    page = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")
    rows = {
        line.split("`")[1]: line for line in page.splitlines() if line.startswith(tuple(f"| `{n}`" for n in ENTRIES))
    }
    for name, entry in ENTRIES.items():
        shares = [f"{entry['greedy_accuracy'][category]:.3f}" for category in CATEGORIES]
        cells = [f"{entry['parameters']:,}", f"{entry['decode_ms_per_token']:.2f}", *shares]
        assert [cell.strip() for cell in rows[name].split("|")[3:-1]] == cells


def test_the_routing_is_the_recorded_one() -> None:
    """The hash of the routing record is in the manifest."""
    found = hashlib.sha256(zoo.routing_path().read_bytes()).hexdigest()
    assert found == ENTRIES["moe-small"]["routing_sha256"]


def test_the_routing_has_the_shape_of_its_model() -> None:
    """The record names two different experts of the model for every token and layer, of all six categories."""
    config = _load("moe-small")[0].config
    with np.load(zoo.routing_path()) as record:
        experts, tokens = record["experts"], len(record["token"])
        assert record["category"].shape == record["sequence"].shape == (tokens,)
        assert tuple(record["names"]) == CATEGORIES
        assert set(np.unique(record["category"])) == set(range(len(CATEGORIES)))
    assert experts.shape == (tokens, config.num_hidden_layers, config.num_experts_per_tok)
    assert experts.dtype == np.uint8
    assert experts.max() < config.num_experts
    assert (experts[..., 0] != experts[..., 1]).all()


def test_running_the_model_again_gives_the_recorded_routing() -> None:
    """Recorded sequences, run one by one, are sent to the recorded experts but for the odd rounding."""
    torch = pytest.importorskip("torch")
    model, _ = _load("moe-small")
    with np.load(zoo.routing_path()) as record:
        experts, sequence, token = record["experts"], record["sequence"], record["token"]
    agreed: list[float] = []
    for i in range(20):
        ids = torch.tensor(token[sequence == i].astype(np.int64))[None]
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_router_logits=True).router_logits
        chosen = torch.stack(logits, dim=1).topk(2, dim=-1).indices.numpy()  # (tokens, layers, top_k)
        agreed.append(float((chosen == experts[sequence == i]).mean()))
    assert np.mean(agreed) > 0.98


def test_consecutive_layers_choose_experts_together() -> None:
    """The first choice of one layer tells something about the next: the affinity that placement exploits is real."""
    with np.load(zoo.routing_path()) as record:
        first = record["experts"][:, :, 0].astype(np.int64)  # (tokens, layers)
    shuffled = np.random.default_rng(0).permuted(first, axis=0)
    for layer in range(first.shape[1] - 1):
        real, chance = (_information_bits(x[:, layer], x[:, layer + 1]) for x in (first, shuffled))
        assert real > 0.1 > 5 * chance


def _information_bits(left: np.ndarray, right: np.ndarray) -> float:
    """Mutual information of two columns of expert numbers, in bits."""
    joint = np.zeros((8, 8))
    np.add.at(joint, (left, right), 1 / len(left))
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())
