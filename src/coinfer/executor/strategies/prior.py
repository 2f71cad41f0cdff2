"""What a pilot says of a prompt: answers counted, lengths averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from coinfer.errors import InputError, Plain
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import ANSWER
from coinfer.executor.strategies.strategy import Prior


def prior_of(
    completions: Mapping[str, Sequence[Completion]],
    *,
    answer_of: Callable[[str], str | None],
    right: Callable[[str], bool],
    prompt_tokens: float,
    max_tokens: int,
    greedy: Mapping[str, Completion] | None = None,
    output_s: float | None = None,
) -> Prior:
    """Return what sampled completions of one prompt say of it.

    Parameters
    ----------
    completions
        By role; those of the role ``answer`` also give the distribution of answers.
    answer_of
        Reads the answer in a completion.
    right
        Whether a completion's text is right.
    greedy
        The greedy completion, by role.
    prompt_tokens, max_tokens, output_s
        As in :class:`Prior`.

    Notes
    -----
    Rates are the plain shares: they are averaged over the prompts of a stratum, where noise of single prompts cancels.
    Right answers that are written differently are one answer; a completion without an answer counts for none.

    Raises
    ------
    InputError
        If the role ``answer`` has no completion.
    """
    own = completions.get(ANSWER, ())
    if not own:
        raise InputError("completions", expected="some of the role 'answer'", found=Plain("none"))
    wrong = Counter(answer_of(each.text) for each in own if not right(each.text))
    wrong.pop(None, None)
    rates = {role: sum(right(each.text) for each in many) / len(many) for role, many in completions.items() if many}
    others = sorted(wrong.values(), reverse=True)
    return Prior(
        prompt_tokens=prompt_tokens,
        output_tokens=sum(each.output_tokens for each in own) / len(own),
        max_tokens=max_tokens,
        rate=rates,
        greedy={role: float(right(each.text)) for role, each in (greedy or {}).items()},
        answers=(rates[ANSWER], *(count / len(own) for count in others)),
        output_s=output_s,
    )
