"""Trains a verifier from recorded outcomes, calibrates it, and measures it on questions it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coinfer.errors import BackendMissing, InputError, Plain
from coinfer.executor.verifier.frozen import FrozenModel
from coinfer.executor.verifier.model import TrainedVerifier
from coinfer.executor.verifier.network import Pair, Prepared, Shape, logits, make_modules, prepare_bytes
from coinfer.executor.verifier.outcomes import Example, split
from coinfer.executor.verifier.report import VerifierReport, measured
from coinfer.solver.program import FloatArray

MOST_EPOCHS = 60
PATIENCE = 6
"""Epochs without a better loss on the calibration questions before training ends."""
BATCH = 64
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a verifier is trained.

    Attributes
    ----------
    epochs
        Most passes over the training answers; the best by the calibration questions is kept.
    learning_rate
        Of AdamW.
    seed
        Of the split, the weights and the order.
    """

    epochs: int = MOST_EPOCHS
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= 10_000:
            raise InputError("epochs", expected="1 to 10,000", found=self.epochs)
        if not 0.0 < self.learning_rate < 1.0:
            raise InputError("learning_rate", expected="a number between 0 and 1", found=self.learning_rate)


@dataclass(frozen=True, slots=True)
class _Item:
    read: Prepared
    labels: tuple[float | None, ...]


