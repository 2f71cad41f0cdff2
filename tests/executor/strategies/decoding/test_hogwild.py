"""Workers on one cache against dense attention: who sees what, and at which positions."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from coinfer.errors import EndpointError
from coinfer.executor.backends.transformers import LoadedModel
from coinfer.executor.strategies.ask import RoleTokens
from coinfer.executor.strategies.decoding.hogwild import Worker, hogwild
from coinfer.executor.strategies.decoding.stream import Chooser
from coinfer.testing.tiny_models import END, random_model

torch = pytest.importorskip("torch")
PROMPT = [3, 5, 2, 9, 4]
HEADERS = ([6, 7], [8], [1, 2, 11])


def worked(
    loaded: LoadedModel, headers: tuple[list[int], ...] = HEADERS, *, steps: int = 9, temperature: float = 0.0
) -> tuple[list[Worker], RoleTokens, dict[tuple[int, int], Any]]:
    """Let workers write; return them, what went through, and the logits after token i of worker w, by (w, i)."""
    workers = [Worker(header=list(each), chooser=Chooser(temperature, place)) for place, each in enumerate(headers)]
    passes: list[Any] = []
    handle = loaded.model.lm_head.register_forward_hook(lambda module, given, out: passes.append(out[:, -1].double()))
    try:
        taken = hogwild(loaded, PROMPT, workers, steps=steps, width=24, stop=threading.Event())
    finally:
        handle.remove()
    seen = {}
    for turn, rows in enumerate(passes[1:]):  # the first is the prompt's
        there = [place for place in range(len(workers)) if len(fed(workers[place])) > turn]
        assert len(rows) == len(there)
        seen |= {(place, turn): row for place, row in zip(there, rows, strict=True)}
    return workers, taken, seen


def fed(worker: Worker) -> list[int]:
    """Return the tokens of a worker's block: its last token is written, but nothing follows it."""
    return [*worker.header, *worker.written[:-1]]


def layout(workers: list[Worker], own: int, turn: int) -> list[tuple[int, int]]:
    """Return which tokens, as (worker, place), follow the prompt in the view of a worker in a pass."""
    order = [*(other for other in range(len(workers)) if other != own), own]
    return [(other, i) for other in order for i in range(min(turn + 1, len(fed(workers[other]))))]


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3"])
def test_one_layer_sees_what_a_full_pass_over_the_layout_sees(kind: str) -> None:
    """The keys of one layer hang on the tokens alone: logits are those of transformers on the view, to 1e-4."""
    loaded = random_model(1, layers=1, kind=kind)
    workers, _, seen = worked(loaded)
    for (own, turn), logits in seen.items():
        tokens = [*PROMPT, *(fed(workers[other])[i] for other, i in layout(workers, own, turn))]
        with torch.inference_mode():
            whole = loaded.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1].double()
        assert torch.allclose(logits, whole, atol=1e-4)
    assert len(seen) == sum(len(fed(each)) for each in workers) > 12


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3"])
def test_several_layers_are_dense_attention_at_the_positions_of_each_view(kind: str) -> None:
    """Every token of every worker attends to what stood in its view in its pass, at the positions there, to 1e-4."""
    loaded = random_model(2, layers=3, kind=kind)
    workers, _, seen = worked(loaded, temperature=1.0)
    expected = dense(loaded, workers)
    for key, logits in seen.items():
        assert torch.allclose(logits, expected[key], atol=1e-4)


