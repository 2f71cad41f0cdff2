"""Scores of the calibration prompts by gates that have not met them: what a plan may be made with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.gate.fit import scores_of
from coinfer.models.selection.gate.loss import FloatArray
from coinfer.models.selection.gate.options import TrainingOptions
from coinfer.models.selection.gate.train import checked_rows, fit_for_all

FOLDS = 5


def crossed_scores(
    features: NDArray[np.floating],
    quality: NDArray[np.floating],
    *,
    options: TrainingOptions | None = None,
    weights: NDArray[np.floating] | None = None,
) -> FloatArray:
    """Return scores, (prompts, experts), each row by a gate that was trained and stopped without that prompt.

    The prompts are put in five parts; for each of them a gate is trained on the others, a seventh of which stop it. A
    plan made with scores of the prompts a gate has learned from would promise what no new prompt gets.

    Parameters and errors are those of :func:`coinfer.models.selection.gate.train.train_gate`.
    """
    options = options or TrainingOptions()
    rows = checked_rows(features, quality, weights)
    parts = np.array_split(np.random.default_rng(options.seed).permutation(len(rows.quality)), FOLDS)
    scores = np.empty(rows.quality.shape)
    for i, part in enumerate(parts):
        others = np.concatenate([other for j, other in enumerate(parts) if j != i])
        cut = max(1, len(others) // 7)
        training, stopping = rows.take(others[cut:]), rows.take(others[:cut])
        layers, _ = fit_for_all(training, stopping, options)
        scores[part] = scores_of(layers, rows.features[part])
    return scores