def train(
    examples: Sequence[Example],
    *,
    model: str | None = None,
    shape: Shape | None = None,
    training: Training | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> tuple[TrainedVerifier, VerifierReport]:
    """Return a verifier that says how likely an answer is right, and what was measured of it.

    The loss is the cross-entropy of outcomes (an outcome reward model, Cobbe 2110.14168; Math-Rev's role in
    2410.05318), and of the labels of steps where there are any. Scores are calibrated by one temperature (Guo
    1706.04599) on questions that no weight was trained on, and measured on others again.

    Parameters
    ----------
    examples
        Recorded answers, right ones and wrong ones, of at least five questions.
    model
        Language model whose frozen hidden states are read: folder, id or ``zoo:NAME``; absent: bytes are read.
    shape
        Sizes; absent: defaults.
    training
        Epochs, rate and seed.
    on_epoch
        Called with epochs done and at most to do.

    Raises
    ------
    InputError
        If there are too few questions, or only right or only wrong answers to learn from.
    BackendMissing
        If torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise BackendMissing("training a verifier needs torch: pip install 'coinfer[torch]'") from error
    training = training or Training()
    parts = split(examples, seed=training.seed)
    for name, part in zip(("training", "calibration"), parts, strict=False):
        if len({each.correct >= 0.5 for each in part}) < 2:
            raise InputError(
                "outcomes", expected=f"right and wrong answers among those for {name}", found=Plain("one kind")
            )
    base = FrozenModel(model) if model is not None else None
    shape = shape or Shape()
    if base is not None:
        shape = Shape(
            reads="model", width=shape.width, hidden=shape.hidden, most_tokens=shape.most_tokens, inputs=base.inputs
        )
    items = [
        [_Item(read, each.labels) for read, each in zip(_read(shape, base, part), part, strict=True)] for part in parts
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        modules = make_modules(shape)
        _fit(shape, modules, items[0], items[1], training, on_epoch)
    temperature = _temperature(*_scored(shape, modules, items[1]))
    made = TrainedVerifier(shape=shape, modules=modules, temperature=temperature, base=base)
    scores, right = _scored(shape, modules, items[2])
    report = measured(
        [each.prompt for each in parts[2]],
        _chances(scores / temperature),
        right,
        training_prompts=len({each.prompt for each in parts[0]}),
        calibration_prompts=len({each.prompt for each in parts[1]}),
        seed=training.seed,
    )
    return made, report


def _read(shape: Shape, base: FrozenModel | None, examples: Sequence[Example]) -> list[Prepared]:
    pairs: list[Pair] = [(each.prompt, each.steps) for each in examples]
    return base.prepare(pairs) if base is not None else [prepare_bytes(shape, pair) for pair in pairs]


def _fit(
    shape: Shape,
    modules: Any,
    items: Sequence[_Item],
    held_out: Sequence[_Item],
    training: Training,
    on_epoch: Callable[[int, int], None] | None,
) -> None:
    """Train in place; the weights with the least loss on ``held_out`` are kept."""
    import torch

    random = np.random.default_rng(training.seed)
    steps = torch.optim.AdamW(modules.parameters(), lr=training.learning_rate, weight_decay=0.01)
    best, kept, since = math.inf, None, 0
    for epoch in range(training.epochs):
        modules.train()
        for rows in _batches(items, random):
            if len(rows) < 2:
                continue  # nothing to normalise by
            steps.zero_grad()
            loss = _loss(shape, modules, [items[i] for i in rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
            steps.step()
        modules.eval()
        with torch.inference_mode():
            blocks = [held_out[i : i + 4 * BATCH] for i in range(0, len(held_out), 4 * BATCH)]
            losses = [float(_loss(shape, modules, block)) * len(block) for block in blocks]
        found = sum(losses) / len(held_out)
        if on_epoch is not None:
            on_epoch(epoch + 1, training.epochs)
        if found < best - 1e-5:
            best, since = found, 0
            kept = {name: value.detach().clone() for name, value in modules.state_dict().items()}
        elif (since := since + 1) >= PATIENCE:
            break
    if kept is not None:
        modules.load_state_dict(kept)
    modules.eval()


def _batches(items: Sequence[_Item], random: np.random.Generator) -> list[list[int]]:
    """Return batches of answers of about equal length, in random order."""
    lengths = np.array([each.read.values.shape[-1] for each in items])
    order = np.argsort(lengths + random.random(len(items)) * 8.0, kind="stable")
    blocks = np.array_split(order, max(1, len(items) // BATCH))
    return [blocks[i].tolist() for i in random.permutation(len(blocks))]


def _loss(shape: Shape, modules: Any, items: Sequence[_Item]) -> Any:
    """Return the cross-entropy, the mean over answers; the labelled steps of an answer share its weight."""
    import torch

    found = logits(shape, modules, [each.read for each in items])
    labels, weights = torch.zeros_like(found), torch.zeros_like(found)
    for i, each in enumerate(items):
        known = [j for j, label in enumerate(each.labels) if label is not None]
        for j in known:
            labels[i, j], weights[i, j] = each.labels[j] or 0.0, 1.0 / len(known)
    each_loss = torch.nn.functional.binary_cross_entropy_with_logits(found, labels, reduction="none")
    return (each_loss * weights).sum() / len(items)


def _scored(shape: Shape, modules: Any, items: Sequence[_Item]) -> tuple[FloatArray, FloatArray]:
    """Return the log-odds of whole answers, and how right they are."""
    import torch

    found: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(items), 4 * BATCH):
            block = items[start : start + 4 * BATCH]
            out = logits(shape, modules, [each.read for each in block])
            found += [float(out[i, len(each.labels) - 1]) for i, each in enumerate(block)]
    return np.array(found), np.array([each.labels[-1] or 0.0 for each in items])


def _chances(log_odds: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -60.0, 60.0)))


def _temperature(log_odds: FloatArray, right: FloatArray) -> float:
    """Return the temperature with the least cross-entropy, which is convex in its reciprocal: ternary search."""

    def loss(inverse: float) -> float:
        scaled = log_odds * inverse
        return float(np.mean(np.logaddexp(0.0, scaled) - right * scaled))

    low, high = 1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]
    for _ in range(100):
        left, beyond = low + (high - low) / 3.0, high - (high - low) / 3.0
        if loss(left) <= loss(beyond):
            high = beyond
        else:
            low = left
    return 2.0 / (low + high)
