"""Conversations, beginnings of replies and stop texts mean the same at every backend."""

from __future__ import annotations

import asyncio

import pytest

from coinfer.executor.backends.base import Completion, CompletionRequest, Message
from coinfer.executor.backends.conversation import cut, plain_text, turns, without_prefix
from coinfer.executor.backends.transformers import TransformersBackend

TALK = (
    Message(role="system", content="be kind"),
    Message(role="user", content="hi"),
    Message(role="assistant", content="yes?"),
    Message(role="user", content="1+1="),
)


def completion(text: str) -> Completion:
    return Completion(text=text, output_tokens=9, finish="length", logprobs=None)


def test_a_single_question_is_the_prompt_itself() -> None:
    """A prompt and a conversation of one question are the same text, with the prefix behind it."""
    question = CompletionRequest(messages=(Message(role="user", content="1+1="),), max_tokens=3, prefix="2")
    assert plain_text(question) == plain_text(CompletionRequest(prompt="1+1=", max_tokens=3, prefix="2")) == "1+1=2"
    assert turns(question) == [{"role": "user", "content": "1+1="}]


def test_turns_are_told_apart_in_plain_text() -> None:
    """Without a chat template each turn names its speaker, and the model goes on as the assistant."""
    said = plain_text(CompletionRequest(messages=TALK, max_tokens=3, prefix="so "))
    assert said == "System: be kind\n\nUser: hi\n\nAssistant: yes?\n\nUser: 1+1=\n\nAssistant: so "
    assert [each["role"] for each in turns(CompletionRequest(messages=TALK, max_tokens=3))] == [
        "system",
        "user",
        "assistant",
        "user",
    ]


def test_a_text_ends_before_its_first_stop_and_its_tokens_stay_paid() -> None:
    """The earliest of several stops counts, an empty one is none, and the count of tokens does not change."""
    request = CompletionRequest(prompt="x", max_tokens=9, stop=("END", "\n\n", ""))
    found = cut(completion("one\n\ntwo END"), request)
    assert (found.text, found.finish, found.output_tokens) == ("one", "stop", 9)
    assert cut(completion("one"), request) == completion("one")


def test_a_prefix_that_an_endpoint_repeats_is_taken_off() -> None:
    """Only a prefix at the beginning goes, once."""
    request = CompletionRequest(prompt="x", max_tokens=9, prefix="1 2")
    assert without_prefix(completion("1 2 3"), request).text == " 3"
    assert without_prefix(completion("3 1 2"), request).text == "3 1 2"


@pytest.mark.parametrize("cut_at", [1, 2])
def test_a_bundled_model_goes_on_from_the_beginning_of_its_own_reply(cut_at: int) -> None:
    """Greedy: from a prefix comes the rest of the whole reply, a stop text ends it, and messages are the prompt."""

    async def main() -> None:
        backend = TransformersBackend("zoo:generalist-small")
        whole = (await backend.complete(CompletionRequest(prompt="347*8=", max_tokens=9))).completions[0].text
        assert len(whole) > cut_at + 1
        said = (Message(role="user", content="347*8="),)
        asked = CompletionRequest(messages=said, max_tokens=9, prefix=whole[:cut_at])
        assert (await backend.complete(asked)).completions[0].text == whole[cut_at:]
        stopped = CompletionRequest(messages=said, max_tokens=9, stop=(whole[cut_at],))
        assert (await backend.complete(stopped)).completions[0].text == whole[: whole.index(whole[cut_at])]
        assert (await backend.probe()).prefix
        await backend.close()

    asyncio.run(main())
