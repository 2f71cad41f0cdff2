"""What a frozen language model makes of an answer: hidden states, and how likely it finds what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coinfer import zoo
from coinfer.errors import BackendMissing, InputError, Plain
from coinfer.executor.backends.transformers import LOADING
from coinfer.executor.verifier.network import Pair, Prepared

BATCH = 32
PROBE: Pair = ("2+2=", ("4",))
"""A text by whose features a language model is known again."""


class FrozenModel:
    """A causal language model in this process whose weights stay as they are.

    Parameters
    ----------
    name
        Local folder, Hugging Face id, or ``zoo:NAME``.
    most_tokens
        Tokens that are read.

    Attributes
    ----------
    inputs
        Numbers that it gives for each step: the hidden state of the step's last token and its mean over the answer;
        sum, mean and least of the answer's log-probabilities, that of ending here, the entropy of what could follow,
        and the logarithm of the answer's length.

    Raises
    ------
    BackendMissing
        If torch or transformers is not installed.
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, name: str, *, most_tokens: int = 1024) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise BackendMissing("a verifier needs torch and transformers: pip install 'coinfer[torch]'") from error
        source = str(zoo.path(name.removeprefix("zoo:"))) if name.startswith("zoo:") else name
        transformers.utils.logging.disable_progress_bar()
        try:
            with LOADING:
                self._tokenizer = transformers.AutoTokenizer.from_pretrained(source)
                model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = Plain((str(error).strip() or type(error).__name__).splitlines()[0][:200])
            raise InputError(f"language model {name!r}", expected="one that can be loaded", found=reason) from error
        self.name, self._model = name, model.eval().requires_grad_(requires_grad=False)
        context = getattr(model.config, "max_position_embeddings", None) or most_tokens
        self._most = min(most_tokens, context)
        self._end = self._tokenizer.eos_token_id
        self.inputs = 2 * int(model.config.hidden_size) + 6

    def tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def prepare(self, pairs: Sequence[Pair]) -> list[Prepared]:
        """Return the features of answers, read in batches of about equal length."""
        import torch

        read = [self._ids(pair) for pair in pairs]
        order = sorted(range(len(read)), key=lambda i: len(read[i][0]))
        found: dict[int, Prepared] = {}
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                found |= dict(zip(rows, self._features([read[i] for i in rows]), strict=True))
        return [found[i] for i in range(len(read))]

    def _ids(self, pair: Pair) -> tuple[list[int], int, tuple[int, ...]]:
        """Return the tokens, where the answer begins, and the last place of each step."""
        question, steps = pair
        asked = list(self._tokenizer(question)["input_ids"])
        if asked and asked[-1] == self._end:
            asked.pop()
        parts = [list(self._tokenizer(step, add_special_tokens=False)["input_ids"]) for step in steps]
        answer = [token for part in parts for token in part][: self._most - 1]
        room = self._most - len(answer)
        asked = asked[max(0, len(asked) - room) :] or [self._end or 0]
        ends, place = [], len(asked) - 1
        for part in parts:
            place += len(part)
            ends.append(min(place, len(asked) + len(answer) - 1))
        return asked + answer, len(asked), tuple(ends)

    def _features(self, rows: Sequence[tuple[list[int], int, tuple[int, ...]]]) -> list[Prepared]:
        import torch

        length = max(len(ids) for ids, _, _ in rows)
        tokens = torch.zeros((len(rows), length), dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for i, (ids, _, _) in enumerate(rows):
            tokens[i, : len(ids)], mask[i, : len(ids)] = torch.tensor(ids), 1
        out = self._model(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
        states, chances = out.hidden_states[-1].float(), torch.log_softmax(out.logits.float(), dim=-1)
        own = chances[:, :-1].gather(2, tokens[:, 1:, None]).squeeze(2)  # own[:, t]: of token t + 1
        made = []
        for i, (_, start, ends) in enumerate(rows):
            features = [self._step(states[i], chances[i], own[i], start, end) for end in ends]
            made.append(Prepared(values=torch.stack(features), ends=ends))
        return made

    def _step(self, states: Any, chances: Any, own: Any, start: int, end: int) -> Any:
        """Return the features of one answer up to token ``end``."""
        import torch

        said = own[start - 1 : end] if end >= start else torch.zeros(1)
        after = chances[end]
        stop = after[self._end] if self._end is not None else after.new_zeros(())
        entropy = -(after.exp() * after.clamp(min=-100.0)).sum()
        count = torch.tensor(float(max(end + 1 - start, 0))).log1p()
        mean = states[min(start, end) : end + 1].mean(dim=0)
        few = torch.stack((said.sum(), said.mean(), said.min(), stop.clamp(min=-100.0), entropy, count))
        return torch.cat((states[end], mean, few.clamp(min=-1000.0)))
