"""Decoding from the logits of several models against full passes of the models themselves."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from coinfer.errors import EndpointError
from coinfer.executor.backends.transformers import LoadedModel
from coinfer.executor.strategies.decoding.methods import contrastive, fs_gen, proxy, speculative
from coinfer.executor.strategies.decoding.stream import Stream
from coinfer.testing.tiny_models import END, job, random_model, stream

torch = pytest.importorskip("torch")
PROMPT = (3, 5, 2, 9)


def logits_of(loaded: LoadedModel, tokens: list[int]) -> Any:
    """Return the logits after the last token, of a full pass without a cache."""
    with torch.inference_mode():
        return loaded.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1].double()


def by_hand(choose: Any, steps: int, prompt: tuple[int, ...] = PROMPT) -> list[int]:
    """Return a text whose tokens are chosen by full passes."""
    text: list[int] = []
    while len(text) < steps and not (text and text[-1] == END):
        text.append(int(choose([*prompt, *text])))
    return text


def test_an_expert_against_an_amateur_is_what_full_passes_give() -> None:
    """Each token has the best contrast among those that the expert finds plausible, for several alphas and betas."""
    expert, amateur = random_model(1), random_model(2, layers=1)
    texts = []
    for alpha, beta in ((0.1, 0.5), (0.5, 1.0), (0.0, 3.0)):

        def choose(tokens: list[int], alpha: float = alpha, beta: float = beta) -> int:
            ours, theirs = (torch.log_softmax(logits_of(each, tokens), -1).numpy() for each in (expert, amateur))
            scores = [
                (1 + beta) * good - beta * bad if np.exp(good) >= alpha * np.exp(ours).max() else -np.inf
                for good, bad in zip(ours, theirs, strict=True)
            ]
            return int(np.argmax(scores))

        models = [stream(expert), stream(amateur)]
        texts.append(contrastive(models, job(*PROMPT, steps=12, alpha=alpha, beta=beta)))
        assert texts[-1] == by_hand(choose, 12)
        for model in models:
            assert (model.read, model.computed) == (len(PROMPT), len(texts[-1]))
    assert len({tuple(text) for text in texts}) > 1


def test_without_weight_or_among_one_token_the_expert_speaks_alone() -> None:
    """Beta 0 gives the expert's greedy text, and so does alpha 1, whatever the amateur says."""
    expert, amateur = random_model(1), random_model(2)
    alone = by_hand(lambda tokens: logits_of(expert, tokens).argmax(), 10)
    for alpha, beta in ((0.1, 0.0), (1.0, 5.0)):
        found = contrastive([stream(expert), stream(amateur)], job(*PROMPT, steps=10, alpha=alpha, beta=beta))
        assert found == alone


def test_a_large_model_is_steered_by_the_difference_of_small_ones() -> None:
    """The logits add up; with equal small models the large one speaks alone."""
    large, tuned, untuned = random_model(1), random_model(2, layers=1), random_model(3, layers=1)

    def choose(tokens: list[int]) -> int:
        one, two, three = (logits_of(each, tokens) for each in (large, tuned, untuned))
        return int((one + 1.5 * (two - three)).argmax())

    models = [stream(each) for each in (large, tuned, untuned)]
    text = proxy(models, job(*PROMPT, steps=12, strength=1.5))
    assert text == by_hand(choose, 12)
    alone = by_hand(lambda tokens: logits_of(large, tokens).argmax(), 12)
    assert text != alone
    assert proxy([stream(each) for each in (large, tuned, tuned)], job(*PROMPT, steps=12, strength=1.5)) == alone


@pytest.mark.parametrize(("threshold", "entropy"), [(0.5, 0.0), (0.3, 0.0), (1.5, 1.0)])
def test_the_large_model_steps_in_where_the_small_one_is_unsure(threshold: float, entropy: float) -> None:
    """Tokens, interventions, and what each model reads are those of full passes, token by token."""
    large, small = random_model(1), random_model(2, layers=1)
    places = []

    def choose(tokens: list[int]) -> int:
        chances = torch.softmax(logits_of(small, tokens), -1).numpy()
        doubt = -(chances * np.log(chances)).sum()
        if doubt > threshold if entropy else chances.max() < threshold:
            places.append(len(tokens))
            return int(logits_of(large, tokens).argmax())
        return int(chances.argmax())

    expected = by_hand(choose, 40, (1, 7))
    models = [stream(large), stream(small)]
    assert fs_gen(models, job(1, 7, steps=40, threshold=threshold, entropy=entropy)) == expected
    assert 0 < len(places) < len(expected)
    assert models[0].computed == len(places)
    assert models[0].read + models[0].computed - 1 == places[-1]
    assert (models[1].read, models[1].computed) == (2, len(expected))


