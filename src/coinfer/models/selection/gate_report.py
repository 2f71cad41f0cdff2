"""How good a trained gate is: measured when it was trained, carried by the problem it scores and by the plan."""

from __future__ import annotations

from typing import Literal

from coinfer.records import Record


class SubsetRegret(Record, frozen=True, kw_only=True):
    """Preservation regret over the sampled subsets, in the unit of the report's loss.

    Attributes
    ----------
    mean
        Mean over the subsets.
    largest
        Largest of them.
    largest_at
        Experts of the subset where it is the largest.
    full_set
        Regret on all experts: what training for subsets costs when nothing is left out.
    """

    mean: float
    largest: float
    largest_at: tuple[str, ...]
    full_set: float


class GateReport(Record, frozen=True, kw_only=True):
    """How good a gate is, on prompts it learned from and on prompts it has never met.

    Attributes
    ----------
    objective
        What it was trained for.
    loss_unit
        ``nats`` with objective ``mixture``, ``quality`` with ``expected``; of losses and regrets, lower is better.
    masks
        True for training on random subsets of the experts.
    training_prompts, stopping_prompts, heldout_prompts
        Prompts it learned from, was stopped by, and has never met.
    subsets
        Subsets of two experts or more for which a gate of their own was trained, the full set among them.
    every_subset
        True when these are all there are.
    training_loss, heldout_loss
        Loss on all experts.
    training_regret, heldout_regret
        Preservation regret on the prompts it learned from, and on those it has never met.
    heldout_quality
        Mean quality on the held-out prompts when each goes to the expert with the highest score.
    heldout_oracle_quality
        The same when each goes to the best expert for it: an upper limit, not a promise.
    heldout_single_quality, single_expert
        The same when all go to the expert that is the best one on the training prompts.
    heldout_gain_standard_error
        Standard error of ``heldout_quality`` minus ``heldout_single_quality``, prompts paired.
    """

    objective: Literal["mixture", "expected"]
    loss_unit: Literal["nats", "quality"]
    masks: bool
    training_prompts: int
    stopping_prompts: int
    heldout_prompts: int
    subsets: int
    every_subset: bool
    training_loss: float
    heldout_loss: float
    training_regret: SubsetRegret
    heldout_regret: SubsetRegret
    heldout_quality: float
    heldout_oracle_quality: float
    heldout_single_quality: float
    single_expert: str
    heldout_gain_standard_error: float
