r"""How much a gate for all experts loses in a subset, against a gate trained for that subset alone.

.. math:: \operatorname{regret}(S) = L(\theta, S) - L(\theta_S, S)

with :math:`L` the loss on some prompts, :math:`\theta` the gate and :math:`\theta_S` a gate of the same form, trained
in the same way on the same prompts, on :math:`S` only. Expert selection with cached scores rests on it being small. It
can be negative on prompts that neither has met.

References
----------
MoE², arXiv 2501.09410, states that it is 0 for the best parameters; this measures it.
"""

from __future__ import annotations

import math

import numpy as np

from coinfer.models.selection.gate.fit import Rows, scores_of
from coinfer.models.selection.gate.loss import UNITS, BoolArray, FloatArray, sample_subsets, subset_losses
from coinfer.models.selection.gate.train import MOST_SUBSETS, TrainedGate, fit_for_each
from coinfer.models.selection.gate_report import GateReport, SubsetRegret


def preservation_regret(
    gate: TrainedGate, *, most_subsets: int = MOST_SUBSETS
) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Train a gate for each sampled subset and compare.

    Parameters
    ----------
    gate
        The gate for all experts.
    most_subsets
        All subsets of two experts or more are taken when there are at most so many, else a sample of them.

    Returns
    -------
    The subsets, (subsets, experts), the full set first; the regret of each on the prompts the
    gate learned from, and on those held out, (subsets,) each.
    """
    options = gate.options
    subsets = sample_subsets(gate.training.quality.shape[1], most_subsets, options.seed)
    own = fit_for_each(gate.training, gate.stopping, options, subsets)

    def regret(rows: Rows) -> FloatArray:
        there = rows.quality, rows.weights, subsets, options.objective
        alone = np.stack([scores_of(layers, rows.features) for layers in own])
        return subset_losses(gate.scores(rows.features), *there) - subset_losses(alone, *there)

    return subsets, regret(gate.training), regret(gate.heldout)


def report_on(gate: TrainedGate, experts: tuple[str, ...], *, most_subsets: int = MOST_SUBSETS) -> GateReport:
    """Return the figures of a gate over ``experts``, in the order of its scores."""
    subsets, on_training, on_heldout = preservation_regret(gate, most_subsets=most_subsets)
    training, heldout, options = gate.training, gate.heldout, gate.options
    full = np.ones((1, len(experts)), dtype=np.bool_)
    losses = [
        float(subset_losses(gate.scores(rows.features), rows.quality, rows.weights, full, options.objective)[0])
        for rows in (training, heldout)
    ]
    share = heldout.weights / heldout.weights.sum()
    rows = np.arange(len(heldout.quality))
    routed = heldout.quality[rows, gate.scores(heldout.features).argmax(axis=1)]
    best = int((training.weights @ training.quality).argmax())
    gain = routed - heldout.quality[:, best]
    error = math.sqrt(float(share**2 @ (gain - share @ gain) ** 2))
    return GateReport(
        objective=options.objective,
        loss_unit=UNITS[options.objective],
        masks=options.masks,
        training_prompts=len(training.quality),
        stopping_prompts=len(gate.stopping.quality),
        heldout_prompts=len(heldout.quality),
        subsets=len(subsets),
        every_subset=len(subsets) == 2 ** len(experts) - len(experts) - 1,
        training_loss=losses[0],
        heldout_loss=losses[1],
        training_regret=_summary(subsets, on_training, experts),
        heldout_regret=_summary(subsets, on_heldout, experts),
        heldout_quality=float(share @ routed),
        heldout_oracle_quality=float(share @ heldout.quality.max(axis=1)),
        heldout_single_quality=float(share @ heldout.quality[:, best]),
        single_expert=experts[best],
        heldout_gain_standard_error=error,
    )


def _summary(subsets: BoolArray, regret: FloatArray, experts: tuple[str, ...]) -> SubsetRegret:
    worst = int(regret.argmax())
    return SubsetRegret(
        mean=float(regret.mean()),
        largest=float(regret[worst]),
        largest_at=tuple(name for name, inside in zip(experts, subsets[worst], strict=True) if inside),
        full_set=float(regret[0]),
    )
