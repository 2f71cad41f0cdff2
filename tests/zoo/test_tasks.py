"""The tasks of the zoo: reproducible, disjoint between splits, and checked by deriving the answer again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.zoo.tasks import CATEGORIES, MAX_ANSWER_TOKENS, Task, is_correct, sample_tasks, solve, split_of


def _reference(task: Task) -> bool:
    """Judge a task's stored answer by undoing it, sharing no code with the solver."""
    body = task.prompt.rstrip("=")
    if task.category == "reverse":
        return all(a == b for a, b in zip(body.removeprefix("r:"), reversed(task.answer), strict=True))
    if task.category == "sort":
        ordered = all(a <= b for a, b in zip(task.answer, task.answer[1:], strict=False))
        return ordered and all(body[2:].count(d) == task.answer.count(d) for d in "0123456789")
    value = sum(int(digit) * 10**i for i, digit in enumerate(task.answer))
    left, right = (int(x) for x in body.replace("-", "+").replace("*", "+").replace("%", "+").split("+"))
    if task.category == "mod":
        return (left - value) % right == 0 and 0 <= value < right
    return {"add": value - right == left, "sub": value + right == left, "mul": value == sum([left] * right)}[
        task.category
    ]


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds)
def test_every_drawn_answer_is_right(seed: int) -> None:
    """A drawn task's answer passes both the checker and an independent judge that undoes it."""
    for task in sample_tasks(np.random.default_rng(seed), count=12):
        assert is_correct(task.category, task.prompt, task.answer)
        assert _reference(task)
        assert len(task.answer) + 1 <= MAX_ANSWER_TOKENS


@given(seed=seeds, text=st.text(max_size=12))
def test_the_checker_accepts_the_right_answer_only(seed: int, text: str) -> None:
    """Whatever a model writes gives a verdict, and only the right answer, spaces around it aside, is accepted."""
    (task,) = sample_tasks(np.random.default_rng(seed), count=1)
    assert is_correct(task.category, task.prompt, text) == (text.strip() == task.answer)


@given(seed=seeds, data=st.data())
def test_changing_one_character_makes_an_answer_wrong(seed: int, data: st.DataObject) -> None:
    """An answer with one character replaced, added or taken away is rejected."""
    (task,) = sample_tasks(np.random.default_rng(seed), count=1)
    at = data.draw(st.integers(0, len(task.answer) - 1))
    other = data.draw(st.sampled_from("0123456789abcdefghijklmnopqrstuvwxyz-").filter(lambda c: c != task.answer[at]))
    wrong = (
        task.answer[:at] + other + task.answer[at + 1 :],
        task.answer[:at] + task.answer[at + 1 :],
        task.answer + other,
    )
    assert not any(is_correct(task.category, task.prompt, answer) for answer in wrong)


@pytest.mark.parametrize(
    ("category", "prompt", "answer"),
    [
        ("add", "47+85=", "231"),
        ("sub", "85-47=", "83"),
        ("mul", "347*8=", "6772"),
        ("reverse", "r:abc=", "cba"),
        ("sort", "s:3121=", "1123"),
        ("mod", "357%8=", "5"),
    ],
)
def test_the_documented_examples_hold(category: str, prompt: str, answer: str) -> None:
    """The examples of the documentation are what the checker says, and wrong answers to them are rejected."""
    assert solve(category, prompt) == answer
    assert is_correct(category, prompt, f" {answer}\n")
    assert not any(is_correct(category, prompt, wrong) for wrong in ("", "=", answer + "0", "-" + answer, "²", "<eos>"))


def test_the_same_seed_gives_the_same_tasks() -> None:
    """Tasks depend on the generator's state and on nothing else."""
    first, second, third = (sample_tasks(np.random.default_rng(seed), count=50) for seed in (7, 7, 8))
    assert first == second
    assert first != third


def test_training_and_evaluation_share_no_prompt() -> None:
    """No prompt of one split appears in the other, not even as its mirror image."""
    train = sample_tasks(np.random.default_rng(0), count=5000, split="train")
    held_out = sample_tasks(np.random.default_rng(0), count=5000, split="evaluation")
    prompts = {task.prompt for task in held_out}
    prompts |= {"+".join(reversed(p[:-1].split("+"))) + "=" for p in prompts if "+" in p}

    assert prompts.isdisjoint(task.prompt for task in train)
    assert all(split_of(prompt) == "evaluation" for prompt in prompts)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_holds_out_enough_to_be_examined(category: str) -> None:
    """Each category has at least the 200 distinct held-out prompts that the manifest's accuracies are measured on."""
    tasks = sample_tasks(np.random.default_rng(1), count=200, categories=(category,), distinct=True)
    assert len({task.prompt for task in tasks}) == 200
    assert {task.category for task in tasks} == {category}


@pytest.mark.parametrize(
    ("category", "prompt"),
    [
        ("add", "47-85="),
        ("add", "047+85="),
        ("sub", "4-8="),
        ("mod", "5%0="),
        ("sort", "s:12="),
        ("reverse", "r:ABC="),
        ("add", "٤+٥="),
        ("div", "4/2="),
        ("add", ""),
    ],
)
def test_a_prompt_of_no_category_is_an_error(category: str, prompt: str) -> None:
    """A prompt that its category could never have drawn is refused, for it has no right answer."""
    with pytest.raises(InputError):
        is_correct(category, prompt, "1")


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": -1},
        {"count": 1, "split": "test"},
        {"count": 1, "categories": ()},
        {"count": 1, "categories": ("div",)},
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, object]) -> None:
    """Sampling refuses what it cannot draw and says which argument is wrong."""
    with pytest.raises(InputError, match=r"tasks\."):
        sample_tasks(np.random.default_rng(0), **arguments)  # type: ignore[arg-type]


def test_more_distinct_prompts_than_there_are_is_an_error() -> None:
    """A split that runs out of prompts is an error, not an endless search."""
    with pytest.raises(InputError, match="distinct prompts"):
        sample_tasks(np.random.default_rng(0), count=4000, categories=("mul",), distinct=True)
