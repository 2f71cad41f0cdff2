"""Training of a gate whose choice stays good in any subset of the experts.

A gate that is trained on all experts alone need only get its first choice right: nothing in its loss orders the experts
that are left when the first is not selected. So each prompt of each batch draws a random subset, and only that subset
answers: the order has to hold in all of them. Then one training serves every selection that a plan may make.

References
----------
MoE², arXiv 2501.09410: gate parameters that are best for all experts stay best for any subset. That is true of a gate
that can rank all experts on each prompt; for one of finite capacity the subsets of the training bring it about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.models.selection.gate.fit import Layers, Rows, fit, scores_of
from coinfer.models.selection.gate.loss import BoolArray, FloatArray, sample_subsets
from coinfer.models.selection.gate.options import DECAYS, TrainingOptions

LEAST_PROMPTS = 20
"""Fewer prompts cannot be parted into training, stopping and held out."""
MOST_SUBSETS = 64
"""Most subsets a gate is stopped by, and judged on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedGate:
    """A gate, and the prompts it was made with.

    Attributes
    ----------
    layers
        Its weights and biases.
    options
        How it was trained, with the weight decay that was best.
    training, stopping, heldout
        Prompts it learned from, was stopped by, and has never met.
    """

    layers: Layers
    options: TrainingOptions
    training: Rows
    stopping: Rows
    heldout: Rows

    def scores(self, features: NDArray[np.floating]) -> FloatArray:
        """Return the scores, (prompts, experts), higher is better."""
        return scores_of(self.layers, features)


def train_gate(
    features: NDArray[np.floating],
    quality: NDArray[np.floating],
    *,
    options: TrainingOptions | None = None,
    weights: NDArray[np.floating] | None = None,
) -> TrainedGate:
    """Train a gate on 70 % of the prompts, stop it by 15 % and hold out the rest; the same seed, the same gate.

    Parameters
    ----------
    features
        (prompts, dimension).
    quality
        (prompts, experts), in [0, 1].
    options
        How; the defaults when absent.
    weights
        (prompts,): traffic, in any unit, above 0; all alike when absent.

    Raises
    ------
    InputError
        For shapes that do not fit, numbers that are not finite, a quality outside [0, 1], fewer than two experts or
        too few prompts.
    BackendMissing
        If torch is not installed.
    """
    options = options or TrainingOptions()
    rows = checked_rows(features, quality, weights)
    order = np.random.default_rng(options.seed).permutation(len(rows.quality))
    first, second = round(0.7 * len(order)), round(0.85 * len(order))
    training, stopping, heldout = (rows.take(part) for part in np.split(order, [first, second]))
    layers, decay = fit_for_all(training, stopping, options)
    return TrainedGate(
        layers=layers,
        options=replace(options, weight_decay=decay),
        training=training,
        stopping=stopping,
        heldout=heldout,
    )


def fit_for_all(training: Rows, stopping: Rows, options: TrainingOptions) -> tuple[Layers, float]:
    """Train one gate for all experts as ``options`` say; return it with the weight decay that was best."""
    decays = np.array(DECAYS if options.weight_decay is None else (options.weight_decay,))
    experts = training.quality.shape[1]
    if options.masks:
        subsets = sample_subsets(experts, MOST_SUBSETS, options.seed)
    else:
        subsets = np.ones((len(decays), experts), dtype=np.bool_)
    gates, losses = fit(training, stopping, options, subsets=subsets, decays=decays, random_masks=options.masks)
    best = int(losses.argmin())
    return gates[best], float(decays[best])


def fit_for_each(training: Rows, stopping: Rows, options: TrainingOptions, subsets: BoolArray) -> list[Layers]:
    """Train a gate for each of the subsets, (subsets, experts), with the weight decay of ``options``."""
    decays = np.full(len(subsets), options.weight_decay or 0.0)
    return fit(training, stopping, options, subsets=subsets, decays=decays, random_masks=False)[0]


def checked_rows(
    features: NDArray[np.floating], quality: NDArray[np.floating], weights: NDArray[np.floating] | None
) -> Rows:
    """Return the prompts to learn from, or say what is wrong with them."""
    if features.ndim != 2 or quality.ndim != 2 or len(features) != len(quality) or not features.size:
        found = Plain(f"shapes {features.shape} and {quality.shape}")
        raise InputError("features, quality", expected="(prompts, dimension) and (prompts, experts)", found=found)
    if quality.shape[1] < 2:
        raise InputError("quality", expected="at least two experts to choose from", found=quality.shape[1])
    if len(quality) < LEAST_PROMPTS:
        raise InputError("quality", expected=f"at least {LEAST_PROMPTS} prompts", found=len(quality))
    if not np.isfinite(features).all():
        raise InputError("features", expected="finite numbers", found=Plain("others"))
    wrong = np.argwhere(~((quality >= 0.0) & (quality <= 1.0)))
    if len(wrong):
        i, n = wrong[0].tolist()
        raise InputError(f"quality[{i}][{n}]", expected="a number in [0, 1]", found=float(quality[i, n]))
    traffic = np.ones(len(quality)) if weights is None else np.asarray(weights, dtype=np.float64)
    if traffic.shape != (len(quality),) or not ((traffic > 0.0) & (traffic < math.inf)).all():
        raise InputError("weights", expected=f"{len(quality)} finite numbers above 0", found=Plain("others"))
    return Rows(
        features=np.asarray(features, dtype=np.float32), quality=np.asarray(quality, dtype=np.float64), weights=traffic
    )
