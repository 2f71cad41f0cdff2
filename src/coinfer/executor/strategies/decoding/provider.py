"""The role ``decoder``: several models of this process decode one text together."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coinfer.errors import Plain, RequestError
from coinfer.executor.backends.base import Completion, CompletionRequest, RefusedError
from coinfer.executor.backends.transformers import LoadedModel, TransformersBackend
from coinfer.executor.budget import Amount
from coinfer.executor.strategies.ask import Ask, Decode, RoleTokens, Sampled
from coinfer.executor.strategies.decoding.costs import Taken, at_most, check
from coinfer.executor.strategies.decoding.hogwild import HEADER, Worker, hogwild
from coinfer.executor.strategies.decoding.methods import Job, Method, contrastive, fs_gen, proxy, speculative
from coinfer.executor.strategies.decoding.stream import Chooser, Stream
from coinfer.executor.strategies.provider import PROMPT_OVERHEAD_TOKENS, Served, TokenPrice
from coinfer.executor.strategies.strategy import Need

METHODS: Mapping[str, Method] = {
    "contrastive": contrastive,
    "proxy": proxy,
    "fs_gen": fs_gen,
    "speculative": speculative,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcess:
    """A model that can decode with others.

    Attributes
    ----------
    backend
        The model.
    price
        What its tokens cost; every role is charged for what went through its own model.
    """

    backend: TransformersBackend
    price: TokenPrice


class Decoder:
    """Decodes texts, one at a time.

    Parameters
    ----------
    models
        By role; those that decode together have one tokenizer. The first role of an ask encodes the prompt.
    timeout_s
        Longest time of a call: with a declared power, it bounds the energy.
    """

    def __init__(self, models: Mapping[str, InProcess], *, timeout_s: float = 60.0) -> None:
        self._models, self._timeout_s = dict(models), timeout_s
        self.offers: frozenset[Need] = frozenset({"logits"})
        self.concurrency = 1

    @property
    def roles(self) -> tuple[str, ...]:
        """Return whose models can decode together."""
        return tuple(self._models)

    def parts(self, ask: Ask) -> tuple[Ask, ...]:
        """Return the text itself."""
        return (ask,)

    def worst(self, ask: Ask) -> Amount:
        """Return what all models take at most, the prompt at a token for each byte."""
        decode = self._checked(ask)
        read = sum(len(each.content.encode(errors="replace")) for each in decode.messages) + PROMPT_OVERHEAD_TOKENS
        most = at_most(decode.method, decode.settings, prompt=read, tokens=decode.max_tokens, header=2.0 * len(HEADER))
        return self._amount(decode, dict(zip(decode.roles, most, strict=True)), self._timeout_s)

    async def serve(self, ask: Ask, *, seed: int) -> Served:
        """Decode; a cancelled call ends at its next token. Raises EndpointError where models do not fit together."""
        decode = self._checked(ask)
        backends = [self._models[role].backend for role in decode.roles]
        started_s = time.perf_counter()
        loaded = [await each.with_model(lambda model: model) for each in backends]
        width = agreed_width(dict(zip(decode.roles, loaded, strict=True)))
        request = CompletionRequest(max_tokens=decode.max_tokens, messages=decode.messages)
        stop = threading.Event()
        run = _workers if decode.method == "hogwild" else _text
        try:
            reply = await backends[0].with_model(
                lambda first: run(decode, loaded, backends[0].encoded(first, request), width, seed, stop)
            )
        finally:
            stop.set()
        seconds = time.perf_counter() - started_s
        taken = {
            role: Taken(read=each.prompt_tokens, computed=each.output_tokens) for role, each in reply.metered.items()
        }
        return Served(reply=reply, charged=self._amount(decode, taken, seconds), seconds=seconds)

    def _checked(self, ask: Ask) -> Decode:
        if not isinstance(ask, Decode):
            raise RequestError("ask", expected="a text to decode", found=Plain(type(ask).__name__))
        check(ask.method, len(ask.roles), ask.settings)
        absent = next((role for role in ask.roles if role not in self._models), None)
        if absent is not None:
            raise RequestError("decode.roles", expected=f"of {', '.join(self._models)}", found=absent)
        return ask

    def _amount(self, decode: Decode, taken: Mapping[str, Taken], seconds: float) -> Amount:
        power_w = {id(self._models[role].backend): self._models[role].price.power_w for role in decode.roles}
        return Amount(
            calls=1,
            tokens=round(sum(each.computed for each in taken.values())),
            prompt_tokens=round(sum(each.read for each in taken.values())),
            energy_j=sum(power_w.values()) * seconds,
            usd=sum(
                each.read * self._models[role].price.prompt_usd + each.computed * self._models[role].price.output_usd
                for role, each in taken.items()
            ),
        )


def agreed_width(models: Mapping[str, LoadedModel]) -> int:
    """Return how many logits the models have in common.

    Raises
    ------
    RefusedError
        If their tokenizers differ: a token of one is another text for the other.
    """
    (first, own), *others = models.items()
    words = own.tokenizer.get_vocab()
    for role, other in others:
        if other.tokenizer.get_vocab() != words:
            raise RefusedError(f"{first} ({own.name}) and {role} ({other.name}) have different tokenizers")
    return min(int(each.model.config.get_text_config().vocab_size) for each in models.values())


def _room(models: Sequence[LoadedModel], prompt: int, wanted: int) -> int:
    """Return how many tokens may follow a prompt in the contexts of all models."""
    room = min((each.context_tokens - prompt for each in models if each.context_tokens is not None), default=wanted)
    if room < 1:
        raise RefusedError(f"{models[0].name}: the prompt has {prompt} tokens, which leaves no room in the context")
    return min(room, wanted)


def _text(
    decode: Decode, loaded: Sequence[LoadedModel], prompt: list[int], width: int, seed: int, stop: threading.Event
) -> Sampled:
    """Decode one text from several models."""
    streams = [Stream(each, stop=stop, width=width) for each in loaded]
    job = Job(
        prompt=tuple(prompt),
        steps=_room(loaded, len(prompt), decode.max_tokens),
        ends=loaded[0].end_tokens,
        settings=decode.settings,
        chooser=Chooser(decode.temperature, seed),
    )
    tokens = METHODS[decode.method](streams, job)
    return Sampled(
        completions=(_completion(loaded[0], tokens),),
        metered={role: each.metered for role, each in zip(decode.roles, streams, strict=True)},
    )


def _workers(
    decode: Decode, loaded: Sequence[LoadedModel], prompt: list[int], width: int, seed: int, stop: threading.Event
) -> Sampled:
    """Let workers write on one cache."""
    (model,) = loaded
    count = int(decode.settings["workers"])
    workers = [
        Worker(
            header=model.tokenizer(HEADER.format(number=i + 1), add_special_tokens=False)["input_ids"],
            chooser=Chooser(decode.temperature, _worker_seed(seed, i)),
        )
        for i in range(count)
    ]
    if not all(each.header for each in workers):
        raise RefusedError(f"{model.name}: the tokenizer has no tokens for what a worker begins with")
    headers = sum(len(each.header) for each in workers)
    steps = _room(loaded, len(prompt) + headers, decode.max_tokens) // count
    if steps < 1:
        raise RefusedError(f"{model.name}: {count} workers have no room for a token each")
    taken: RoleTokens = hogwild(model, prompt, workers, steps=steps, width=width, stop=stop)
    return Sampled(
        completions=tuple(_completion(model, each.written) for each in workers), metered={decode.roles[0]: taken}
    )


def _worker_seed(seed: int, index: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:8])


def _completion(loaded: LoadedModel, tokens: list[int]) -> Completion:
    return Completion(
        text=loaded.tokenizer.decode(tokens, skip_special_tokens=True),
        output_tokens=len(tokens),
        finish="stop" if tokens[-1] in loaded.end_tokens else "length",
        logprobs=None,
    )


async def in_process(models: Mapping[str, InProcess], *, first: str, timeout_s: float) -> tuple[Decoder | None, str]:
    """Return the decoder of the models that have the tokenizer of one of them, and why others do not offer logits.

    Parameters
    ----------
    models
        By role.
    first
        The role that all methods have.
    timeout_s
        As of :class:`Decoder`.
    """
    reason = "only models of backend transformers offer them"
    if first not in models:
        return None, reason
    loaded = {role: await each.backend.with_model(lambda model: model) for role, each in models.items()}
    own = loaded[first].tokenizer.get_vocab()
    odd = [role for role, each in loaded.items() if each.tokenizer.get_vocab() != own]
    if odd:
        reason += f", with the tokenizer of {first!r}, which {', '.join(map(repr, odd))} has not"
    return Decoder({role: models[role] for role in models if role not in odd}, timeout_s=timeout_s), reason
