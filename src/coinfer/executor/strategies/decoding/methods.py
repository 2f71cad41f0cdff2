"""Methods that decode one text from several models: each is given streams and a prompt, and returns tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coinfer.executor.strategies.decoding.stream import Chooser, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be decoded.

    Attributes
    ----------
    prompt
        Tokens of the prompt.
    steps
        Most tokens of the text.
    ends
        Tokens that end it.
    settings
        Of the method.
    chooser
        Chooses tokens.
    """

    prompt: tuple[int, ...]
    steps: int
    ends: frozenset[int]
    settings: Mapping[str, float]
    chooser: Chooser


class Method(Protocol):
    """Decodes a text; the tokens returned end with one of ``job.ends`` where it ended by itself."""

    def __call__(self, models: Sequence[Stream], job: Job) -> list[int]:
        """Return the tokens."""
        ...


def contrastive(models: Sequence[Stream], job: Job) -> list[int]:
    r"""Decode what an expert finds likely and an amateur does not.

    Of the tokens x with :math:`p_e(x) \ge \alpha \max p_e` the scores are
    :math:`(1 + \beta) \log p_e(x) - \beta \log p_a(x)`. With :math:`\beta = 0` the expert alone, above alpha, is left.

    Notes
    -----
    Li et al. 2210.15097 (the limit of large beta); the form with beta is that of O'Brien and Lewis 2309.09117.
    """
    import torch

    alpha, beta = job.settings["alpha"], job.settings["beta"]

    def score(logits: Sequence[Any]) -> Any:
        expert, amateur = (torch.log_softmax(each, dim=-1) for each in logits)
        plausible = expert >= expert.max() + (math.log(alpha) if alpha > 0.0 else -math.inf)
        return torch.where(plausible, (1.0 + beta) * expert - beta * amateur, -math.inf)

    return _together(models, job, score)


def proxy(models: Sequence[Stream], job: Job) -> list[int]:
    r"""Steer a large model by what tuning changed in a small one: :math:`s_l + \gamma (s_t - s_u)`.

    The logits are of the large model, the small tuned one and the small one before tuning; gamma is ``strength``.

    Notes
    -----
    Liu et al. 2401.08565, equation 1 (gamma 1).
    """
    strength = job.settings["strength"]
    return _together(models, job, lambda logits: logits[0] + strength * (logits[1] - logits[2]))


def fs_gen(models: Sequence[Stream], job: Job) -> list[int]:
    """Let the small model write, and the large one choose the token wherever the small one is unsure.

    The small model is unsure where its largest probability is below ``threshold``; with ``entropy`` 1, where the
    entropy of its next token is above ``threshold`` (nats). The large model reads what was written since its last
    token in one pass. Tokens chosen by it are the distributions it computed.

    Notes
    -----
    Zhang et al. 2406.12295 (FS-GEN): the small model's uncertainty is the sign of where the large one is needed.
    """
    import torch

    large, small = models
    threshold, entropy = job.settings["threshold"], bool(job.settings["entropy"])
    text: list[int] = []
    while len(text) < job.steps and not (text and text[-1] in job.ends):
        here = (*job.prompt, *text)
        logits = small.logits(here)[0]
        chances = torch.softmax(logits, dim=-1)
        unsure = float(torch.special.entr(chances).sum()) > threshold if entropy else float(chances.max()) < threshold
        text.append(job.chooser.token(large.logits(here)[0] if unsure else logits))
    return text


def speculative(models: Sequence[Stream], job: Job) -> list[int]:
    r"""Let a draft model propose ``drafts`` tokens and the target accept or replace them: the text is the target's.

    A draft x is accepted with chance :math:`\min(1, p(x) / q(x))`, and else replaced by a draw from
    :math:`\max(0, p - q)`, normalised; after the last one the target adds a token of its own. The distribution of the
    text is exactly that of the target alone, at every temperature; at 0 it is the target's greedy text.

    Notes
    -----
    Leviathan et al. 2211.17192, algorithm 1; Chen et al. 2302.01318.
    """
    target, draft = models
    text: list[int] = []
    while len(text) < job.steps and not (text and text[-1] in job.ends):
        here = (*job.prompt, *text)
        drafted, proposals = _drafted(draft, here, job, min(int(job.settings["drafts"]), job.steps - len(text) - 1))
        verdicts = job.chooser.chances(target.logits((*here, *drafted), last=len(drafted) + 1))
        text += _accepted(job.chooser, drafted, proposals, verdicts, job.ends)
    return text


def _drafted(draft: Stream, here: Sequence[int], job: Job, most: int) -> tuple[list[int], list[Any]]:
    """Return drafts with the distributions they were drawn from; none follows an end."""
    drafted: list[int] = []
    proposals: list[Any] = []
    while len(drafted) < most and not (drafted and drafted[-1] in job.ends):
        proposals.append(job.chooser.chances(draft.logits((*here, *drafted))[0]))
        drafted.append(job.chooser.drawn(proposals[-1]))
    return drafted, proposals


def _accepted(
    chooser: Chooser, drafted: Sequence[int], proposals: Sequence[Any], verdicts: Any, ends: frozenset[int]
) -> list[int]:
    """Return the drafts up to the first that is refused, and the token of the target that follows."""
    for place, (token, proposal) in enumerate(zip(drafted, proposals, strict=True)):
        verdict = verdicts[place]
        if chooser.uniform() * float(proposal[token]) >= float(verdict[token]):
            rest = (verdict - proposal).clamp(min=0.0)
            return [*drafted[:place], chooser.drawn(rest if float(rest.sum()) > 0.0 else verdict)]  # 0 by rounding
        if token in ends:
            return list(drafted[: place + 1])
    return [*drafted, chooser.drawn(verdicts[-1])]


def _together(models: Sequence[Stream], job: Job, score: Any) -> list[int]:
    """Decode with all models at every token."""
    text: list[int] = []
    while len(text) < job.steps and not (text and text[-1] in job.ends):
        here = (*job.prompt, *text)
        text.append(job.chooser.token(score([each.logits(here)[0] for each in models])))
    return text
