"""Spawn and join: an answer under way hands out tasks, their results are written into it, and it goes on."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from coinfer.executor.strategies.agents import MOST_SAMPLES, whole
from coinfer.executor.strategies.ask import ANSWER, Reply, Sample, Sampled
from coinfer.executor.strategies.session import Answer, Session, Step, user
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption, Usage, estimated_tokens

SPAWN, SPAWN_END, JOIN, JOIN_END = "<spawn>", "</spawn>", "<join>", "</join>"
PARENT = (
    "You may hand out parts of the work to helpers who work at the same time. To do so write <spawn>, then one task on "
    "each line, complete in itself, then </spawn>. Their results will follow between <join> and </join>; go on from "
    "there, and end with the answer.\n\n"
)
"""Stands before the prompt of the parent."""
CHILD = "Do one task of a larger problem, and reply with its result, briefly.\n\nProblem: "
TASK = "\n\nTask: "
"""A child reads ``CHILD``, the prompt, ``TASK`` and its task."""
NO_RESULT = "(no result)"
TASK_CHARACTERS = 2000
"""Most characters of a task."""
MEASURED = ("spawns", "children", "child_tokens", "task_tokens")
"""Names in ``Prior.extra``: mean spawns of an answer, and mean tasks of a spawn, tokens of a child's answer, and of a
task."""
SIZES = ((2, 1), (4, 1), (8, 1), (4, 2), (8, 2), (8, 4))
"""Children and spawns of the menu."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """Most tasks of a spawn, spawns of an answer, and tokens of a child's answer (at most a completion's)."""

    children: int
    spawns: int
    child_tokens: int


class Threads:
    r"""Adaptive parallel reasoning by prompt: spawn tasks, join their results, go on from there.

    The parent writes up to ``</spawn>``; the lines since ``<spawn>`` are tasks, and children answer them at once. Their
    results are put behind the parent's text between ``<join>`` and ``</join>``, and the parent goes on from that as its
    prefix. Children may not spawn (depth 1). What a child writes is data: tags in it are taken apart, and only what
    the parent itself writes can spawn.

    Settings: ``children``, most tasks of a spawn, those after being dropped; ``spawns``, most spawns of an answer,
    after which the parent writes on undisturbed; ``child_tokens``, most tokens of a child's answer, 0 for those of a
    completion. The parent has the tokens of one completion, all its parts together.

    Value: what was measured of the option (``Prior.extra`` by its name), else ``None``. Cost, with b spawns of c tasks
    (means of :data:`MEASURED`, cut at the option's limits; where they were not measured, the limits, which is an upper
    bound), A the parent's own tokens
    (``Prior.output_tokens``), R tokens of a child's answer, Q of a task with its line, P of the prompt:

    * parent: b + 1 calls, A tokens written, read :math:`(b+1)(P + I) + G\,b(b+1)/2` with I the instruction and
      G = A / (b + 1) + the tags + c times a result;
    * children: b c calls, b c R tokens written, b c (P + I' + Q) read.

    Notes
    -----
    Pan et al. 2504.15466 (APR); they train the model to spawn, here it is asked to.
    """

    name = "threads"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return limits of several sizes."""
        return tuple(_option(self.name, prior, children, spawns) for children, spawns in SIZES)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Write, spawn and join."""
        return _threaded(prompt, _limits(option.settings, prompt.max_tokens))


def _limits(settings: Mapping[str, float], max_tokens: int) -> _Limits:
    """Read settings, or raise RequestError."""
    children, spawns = (whole(settings, name, 1, MOST_SAMPLES) for name in ("children", "spawns"))
    tokens = whole({"child_tokens": 0.0, **settings}, "child_tokens", 0, 10**9)
    return _Limits(children=children, spawns=spawns, child_tokens=min(tokens or max_tokens, max_tokens))


def _option(name: str, prior: Prior, children: int, spawns: int) -> StrategyOption:
    """Return an option with what it takes."""
    settings = {"children": float(children), "spawns": float(spawns), "child_tokens": 0.0}
    limits = _limits(settings, prior.max_tokens)
    most = (spawns, children, limits.child_tokens, TASK_CHARACTERS / 4)
    mean = {key: prior.extra.get(key, float(limit)) for key, limit in zip(MEASURED, most, strict=True)}
    b, c = min(mean["spawns"], spawns), min(mean["children"], children)
    low = math.floor(b)
    taken = _usage(prior, mean, low, c).times(1 - (b - low)).plus(_usage(prior, mean, low + 1, c).times(b - low))
    helpers = spawns * children
    task = TASK_CHARACTERS / 4
    results = spawns * children * (limits.child_tokens + 2) + spawns * estimated_tokens(_joined([]))
    worst = Usage(
        calls=spawns + 1 + helpers,
        prompt_tokens=(spawns + 1) * (prior.prompt_tokens + estimated_tokens(PARENT) + prior.max_tokens + results)
        + helpers * (prior.prompt_tokens + estimated_tokens(CHILD + TASK) + task),
        output_tokens=prior.max_tokens + helpers * limits.child_tokens,
    )
    way = prior.output_tokens + b * mean["child_tokens"]
    made = StrategyOption(
        strategy=name,
        settings=settings,
        value=None,
        expected={ANSWER: taken},
        worst={ANSWER: worst},
        latency_s=None if prior.output_s is None else way * prior.output_s,
        needs=frozenset({"completions", "prefix"}),
    )
    known = all(key in prior.extra for key in MEASURED)
    bound = None if known else "how often the model spawns tasks is not known"
    return replace(made, value=prior.extra.get(made.name), upper_bound=bound)


def _usage(prior: Prior, mean: Mapping[str, float], spawns: int, children: float) -> Usage:
    """Return what an answer of so many spawns takes."""
    part = prior.output_tokens / (spawns + 1)
    line = estimated_tokens(_line(1, ""))
    grown = part + estimated_tokens(_joined([])) + children * (mean["child_tokens"] + line)
    read = (spawns + 1) * (prior.prompt_tokens + estimated_tokens(PARENT)) + grown * spawns * (spawns + 1) / 2
    helpers = spawns * children
    asked = prior.prompt_tokens + estimated_tokens(CHILD + TASK) + mean["task_tokens"]
    return Usage(
        calls=spawns + 1 + helpers,
        prompt_tokens=read + helpers * asked,
        output_tokens=prior.output_tokens + helpers * mean["child_tokens"],
    )


def _threaded(prompt: Prompt, limits: _Limits) -> Session:
    """Let the parent write, and put results in, until it ends or has no tokens left."""
    messages, prefix, left, children = user(PARENT + prompt.text), "", prompt.max_tokens, 0
    spawns = 0
    while left >= 1:
        stop = (SPAWN_END,) if spawns < limits.spawns else ()
        (reply,) = yield Step(asks=(Sample(messages=messages, max_tokens=left, prefix=prefix, stop=stop),))
        if not isinstance(reply, Sampled) or not reply.completions:
            break
        written = reply.completions[0]
        left -= written.output_tokens
        prefix += written.text
        tasks = spawned(written.text, limits.children) if stop and written.finish == "stop" else []
        if not tasks:
            break
        results = yield from _results(prompt, tasks, limits)
        prefix += _joined(results)
        spawns, children = spawns + 1, children + len(tasks)
    details = {"spawns": float(spawns), "children": float(children)}
    if not prefix:
        return Answer(text=None, details=details)
    return Answer(text=prefix, value=prompt.answer_of(prefix), details=details)


def spawned(text: str, most: int) -> list[str]:
    r"""Return the tasks in what a parent wrote up to ``</spawn>``: lines after its last ``<spawn>``, so many at most.

    >>> spawned("I split it. <spawn>add 3 and 4\n\nadd 5 and 6\n", 4)
    ['add 3 and 4', 'add 5 and 6']
    """
    _, found, tasks = text.rpartition(SPAWN)
    lines = (line.strip()[:TASK_CHARACTERS] for line in tasks.splitlines()) if found else iter(())
    return [line for line in lines if line][:most]


def _results(prompt: Prompt, tasks: Sequence[str], limits: _Limits) -> Generator[Step, tuple[Reply, ...], list[str]]:
    """Have every task answered by a child of its own, all at once."""
    asks = tuple(
        Sample(messages=user(CHILD + prompt.text + TASK + task), max_tokens=limits.child_tokens) for task in tasks
    )
    replies = yield Step(asks=asks)
    return [
        _plain(reply.completions[0].text) if isinstance(reply, Sampled) and reply.completions else NO_RESULT
        for reply in replies
    ]


def _plain(text: str) -> str:
    """Return a child's text with tags taken apart: it can neither end the results nor look like the parent's."""
    for tag in (SPAWN, SPAWN_END, JOIN, JOIN_END):
        text = text.replace(tag, f"({tag[1:-1]})")
    return text.strip() or NO_RESULT


def _line(number: int, result: str) -> str:
    return f"{number}. {result}\n"


def _joined(results: Sequence[str]) -> str:
    """Return the end of a spawn with the results of its tasks."""
    return f"{SPAWN_END}\n{JOIN}\n{''.join(_line(i, each) for i, each in enumerate(results, 1))}{JOIN_END}\n"


STRATEGIES: tuple[Strategy, ...] = (Threads(),)
