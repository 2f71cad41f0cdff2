"""What decoding takes of each model: at most, and in expectation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coinfer.errors import RequestError

ROLES = {"contrastive": 2, "proxy": 3, "fs_gen": 2, "speculative": 2, "hogwild": 1}
"""How many models each method has."""
SETTINGS: dict[str, dict[str, tuple[float, float]]] = {
    "contrastive": {"alpha": (0.0, 1.0), "beta": (0.0, 100.0)},
    "proxy": {"strength": (-100.0, 100.0)},
    "fs_gen": {"threshold": (0.0, 100.0), "entropy": (0.0, 1.0)},
    "speculative": {"drafts": (1.0, 64.0)},
    "hogwild": {"workers": (1.0, 16.0)},
}
"""Settings of each method, with the least and the most that they may be."""
WHOLE = frozenset({"entropy", "drafts", "workers"})
"""Settings that are whole numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Tokens of a model: as :class:`~coinfer.executor.strategies.ask.RoleTokens`, but means may be fractions."""

    read: float
    computed: float


def check(method: str, roles: int, settings: Mapping[str, float]) -> None:
    """Check a method with its settings.

    Raises
    ------
    RequestError
        If the method is none, has another number of models, or a setting is absent or out of range.
    """
    if method not in ROLES:
        raise RequestError("decode.method", expected=f"one of {', '.join(ROLES)}", found=method)
    if roles != ROLES[method]:
        raise RequestError("decode.roles", expected=f"{ROLES[method]} of them for {method}", found=roles)
    for name, (least, most) in SETTINGS[method].items():
        found = settings.get(name, math.nan)
        if not least <= found <= most or (name in WHOLE and found != int(found)):
            kind = "a whole number" if name in WHOLE else "a number"
            raise RequestError(f"settings.{name}", expected=f"{kind} from {least:g} to {most:g}", found=found)


def at_most(method: str, settings: Mapping[str, float], *, prompt: float, tokens: int, header: float) -> list[Taken]:
    r"""Return what each model takes at most, in the order of the roles.

    Parameters
    ----------
    method, settings
        Checked.
    prompt
        Tokens of the prompt.
    tokens
        Most tokens of the text, of all workers together.
    header
        Tokens of a worker's header.

    Notes
    -----
    Before r tokens are left at most :math:`\min(\gamma, r - 1)` drafts are made, and each round writes one token at
    least: :math:`\sum_{r=1}^{T} \min(\gamma, r - 1)` drafts.
    """
    whole = Taken(read=prompt, computed=tokens)
    if method == "fs_gen":
        return [Taken(read=prompt + tokens, computed=tokens), whole]
    if method == "speculative":
        drafts = sum(min(int(settings["drafts"]), left) for left in range(tokens))
        return [Taken(read=prompt + drafts, computed=tokens), Taken(read=prompt + tokens, computed=drafts)]
    if method == "hogwild":
        return [Taken(read=prompt + settings["workers"] * header, computed=tokens)]
    return [whole] * ROLES[method]


def stepped_in(share: float, *, prompt: float, tokens: float) -> Taken:
    r"""Return what the large model takes where it steps in at each token with a chance s, independently.

    It computes :math:`N = s T` distributions. Up to its last token, at the mean place
    :math:`L = T - (1 - s)(1 - (1 - s)^T) / s`, everything goes through it; so it reads :math:`P a + L - N` with a the
    chance :math:`1 - (1 - s)^T` that it steps in at all.
    """
    if share <= 0.0:
        return Taken(read=0.0, computed=0.0)
    never = (1.0 - share) ** tokens
    last = tokens - (1.0 - share) * (1.0 - never) / share
    return Taken(read=prompt * (1.0 - never) + last - share * tokens, computed=share * tokens)


def drafted(acceptance: float, drafts: int, *, prompt: float, tokens: float) -> list[Taken]:
    r"""Return what target and draft take for a text that ends by itself after ``tokens``.

    Each draft is accepted with a chance :math:`\alpha`, independently. With t tokens left, a round takes
    :math:`R(t) = 1 + \sum_{k < \gamma} \alpha^k (1 - \alpha) R(t - k - 1) + \alpha^\gamma R(t - \gamma - 1)`, R of what
    is not above 0 being 0; far from the end that is :math:`t (1 - \alpha) / (1 - \alpha^{\gamma + 1})` (Leviathan et
    al. 2211.17192, equation 1). A round makes :math:`\gamma` drafts, or t where the t-th ends the text. The target
    reads all drafts; the draft model reads its last one where all were accepted and more is to come.
    """
    low, high = (_rounds(acceptance, drafts, int(end)) for end in (math.floor(tokens), math.ceil(tokens)))
    part = tokens - math.floor(tokens)
    rounds, made, whole = (one + part * (other - one) for one, other in zip(low, high, strict=True))
    return [Taken(read=prompt + made, computed=rounds), Taken(read=prompt + whole, computed=made)]


def _rounds(acceptance: float, drafts: int, tokens: int) -> Sequence[float]:
    """Return rounds, drafts, and rounds that were accepted as a whole with more to come, for whole tokens."""
    found = [(0.0, 0.0, 0.0)]
    everything = acceptance**drafts
    for left in range(1, tokens + 1):
        own = float(drafts) if left > drafts else drafts - (drafts - left) * acceptance**left
        sums = [1.0, own, 0.0]
        steps = [(acceptance**k * (1.0 - acceptance), k + 1) for k in range(drafts)]
        if left > drafts + 1:
            sums[2] += everything
            steps.append((everything, drafts + 1))
        for chance, step in steps:
            if step < left:
                sums = [total + chance * rest for total, rest in zip(sums, found[left - step], strict=True)]
        found.append((sums[0], sums[1], sums[2]))
    return found[tokens]
