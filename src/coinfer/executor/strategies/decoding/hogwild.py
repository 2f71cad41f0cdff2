"""Hogwild! workers: several write at the same time, and each sees what the others write, token by token."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from coinfer.errors import EndpointError
from coinfer.executor.backends.transformers import LoadedModel
from coinfer.executor.strategies.ask import RoleTokens
from coinfer.executor.strategies.decoding.shared_cache import SharedCache
from coinfer.executor.strategies.decoding.stream import Chooser

HEADER = "\n\nWorker {number}: "
"""Begins the block of a worker."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker.

    Attributes
    ----------
    header
        Tokens that its block begins with.
    chooser
        With a random stream of its own.
    written
        Tokens that it chose.
    """

    header: list[int]
    chooser: Chooser
    written: list[int] = field(default_factory=list)


def hogwild(
    loaded: LoadedModel,
    prompt: Sequence[int],
    workers: Sequence[Worker],
    *,
    steps: int,
    width: int,
    stop: threading.Event,
) -> RoleTokens:
    """Let workers write up to ``steps`` tokens each on one shared cache; return what went through the model.

    In every pass each worker that has not ended feeds its latest token; all passes are one batch. At every layer a
    worker attends to the keys that the others have put there in the same pass.

    Parameters
    ----------
    loaded
        The model: see :func:`~coinfer.executor.strategies.decoding.shared_cache.check_shareable`.
    prompt
        Tokens that all have in common.
    workers
        Their texts are written into them; each has a header of at least one token.
    steps
        Most tokens of each worker.
    width
        Logits that are looked at.
    stop
        Once set, the next pass raises EndpointError.
    """
    import torch

    with torch.inference_mode():
        ids = torch.tensor([list(prompt)], device=loaded.device)
        common = loaded.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        cache = SharedCache(loaded.model, common, workers=len(workers))
        going = list(range(len(workers)))
        while going:
            if stop.is_set():
                raise EndpointError(f"{loaded.name}: the call was given up")
            logits = _pass(loaded, cache, going, [_next(workers[each], cache.lengths[each]) for each in going])
            for row, place in enumerate(going):
                worker = workers[place]
                if cache.lengths[place] >= len(worker.header):  # its header has been read
                    worker.written.append(worker.chooser.token(logits[row, :width]))
            going = [
                place
                for place in going
                if len(workers[place].written) < steps
                and not (workers[place].written and workers[place].written[-1] in loaded.end_tokens)
            ]
    return RoleTokens(
        prompt_tokens=len(prompt) + sum(len(each.header) for each in workers),
        output_tokens=sum(len(each.written) for each in workers),
    )


def _next(worker: Worker, length: int) -> int:
    """Return the token that a worker feeds when its block has so many."""
    return worker.header[length] if length < len(worker.header) else worker.written[-1]


def _pass(loaded: LoadedModel, cache: SharedCache, going: Sequence[int], tokens: Sequence[int]) -> Any:
    """Put a token of each worker through the model; return logits, (workers, vocabulary), in 64-bit floats."""
    import torch

    place = cache.take(going)
    rows = len(going)
    everything = torch.zeros((rows, 1, 1, place + 1), dtype=loaded.model.dtype, device=loaded.device)
    out = loaded.model(
        input_ids=torch.tensor(tokens, device=loaded.device)[:, None],
        position_ids=torch.full((rows, 1), place, device=loaded.device),
        attention_mask=everything,  # each sees its whole view
        past_key_values=cache,
        use_cache=True,
    )
    return out.logits[:, -1].double().cpu()
