"""The training loop: any number of gates at once, each on its own subset of the experts, or one on random subsets."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import BackendMissing
from coinfer.models.selection.gate.loss import FLOOR, BoolArray, FloatArray, Objective
from coinfer.models.selection.gate.options import TrainingOptions

if TYPE_CHECKING:
    import torch

    _Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

Layers = tuple[tuple[FloatArray, FloatArray], ...]
"""Weights, (inputs, outputs), and biases, (outputs,), of each layer; between two layers stands a rectifier."""

_CHECKS = 40  # looks at the stopping prompts, spread over the training
_BATCH_PROMPTS = 128
_SIZE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Prompts with what is known of them.

    Attributes
    ----------
    features
        (prompts, dimension).
    quality
        (prompts, experts).
    weights
        (prompts,): traffic.
    """

    features: NDArray[np.float32]
    quality: FloatArray
    weights: FloatArray

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """Return some of the prompts."""
        return Rows(features=self.features[rows], quality=self.quality[rows], weights=self.weights[rows])


def fit(
    training: Rows,
    stopping: Rows,
    options: TrainingOptions,
    *,
    subsets: BoolArray,
    decays: FloatArray,
    random_masks: bool,
) -> tuple[list[Layers], FloatArray]:
    """Train a gate for each decay; keep the state of each that was best on the stopping prompts.

    Parameters
    ----------
    training, stopping
        Prompts to learn from, and prompts to stop by.
    options
        How, but for the weight decay.
    subsets
        (subsets, experts). With ``random_masks`` all gates are trained on random subsets and stopped by their mean
        loss on these; without, there is one gate for each of them, trained and stopped on it alone.
    decays
        (gates,): their weight decays.
    random_masks
        See ``subsets``.

    Returns
    -------
    The gates, and the loss of each on the stopping prompts, (gates,).

    Raises
    ------
    BackendMissing
        If torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise BackendMissing("a gate is trained with torch: pip install 'coinfer[torch]'")
    import torch

    with _one_thread():
        random = torch.Generator().manual_seed(options.seed)
        centre, scale = _standard(training)
        x, q, chance = _tensors(training, centre, scale)
        stop = _tensors(stopping, centre, scale)
        masks = torch.from_numpy(subsets)[:, None, :]  # (subsets, 1, experts)
        state = _start(x.shape[1], q.shape[1], options.hidden, len(decays), random)
        optimizer = torch.optim.Adam(state, lr=options.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
        shrink = torch.from_numpy(decays.astype(np.float32))[:, None, None]
        best = [part.detach().clone() for part in state]
        least = torch.full((len(decays),), math.inf)
        every = max(1, options.steps // _CHECKS)
        for step in range(options.steps):
            rows = torch.multinomial(chance, _BATCH_PROMPTS, replacement=True, generator=random)
            mask = _random_masks(len(rows), q.shape[1], random) if random_masks else masks
            optimizer.zero_grad()
            _losses(_scores(state, x[rows]), mask, q[rows], options.objective).mean(-1).sum().backward()
            with torch.no_grad():
                for weights in state[::2]:
                    weights.mul_(1.0 - schedule.get_last_lr()[0] * shrink)
            optimizer.step()
            schedule.step()
            if (step + 1) % every == 0 or step + 1 == options.steps:
                with torch.no_grad():
                    found = _stopping_losses(_scores(state, stop[0]), masks, stop, options.objective, random_masks)
                    better = found < least
                    least = torch.where(better, found, least)
                    for kept, part in zip(best, state, strict=True):
                        kept[better] = part[better]
        gates = [_layers([part[i] for part in best], centre, scale) for i in range(len(decays))]
        return gates, least.double().numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: sums are then added in one order, and small matrices only lose by more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _standard(rows: Rows) -> tuple[FloatArray, float]:
    """Return centre, (dimension,), and scale of the features: their absolute values then sum up to 8 in the mean.

    A step of Adam moves a score by at most that sum times the learning rate, whatever the dimension.
    """
    table = rows.features.astype(np.float64)
    centre = table.mean(axis=0)
    size = float(np.abs(table - centre).sum(axis=1).mean())
    return centre, _SIZE / size if size > 0.0 else 1.0


def _tensors(rows: Rows, centre: FloatArray, scale: float) -> _Tensors:
    """Return features, quality and share of the traffic."""
    import torch

    features = ((rows.features - centre) * scale).astype(np.float32)
    share = (rows.weights / rows.weights.sum()).astype(np.float32)
    return torch.from_numpy(features), torch.from_numpy(rows.quality.astype(np.float32)), torch.from_numpy(share)


def _start(inputs: int, experts: int, hidden: int, gates: int, random: torch.Generator) -> list[torch.Tensor]:
    """Return weights, (gates, inputs, outputs), and biases, (gates, 1, outputs), in turn; every gate starts alike."""
    import torch

    widths = [inputs, hidden, experts] if hidden else [inputs, experts]
    state = []
    for i in range(len(widths) - 1):
        first = torch.zeros(widths[i], widths[i + 1])
        if hidden and i == 0:
            first = torch.randn(first.shape, generator=random) * math.sqrt(2.0 / inputs)
        state += [first.repeat(gates, 1, 1), torch.zeros(gates, 1, widths[i + 1])]
    return [part.requires_grad_() for part in state]


def _scores(state: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the scores, (gates, prompts, experts)."""
    for i in range(0, len(state), 2):
        x = (x.relu() if i else x) @ state[i] + state[i + 1]
    return x


