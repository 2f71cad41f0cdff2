"""Replies to texts that several models decode, token by token as a prior says: what goes through each model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Decode, RoleTokens, Sampled
from coinfer.executor.strategies.decode import ACCEPTANCE, share_name
from coinfer.executor.strategies.decoding.hogwild import HEADER
from coinfer.executor.strategies.strategy import Prior, estimated_tokens


def decoded(ask: Decode, texts: Sequence[Completion], prior: Prior, random: np.random.Generator) -> Sampled:
    """Return texts as the reply to ``ask``, with what the models of its roles would have taken for them."""
    prompt = round(sum(estimated_tokens(message.content) for message in ask.messages))
    tokens = sum(each.output_tokens for each in texts)
    whole = RoleTokens(prompt_tokens=prompt, output_tokens=tokens)
    taken = [whole] * len(ask.roles)
    if ask.method == "fs_gen":
        share = prior.extra.get(share_name(ask.settings["threshold"], ask.settings["entropy"]), 1.0)
        taken[0] = _large(random.random(tokens) < share, prompt)
    elif ask.method == "speculative":
        taken = _rounds(tokens, ask, prior.extra.get(ACCEPTANCE, 0.0), prompt, random)
    elif ask.method == "hogwild":
        headers = round(len(texts) * estimated_tokens(HEADER))
        taken = [RoleTokens(prompt_tokens=prompt + headers, output_tokens=tokens)]
    return Sampled(completions=tuple(texts), metered=dict(zip(ask.roles, taken, strict=True)))


def _large(unsure: np.ndarray[tuple[int], np.dtype[np.bool_]], prompt: int) -> RoleTokens:
    """Read up to each token that the large model chooses."""
    read = seen = computed = 0
    for place in np.flatnonzero(unsure).tolist():
        read += prompt + place - seen - (1 if computed else 0)
        seen, computed = prompt + place, computed + 1
    return RoleTokens(prompt_tokens=read, output_tokens=computed)


def _rounds(tokens: int, ask: Decode, chance: float, prompt: int, random: np.random.Generator) -> list[RoleTokens]:
    """Draft, accept and go on, until the last token, which ends the text."""
    left, rounds, made, again = tokens, 0, 0, 0
    while left > 0:
        most = min(int(ask.settings["drafts"]), ask.max_tokens - (tokens - left) - 1)
        agree = random.random(most) < chance
        drafts = left if left <= most and agree[:left].all() else most
        accepted = most if agree.all() else int(agree.argmin())
        rounds, made = rounds + 1, made + drafts
        left -= accepted + 1
        again += accepted == most and left > 0
    return [
        RoleTokens(prompt_tokens=prompt + made, output_tokens=rounds),
        RoleTokens(prompt_tokens=prompt + again, output_tokens=made),
    ]
