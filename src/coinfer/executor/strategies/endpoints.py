"""Who serves which role of the strategies (``coinfer/endpoints/1``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.executor.backends.scoring import Address
from coinfer.executor.strategies.ask import DECODER, RETRIEVER, REWARD
from coinfer.executor.strategies.passages import PassageFile, RetrieverSource
from coinfer.executor.strategies.programs import PromptStrategy, own_programs
from coinfer.executor.strategies.provider import TokenPrice
from coinfer.models.endpoint import Endpoint
from coinfer.records import Document, Record

if TYPE_CHECKING:
    pass

FORMAT = "coinfer/endpoints/1"


class RoleEndpoint(Record, frozen=True, kw_only=True):
    """Who serves a role.

    Attributes
    ----------
    kind
        Of the role ``reward``: ``verifier`` (trained by ``coinfer train-verifier``), ``scorer`` (a reward model behind
        an address) or ``judge`` (a language model that grades). Of all others: ``model``, a language model.
    endpoint
        Where the language model or the reward model can be reached; absent for a ``verifier``.
    price
        What its tokens cost; absent: nothing. Of a verifier or scorer, both kinds of tokens are read: prompt tokens are
        those of questions, output tokens those of answers.
    verifier
        Folder of a trained verifier.
    address
        Of a ``scorer``: ``pooling`` (the default) or ``score``, as vLLM serves reward models and cross-encoders.
    logistic
        Of a ``scorer``: true where it gives log-odds, which then become 0..1.
    """

    kind: Literal["model", "verifier", "scorer", "judge"] = "model"
    endpoint: Endpoint | None = None
    price: TokenPrice | None = None
    verifier: str | None = None
    address: Address | None = None
    logistic: bool = False

    def __post_init__(self) -> None:
        trained, scorer = self.kind == "verifier", self.kind == "scorer"
        if trained != (self.endpoint is None):
            expected = f"{'none' if trained else 'one'}, since the kind is {self.kind!r}"
            raise InputError("endpoint", expected=expected, found=Plain("none" if trained is False else "one"))
        if trained != bool(self.verifier):
            expected = "the folder of a trained verifier, where the kind is 'verifier' and only there"
            raise InputError("verifier", expected=expected, found=self.verifier)
        if not scorer and (self.address is not None or self.logistic):
            raise InputError("kind", expected="'scorer', since an address or log-odds are given", found=self.kind)
        if self.endpoint is not None and scorer and self.endpoint.backend != "openai":
            raise InputError("endpoint.backend", expected="'openai', for a scorer", found=self.endpoint.backend)
        if self.endpoint is not None and scorer and self.endpoint.chat and self.address == "score":
            raise InputError("endpoint.chat", expected="false for the address 'score'", found=Plain("true"))

    @property
    def reached_at(self) -> Endpoint:
        """The endpoint of a kind that has one."""
        if self.endpoint is None:
            raise InputError("endpoint", expected="one", found=Plain("none"))
        return self.endpoint


class Endpoints(Document, frozen=True, kw_only=True):
    """A file of endpoints.

    Attributes
    ----------
    roles
        By role: ``answer`` answers, other roles are named by the strategies (``judge``, ``specialist`` ...).
    retriever
        Who finds passages; absent: nobody.
    programs
        Files of prompt programs that plans may name (``coinfer/prompt-program/1``). A relative path starts at the
        folder of this file.
    """

    file_format = FORMAT

    roles: dict[str, RoleEndpoint]
    retriever: RetrieverSource | None = None
    programs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.retriever is not None and RETRIEVER in self.roles:
            raise InputError("roles", expected="no language model in the role 'retriever'", found=Plain("one"))
        if not self.roles or not all(name.strip() and name.isprintable() for name in self.roles):
            raise InputError("roles", expected="at least one role with a name", found=Plain(str(list(self.roles))))
        if DECODER in self.roles:
            raise InputError("roles", expected="other names: the models in process make up this role", found=DECODER)
        for role, item in self.roles.items():
            if (role == REWARD) != (item.kind != "model"):
                kinds = "'verifier', 'scorer' or 'judge'" if role == REWARD else "'model'"
                raise InputError(f"roles.{role}.kind", expected=kinds, found=item.kind)


def read_endpoints(path: str | os.PathLike[str]) -> Endpoints:
    """Read a file of endpoints.

    Raises
    ------
    InputError
        If it is none.
    """
    found, folder = jsonfile.read(path, Endpoints, format_name=FORMAT), Path(path).parent
    retriever = found.retriever
    if isinstance(retriever, PassageFile):
        retriever = PassageFile(file=str(folder / retriever.file))
    programs = tuple(str(folder / each) for each in found.programs)
    return msgspec.structs.replace(found, retriever=retriever, programs=programs)


def programs_of(endpoints: Endpoints) -> dict[str, PromptStrategy]:
    """Return the prompt programs that a file of endpoints names, as strategies by their names.

    Raises
    ------
    InputError
        If a file is none, or two have the same name.
    """
    return own_programs(endpoints.programs)