def dense(loaded: LoadedModel, workers: list[Worker]) -> dict[tuple[int, int], Any]:
    """Return logits of all tokens by dense attention, token by token, layer by layer, without any cache."""
    model = loaded.model.model
    nodes = [(-1, i) for i in range(len(PROMPT))]
    nodes += [(w, i) for w, each in enumerate(workers) for i in range(len(fed(each)))]
    tokens = [PROMPT[i] if w < 0 else fed(workers[w])[i] for w, i in nodes]
    views = {
        (w, i): [(-1, j) for j in range(i + 1 if w < 0 else len(PROMPT))] + ([] if w < 0 else layout(workers, w, i))
        for w, i in nodes
    }
    with torch.inference_mode():
        hidden = {node: model.embed_tokens(torch.tensor([token])) for node, token in zip(nodes, tokens, strict=True)}
        for layer in model.layers:
            normed = {node: layer.input_layernorm(each) for node, each in hidden.items()}
            keys = {node: projected(layer.self_attn, "k", each) for node, each in normed.items()}
            values = {node: projected(layer.self_attn, "v", each) for node, each in normed.items()}
            for node in nodes:
                view = views[node]
                there = torch.stack([turned(model, keys[each], place) for place, each in enumerate(view)])
                query = turned(model, projected(layer.self_attn, "q", normed[node]), len(view) - 1)
                groups = query.shape[0] // there.shape[1]
                there = there.repeat_interleave(groups, dim=1)  # (tokens, heads, head size)
                said = torch.stack([values[each] for each in view]).repeat_interleave(groups, dim=1)
                weights = torch.softmax(torch.einsum("hd,thd->ht", query, there) / query.shape[-1] ** 0.5, dim=-1)
                out = layer.self_attn.o_proj(torch.einsum("ht,thd->hd", weights, said).reshape(1, -1))
                after = hidden[node] + out
                hidden[node] = after + layer.mlp(layer.post_attention_layernorm(after))
        return {
            node: loaded.model.lm_head(model.norm(each))[0].double() for node, each in hidden.items() if node[0] >= 0
        }


def projected(attention: Any, name: str, states: Any) -> Any:
    """Return query, key or value of a token, (heads, head size), without positions."""
    found = getattr(attention, f"{name}_proj")(states).view(-1, attention.head_dim)
    norm = getattr(attention, f"{name}_norm", None)
    return found if norm is None else norm(found)


def turned(model: Any, states: Any, place: int) -> Any:
    """Return a query or key, (heads, head size), rotated to a position by complex numbers."""
    half = states.shape[-1] // 2
    angle = model.rotary_emb.inv_freq.double() * place
    pairs = torch.complex(states[:, :half].double(), states[:, half:].double()) * torch.exp(1j * angle)
    return torch.cat([pairs.real, pairs.imag], dim=-1).to(states.dtype)


def test_one_worker_alone_writes_the_greedy_text() -> None:
    """With nobody else the text is that of transformers behind prompt and header, and tokens are metered as fed."""
    loaded = random_model(3)
    (worker,), taken, _ = worked(loaded, ([6, 7],), steps=12)
    ids = torch.tensor([[*PROMPT, 6, 7]])
    out = loaded.model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=END
    )
    assert worker.written == out[0, ids.shape[1] :].tolist()
    assert taken == RoleTokens(prompt_tokens=7, output_tokens=len(worker.written))


def test_workers_read_each_other_while_they_write() -> None:
    """Another header of the second worker changes what the first one writes; the meter counts all that is chosen."""
    loaded = random_model(4)
    workers, taken, _ = worked(loaded, ([6], [8]), steps=10)
    others, _, _ = worked(loaded, ([6], [13]), steps=10)
    assert workers[0].written != others[0].written
    assert taken.output_tokens == sum(len(each.written) for each in workers)
    assert taken.prompt_tokens == len(PROMPT) + 2
    assert all(len(each.written) <= 10 and END not in each.written[:-1] for each in workers)


def test_a_model_without_rotary_keys_is_refused_in_a_sentence() -> None:
    """What cannot be rotated on is told, not decoded wrongly; and a call that is given up makes no further pass."""
    with pytest.raises(EndpointError, match="of type gpt2"):
        worked(random_model(1, kind="GPT2"))
    stop = threading.Event()
    stop.set()
    with pytest.raises(EndpointError, match="given up"):
        hogwild(random_model(1), PROMPT, [Worker(header=[6], chooser=Chooser(0.0, 1))], steps=3, width=24, stop=stop)