def _random_masks(prompts: int, experts: int, random: torch.Generator) -> torch.Tensor:
    """Return a random subset for each prompt, (1, prompts, experts), of 2 experts or more, all sizes alike.

    A single expert is no choice, and teaches nothing.
    """
    import torch

    size = torch.randint(2, experts + 1, (prompts, 1), generator=random)
    rank = torch.rand((prompts, experts), generator=random).argsort(dim=1)  # a random permutation is its own rank
    return (rank < size)[None]


def _losses(scores: torch.Tensor, masks: torch.Tensor, quality: torch.Tensor, objective: Objective) -> torch.Tensor:
    """Return the losses, (subsets, prompts); scores of experts outside the subset have no part in them."""
    import torch

    share = torch.log_softmax(scores.masked_fill(~masks, -math.inf), dim=-1)
    if objective == "mixture":
        return -torch.logsumexp(share + quality.clamp(FLOOR, 1.0).log(), dim=-1)
    return -(share.exp() * quality).sum(-1)


def _stopping_losses(
    scores: torch.Tensor, masks: torch.Tensor, stop: _Tensors, objective: Objective, random_masks: bool
) -> torch.Tensor:
    """Return the loss of each gate on the stopping prompts, (gates,): on its own subset, or its mean over all."""
    _, quality, share = stop
    if random_masks:
        return (_losses(scores[:, None], masks, quality, objective) @ share).mean(-1)
    return _losses(scores, masks, quality, objective) @ share


def _layers(state: list[torch.Tensor], centre: FloatArray, scale: float) -> Layers:
    """Return the layers of one gate for features as they come: centre and scale go into the first of them."""
    parts = [part.detach().double().numpy() for part in state]
    layers = [(parts[i], parts[i + 1][0]) for i in range(0, len(parts), 2)]
    weights = layers[0][0] * scale
    layers[0] = weights, layers[0][1] - centre @ weights
    return tuple(layers)


def scores_of(layers: Layers, features: NDArray[np.floating]) -> FloatArray:
    """Return the scores, (prompts, experts), in double precision."""
    values: FloatArray = np.asarray(features, dtype=np.float64)
    for i, (weights, biases) in enumerate(layers):
        values = (np.maximum(values, 0.0) if i else values) @ weights + biases
    return values
