"""A small world of experts that a linear gate can know only in part."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported

Instance = tuple[NDArray[np.float32], NDArray[np.float64]]


@pytest.fixture
def instance() -> Callable[..., Instance]:
    """Return a function that draws features and qualities; part of each skill is not linear in the features."""

    def draw(seed: int, *, prompts: int = 400, experts: int = 6, dimension: int = 4) -> Instance:
        random = np.random.default_rng(seed)
        features = random.normal(size=(prompts, dimension))
        linear = features @ random.normal(size=(dimension, experts)) / np.sqrt(dimension)
        bent = np.tanh(2.0 * features @ random.normal(size=(dimension, 16)) / np.sqrt(dimension))
        skill = 0.4 * linear + 0.6 * bent @ random.normal(size=(16, experts)) / 4.0
        return features.astype(np.float32), 1.0 / (1.0 + np.exp(-6.0 * skill))

    return draw
