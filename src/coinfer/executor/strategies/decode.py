"""Strategies that decode from logits, in process: several models write one text, or workers share one cache.

Their roles are models of backend transformers with one tokenizer. Every role is metered by what goes through its own
model (:class:`~coinfer.executor.strategies.ask.RoleTokens`): tokens read, and next-token distributions computed, which
are its output tokens. Latencies take a pass of each model for as long as ``Prior.extra["pass_s_ROLE"]`` says, else for
``Prior.output_s``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from coinfer.executor.strategies.ask import ANSWER, Decode, Sampled
from coinfer.executor.strategies.decoding.costs import Taken, at_most, check, drafted, stepped_in
from coinfer.executor.strategies.decoding.hogwild import HEADER
from coinfer.executor.strategies.session import Answer, Session, Step, user
from coinfer.executor.strategies.strategy import Need, Prior, Prompt, Strategy, StrategyOption, Usage, estimated_tokens
from coinfer.executor.strategies.tally import weighted_answer

AMATEUR, TUNED, UNTUNED, SMALL, DRAFT = "amateur", "tuned", "untuned", "small", "draft"
"""Roles beside ``answer``, which is the expert, the large model, or the target."""
NEEDS: frozenset[Need] = frozenset({"logits"})
ACCEPTANCE = "draft_acceptance"
"""Name in ``Prior.extra``: the chance that the target accepts a draft."""
TOGETHER = (
    "\n\nSeveral workers write on this at the same time, each below its own name, and see what the others write as "
    "they write it. Share the work: do not repeat what another does, use what others have found, and end"
    " with the answer."
)
"""Stands behind the prompt of workers."""
HEADER_TOKENS = estimated_tokens(HEADER)


def share_name(threshold: float, entropy: float) -> str:
    """Return the name in ``Prior.extra`` of the share of tokens that the large model chooses.

    >>> share_name(0.5, 0.0), share_name(1.0, 1.0)
    ('large_share_probability_0.5', 'large_share_entropy_1')
    """
    return f"large_share_{'entropy' if entropy else 'probability'}_{threshold:g}"


class Contrastive:
    r"""What an expert finds likely and an amateur does not, greedily.

    Roles: ``answer`` (the expert), ``amateur``. Settings: ``alpha``, the share of the expert's largest probability
    below which a token is out; ``beta``, how much the amateur's log-probability counts. Value: as measured. Cost: both
    models read the prompt and compute every token: P and A each.

    Notes
    -----
    Li et al. 2210.15097; :func:`coinfer.executor.strategies.decoding.methods.contrastive`.
    """

    name = "contrastive"
    roles = (ANSWER, AMATEUR)

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several alphas and betas."""
        sizes = [{"alpha": alpha, "beta": beta} for alpha in (0.1, 0.3) for beta in (0.25, 0.5, 1.0)]
        return tuple(_option(self.name, self.roles, each, prior, _all(prior, 2)) for each in sizes)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Decode with both."""
        return _decoded(self.name, self.roles, prompt, option.settings)


class Proxy:
    r"""A large model steered by what tuning changed in a small one, greedily.

    Roles: ``answer`` (large), ``tuned`` and ``untuned`` (small). Settings: ``strength`` of the difference of the small
    ones' logits. Value: as measured. Cost: all three read the prompt and compute every token: P and A each.

    Notes
    -----
    Liu et al. 2401.08565; :func:`coinfer.executor.strategies.decoding.methods.proxy`.
    """

    name = "proxy"
    roles = (ANSWER, TUNED, UNTUNED)

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several strengths."""
        return tuple(
            _option(self.name, self.roles, {"strength": each}, prior, _all(prior, 3)) for each in (0.5, 1.0, 1.5)
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Decode with all three."""
        return _decoded(self.name, self.roles, prompt, option.settings)


class FsGen:
    r"""A small model writes, greedily, and a large one chooses the token wherever the small one is unsure.

    Roles: ``answer`` (large), ``small``. Settings: ``threshold``; ``entropy`` 0 to step in where the largest
    probability is below it, 1 where the entropy (nats) is above it. Value: as measured. Cost: the small model computes
    every token; the large one steps in at a share s of them (``Prior.extra`` by :func:`share_name`; 1 where that was
    not measured) and reads what was written in between:
    :func:`coinfer.executor.strategies.decoding.costs.stepped_in`. The answer's details tell the share.

    Notes
    -----
    Zhang et al. 2406.12295 (FS-GEN); :func:`coinfer.executor.strategies.decoding.methods.fs_gen`.
    """

    name = "fs_gen"
    roles = (ANSWER, SMALL)
    thresholds = ((0.3, 0.0), (0.5, 0.0), (0.7, 0.0), (0.9, 0.0), (0.5, 1.0), (1.0, 1.0), (2.0, 1.0))

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several thresholds of both kinds."""
        found = []
        for threshold, entropy in self.thresholds:
            share = min(1.0, max(0.0, prior.extra.get(share_name(threshold, entropy), 1.0)))
            large = stepped_in(share, prompt=prior.prompt_tokens, tokens=prior.output_tokens)
            settings = {"threshold": threshold, "entropy": entropy}
            found.append(_option(self.name, self.roles, settings, prior, [large, *_all(prior, 1)]))
        return tuple(found)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Decode, and count where the large model stepped in."""
        return _decoded(self.name, self.roles, prompt, option.settings, counted="large_tokens")


class Speculative:
    r"""A draft model proposes tokens, and the target accepts or replaces them: the text is the target's greedy text.

    Roles: ``answer`` (the target), ``draft``. Settings: ``drafts`` of a round. Value: that of the target's greedy
    completion. Cost: as many passes of the target as rounds, each reading its drafts, by the chance that a draft is
    accepted (``Prior.extra["draft_acceptance"]``; 0, an upper bound, where that was not measured):
    :func:`coinfer.executor.strategies.decoding.costs.drafted`. The answer's details
    tell the rounds.

    Notes
    -----
    Leviathan et al. 2211.17192; :func:`coinfer.executor.strategies.decoding.methods.speculative`.
    """

    name = "speculative"
    roles = (ANSWER, DRAFT)

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several numbers of drafts."""
        chance = min(1.0, max(0.0, prior.extra.get(ACCEPTANCE, 0.0)))
        value = prior.greedy.get(ANSWER, prior.rate.get(ANSWER))
        found = []
        for drafts in (2, 4, 8):
            taken = drafted(chance, drafts, prompt=prior.prompt_tokens, tokens=prior.output_tokens)
            option = _option(self.name, self.roles, {"drafts": float(drafts)}, prior, taken, value=value)
            known = ACCEPTANCE in prior.extra
            found.append(option if known else replace(option, upper_bound="how often drafts are accepted is not known"))
        return tuple(found)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Decode, and count the rounds."""
        return _decoded(self.name, self.roles, prompt, option.settings, counted="rounds")


class Hogwild:
    r"""Workers who write at the same time on one key-value cache, each seeing the others' tokens live; then a vote.

    Role: ``answer``, a model of type llama, qwen2 or qwen3. Settings: ``workers``; each has the tokens of a completion.
    Value: as measured. Cost, with W workers: W A tokens (A of one worker: ``Prior.extra["hogwild_tokens_W"]``, else
    ``Prior.output_tokens``), the prompt with :data:`TOGETHER` and W headers read once. A pass computes a token of
    every worker.

    Notes
    -----
    Rodionov et al. 2504.06261; there a last question asks for the answer, here the workers' answers are counted.
    """

    name = "hogwild"
    roles = (ANSWER,)

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several numbers of workers."""
        found = []
        for workers in (2, 3, 4):
            own = min(prior.extra.get(f"hogwild_tokens_{workers}", prior.output_tokens), float(prior.max_tokens))
            read = prior.prompt_tokens + estimated_tokens(TOGETHER) + workers * HEADER_TOKENS
            settings, taken = {"workers": float(workers)}, [Taken(read=read, computed=workers * own)]
            found.append(_option(self.name, self.roles, settings, prior, taken, texts=workers))
        return tuple(found)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Let them write, and count their answers."""
        check(self.name, 1, option.settings)
        ask = Decode(
            method=self.name,
            messages=user(prompt.text + TOGETHER),
            max_tokens=prompt.max_tokens * int(option.settings["workers"]),
            roles=self.roles,
            settings=dict(option.settings),
            temperature=prompt.temperature,
        )
        (reply,) = yield Step(asks=(ask,))
        found = reply.completions if isinstance(reply, Sampled) else ()
        return weighted_answer(prompt, [(each, 1.0) for each in found], details={"workers": float(len(found))})


def _decoded(
    method: str, roles: tuple[str, ...], prompt: Prompt, settings: Mapping[str, float], *, counted: str | None = None
) -> Session:
    """Ask for one text; the distributions that the first role computed are a detail of the answer, by its name."""
    check(method, len(roles), settings)
    ask = Decode(
        method=method, messages=user(prompt.text), max_tokens=prompt.max_tokens, roles=roles, settings=dict(settings)
    )
    (reply,) = yield Step(asks=(ask,))
    if not isinstance(reply, Sampled) or not reply.completions:
        return Answer(text=None)
    (found,) = reply.completions
    details = {}
    if counted is not None and roles[0] in reply.metered and found.output_tokens:
        computed = reply.metered[roles[0]].output_tokens
        details = {counted: float(computed), "tokens": float(found.output_tokens)}
        details["share"] = computed / found.output_tokens
    return Answer(text=found.text, value=prompt.answer_of(found.text), details=details)


def _all(prior: Prior, models: int) -> list[Taken]:
    return [Taken(read=prior.prompt_tokens, computed=prior.output_tokens)] * models


def _option(
    name: str,
    roles: Sequence[str],
    settings: Mapping[str, float],
    prior: Prior,
    taken: Sequence[Taken],
    *,
    value: float | None = None,
    texts: int = 1,
) -> StrategyOption:
    added = estimated_tokens(TOGETHER) if name == Hogwild.name else 0.0
    most = at_most(
        name, settings, prompt=prior.prompt_tokens + added, tokens=prior.max_tokens * texts, header=HEADER_TOKENS
    )
    worst = {role: _usage(each, place) for place, (role, each) in enumerate(zip(roles, most, strict=True))}
    expected = {role: _usage(each, place) for place, (role, each) in enumerate(zip(roles, taken, strict=True))}
    slow: float | None = 0.0
    for role, each in zip(roles, taken, strict=True):
        pass_s = prior.extra.get(f"pass_s_{role}", prior.output_s)
        slow = None if slow is None or pass_s is None else slow + each.computed / texts * pass_s
    return StrategyOption(
        strategy=name,
        settings=dict(settings),
        value=value,
        expected={role: _within(each, worst[role]) for role, each in expected.items()},
        worst=worst,
        latency_s=slow,
        needs=NEEDS,
    )


def _usage(taken: Taken, place: int) -> Usage:
    """Return the tokens of a role; the one call is the first role's."""
    return Usage(calls=float(place == 0), prompt_tokens=taken.read, output_tokens=taken.computed)


def _within(usage: Usage, most: Usage) -> Usage:
    """Return a mean that is no more than the worst: the formulas leave out that a text is cut at its limit."""
    return Usage(
        calls=usage.calls,
        prompt_tokens=min(usage.prompt_tokens, most.prompt_tokens),
        output_tokens=min(usage.output_tokens, most.output_tokens),
    )


STRATEGIES: tuple[Strategy, ...] = (Contrastive(), Proxy(), FsGen(), Speculative(), Hogwild())
