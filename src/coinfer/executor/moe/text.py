"""Prompts as the tokens of the problem's language model, and its tokens as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coinfer import zoo
from coinfer.errors import InputError, Plain
from coinfer.executor.moe.run import MoeRun
from coinfer.models.placement.data import PlacementProblem


def _tokenizer(problem: PlacementProblem) -> Any:
    from transformers import AutoTokenizer

    if problem.model is None:
        raise InputError("model", expected="the language model of the problem", found=Plain("none"))
    source = str(zoo.path(problem.model[4:])) if problem.model.startswith("zoo:") else problem.model
    try:
        return AutoTokenizer.from_pretrained(source)
    except Exception as error:  # a hub, a file system and a parser each raise their own
        found = Plain(str(error).partition("\n")[0])
        raise InputError(f"model {source}", expected="a tokenizer that transformers loads", found=found) from error


def encoded(problem: PlacementProblem, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text.

    Raises
    ------
    InputError
        If the model has no tokenizer that loads.
    """
    tokenizer = _tokenizer(problem)
    return [list(tokenizer(text)["input_ids"]) for text in texts]


def answers(problem: PlacementProblem, run: MoeRun, prompts: Sequence[Sequence[int]]) -> list[str]:
    """Return what each sequence was continued with, as text, up to its first end of sequence."""
    tokenizer = _tokenizer(problem)
    made = []
    for tokens, prompt in zip(run.tokens, prompts, strict=True):
        new = list(tokens[len(prompt) :])
        if tokenizer.eos_token_id in new:
            new = new[: new.index(tokenizer.eos_token_id)]
        made.append(str(tokenizer.decode(new, skip_special_tokens=True)))
    return made