def test_a_sure_small_model_never_asks() -> None:
    """At threshold 0 the large model reads nothing; above 1 it writes everything."""
    large, small = random_model(1), random_model(2)
    models = [stream(large), stream(small)]
    text = fs_gen(models, job(*PROMPT, steps=8, threshold=0.0, entropy=0.0))
    assert text == by_hand(lambda tokens: logits_of(small, tokens).argmax(), 8)
    assert (models[0].read, models[0].computed) == (0, 0)
    text = fs_gen([stream(large), stream(small)], job(*PROMPT, steps=8, threshold=1.1, entropy=0.0))
    assert text == by_hand(lambda tokens: logits_of(large, tokens).argmax(), 8)


@pytest.mark.parametrize("drafts", [1, 3, 8])
@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_greedy_drafts_never_change_the_text(drafts: int, kind: str) -> None:
    """The text is the target's greedy text, at every number of drafts, with good drafts and bad ones."""
    target = random_model(1, kind=kind)
    for draft in (random_model(2, layers=1), random_model(1, kind=kind)):
        for prompt in (PROMPT, (7,), (2, 2, 11), (1, 2, 6)):
            alone = by_hand(lambda tokens: logits_of(target, tokens).argmax(), 20, prompt)
            models = [stream(target), stream(draft)]
            assert speculative(models, job(*prompt, steps=20, drafts=drafts)) == alone
            read, computed = models[0].read, models[0].computed
            assert computed <= len(alone)
            assert read == len(prompt) + models[1].computed  # it reads all drafts
    assert computed == -(-len(alone) // (drafts + 1))  # a draft that is the target itself is always right


@pytest.mark.parametrize("drafts", [1, 2])
def test_sampled_drafts_leave_the_distribution_of_the_target(drafts: int) -> None:
    """Texts of three tokens pass a chi-square test against the target's exact chances, and fail the draft's."""
    target, draft = random_model(5, words=5, layers=1), random_model(6, words=5, layers=1)
    runs, prompt, temperature = 700, (1, 2), 1.3
    counts = Counter(
        tuple(
            speculative(
                [stream(target), stream(draft)],
                job(*prompt, steps=3, temperature=temperature, seed=seed * 7919, drafts=drafts),
            )
        )
        for seed in range(runs)
    )
    assert _tail(counts, runs, _exact(target, prompt, temperature)) > 1e-3
    assert _tail(counts, runs, _exact(draft, prompt, temperature)) < 1e-6


def _exact(loaded: LoadedModel, prompt: tuple[int, ...], temperature: float) -> dict[tuple[int, ...], float]:
    """Return the chance of every text of three tokens, or fewer where it ends."""
    known = {
        begun: torch.softmax(logits_of(loaded, [*prompt, *begun]) / temperature, -1).tolist()
        for size in range(3)
        for begun in product(range(5), repeat=size)
    }
    found: dict[tuple[int, ...], float] = {}
    for text in product(range(5), repeat=3):
        end = text.index(END) + 1 if END in text else 3
        cut = text[:end]
        found[cut] = float(np.prod([known[cut[:i]][cut[i]] for i in range(end)]))
    assert sum(found.values()) == pytest.approx(1.0)
    return found


def _tail(counts: Counter[tuple[int, ...]], runs: int, chances: dict[tuple[int, ...], float]) -> float:
    """Return the chance of counts as far off; rare texts are one cell."""
    often = [text for text, chance in chances.items() if chance * runs >= 5]
    expected = np.array([chances[text] * runs for text in often])
    found = np.array([counts[text] for text in often], dtype=float)
    rest, rare = runs - expected.sum(), runs - found.sum()
    cells = ((found - expected) ** 2 / expected).sum() + ((rare - rest) ** 2 / rest if rest > 1e-9 else 0.0)
    return float(chi2.sf(cells, len(often)))


def test_what_goes_through_a_model_is_what_is_metered() -> None:
    """Tokens read and computed add up to the tokens of all passes, also where a text is taken back."""
    loaded = random_model(1)
    model, passed = stream(loaded), []
    handle = loaded.model.model.embed_tokens.register_forward_hook(
        lambda module, given, out: passed.append(given[0].numel())
    )
    try:
        for text, last in (([1, 2, 3], 1), ([1, 2, 3, 4, 5], 2), ([1, 2, 9], 1), ([1, 2, 9], 2), ([4, 4], 1)):
            found = model.logits(text, last=last)
            for place in range(last):
                before = len(passed)
                expected = logits_of(loaded, text[: len(text) - last + place + 1])
                del passed[before:]
                assert torch.allclose(found[place], expected, atol=1e-4)
    finally:
        handle.remove()
    assert model.read + model.computed - 1 == sum(passed)
    assert model.computed == 5


def test_a_call_that_is_given_up_ends_at_its_next_token() -> None:
    """Once stopped, no further pass is made."""
    stop = threading.Event()
    model = Stream(random_model(1), stop=stop, width=24)
    stop.set()
    with pytest.raises(EndpointError, match="given up"):
        speculative([model, model], job(*PROMPT, steps=9, drafts=2))
