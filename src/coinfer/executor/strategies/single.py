"""One completion: what every other strategy is compared with."""

from __future__ import annotations

from coinfer.executor.strategies.ask import ANSWER
from coinfer.executor.strategies.session import Answer, Session, sampled, user
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption, Usage


class Single:
    """One greedy completion of the prompt as it is.

    Settings: none. Value: the rate of the greedy completion, or of one sample where that is not known. Cost: one call.
    """

    name = "single"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return its only option."""
        once = Usage(calls=1, prompt_tokens=prior.prompt_tokens, output_tokens=prior.output_tokens)
        most = Usage(calls=1, prompt_tokens=prior.prompt_tokens, output_tokens=prior.max_tokens)
        return (
            StrategyOption(
                strategy=self.name,
                settings={},
                value=prior.greedy.get(ANSWER, prior.rate.get(ANSWER)),
                expected={ANSWER: once},
                worst={ANSWER: most},
                latency_s=None if prior.output_s is None else prior.output_tokens * prior.output_s,
            ),
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:  # noqa: ARG002  # it has no settings
        """Ask once."""
        (found,) = yield from sampled(user(prompt.text), max_tokens=prompt.max_tokens)
        if found is None:
            return Answer(text=None)
        return Answer(text=found.text, value=prompt.answer_of(found.text))


STRATEGIES: tuple[Strategy, ...] = (Single(),)
