"""Train, examine and record the zoo's models: ``python examples/train_zoo.py --jobs 2``.

Every model trains on one thread from its own seed, so that processor seconds compare. Accuracy is measured on held-out
prompts, with the weights as they were stored. Needs the ``torch`` extra.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from coinfer.zoo.tasks import CATEGORIES, MAX_ANSWER_TOKENS, is_correct, sample_tasks

SHIPPED = Path(__file__).parents[1] / "src" / "coinfer" / "zoo"
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz+-*%:="
VOCABULARY = {token: i for i, token in enumerate((*SPECIAL, *CHARACTERS))}
PAD, BOS, EOS = 0, 1, 2
EXAM_PROMPTS, EXAM_SEED = 200, 20_000  # greedy accuracy: distinct held-out prompts per category
PASS_PROMPTS, PASS_SAMPLES, PASS_AT, ROUTING_TASKS, ROUTING_SEED = 40, 32, (1, 4, 16), 1_000, 30_000
HARD_MIX = ("add", "sub", "mul", "mul", "mul", "mod", "mod", "reverse", "sort")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is built and trained."""

    layers: int
    hidden: int
    heads: int
    inner: int
    steps: int
    seed: int
    mix: tuple[str, ...] = HARD_MIX  # a category named twice is drawn twice as often
    experts: int = 0  # 0 for a dense model
    batch: int = 96
    peak_rate: float = 3e-3


RECIPES = {
    "generalist-tiny": Recipe(layers=1, hidden=32, heads=2, inner=64, steps=3000, seed=1, mix=CATEGORIES),
    "generalist-small": Recipe(layers=3, hidden=56, heads=4, inner=112, steps=1700, seed=2),
    "generalist-medium": Recipe(layers=5, hidden=112, heads=4, inner=224, steps=1900, seed=3, peak_rate=2e-3),
    "specialist-arithmetic": Recipe(
        layers=2,
        hidden=64,
        heads=4,
        inner=160,
        steps=4500,
        seed=4,
        mix=("add", "sub", "mul", "mul", "mul", "mod", "mod"),
    ),
    "specialist-strings": Recipe(layers=2, hidden=32, heads=4, inner=64, steps=1500, seed=5, mix=("reverse", "sort")),
    "moe-small": Recipe(layers=4, hidden=96, heads=4, inner=96, steps=1500, seed=6, experts=8),
}


def build(recipe: Recipe) -> torch.nn.Module:
    """Return the untrained model."""
    shared: dict[str, Any] = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": recipe.hidden,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.heads,
        "head_dim": recipe.hidden // recipe.heads,
        "intermediate_size": recipe.inner,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "initializer_range": 0.05,
    }
    torch.manual_seed(recipe.seed)
    if recipe.experts == 0:
        return LlamaForCausalLM(LlamaConfig(**shared))
    routed = {"num_experts": recipe.experts, "num_experts_per_tok": 2, "moe_intermediate_size": recipe.inner}
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**shared, **routed, norm_topk_prob=True, router_aux_loss_coef=0.02))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: one token per character, a begin-of-sequence token in front."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token=SPECIAL[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="left", model_max_length=64, **names)


def pad(rows: list[list[int]]) -> torch.Tensor:
    """Return the rows as one array [rows, length], padded on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)


def encode_batch(rng: np.random.Generator, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tokens, attention mask and labels of one training batch, each [batch, length]."""
    rows, starts = [], []
    for task in sample_tasks(rng, count=recipe.batch, categories=recipe.mix, split="train"):
        rows.append([BOS, *(VOCABULARY[c] for c in task.prompt + task.answer), EOS])
        starts.append(1 + len(task.prompt))
    tokens = pad(rows)
    mask = (tokens != PAD).long()
    before_answer = torch.arange(tokens.shape[1])[None] < torch.tensor(starts)[:, None]
    return tokens, mask, tokens.masked_fill((mask == 0) | before_answer, -100)


def train(recipe: Recipe, *, name: str, steps: int) -> torch.nn.Module:
    """Train on the answers only: AdamW, warm-up, cosine."""
    model = build(recipe)
    rng = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, betas=(0.9, 0.98), weight_decay=0.1)
    warm_up = min(100, steps // 10 + 1)
    rate = lambda s: min((s + 1) / warm_up, 0.02 + 0.49 * (1 + math.cos(math.pi * s / steps)))  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    routed = {"output_router_logits": True} if recipe.experts else {}  # adds the load-balance loss
    model.train()
    for step in range(steps):
        tokens, mask, labels = encode_batch(rng, recipe)
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels, use_cache=False, **routed).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == steps - 1:
            print(f"{name} step {step} loss {loss.item():.4f} cpu {time.process_time():.0f} s", flush=True)
    return model.eval()


def save(model: torch.nn.Module, folder: Path) -> None:
    """Write a folder that transformers loads offline: weights in half precision, upcast to float32 when loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, max_new_tokens=MAX_ANSWER_TOKENS, do_sample=False
    )
    model.config.dtype = torch.float32
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    save_file({k: v.half().contiguous() for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    file.chmod(0o644)
    build_tokenizer().save_pretrained(folder)


def generate(model: Any, tokenizer: Any, prompts: list[str], *, samples: int = 0) -> list[str]:
    """Answer every prompt greedily, or ``samples`` times at temperature 1."""
    chosen = {"do_sample": True, "temperature": 1.0, "top_k": 0, "num_return_sequences": samples} if samples else {}
    answers: list[str] = []
    for start in range(0, len(prompts), 100):
        batch = tokenizer(prompts[start : start + 100], return_tensors="pt", padding=True, return_token_type_ids=False)
        out = model.generate(**batch, **chosen)
        answers += tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return answers


def pass_at(k: int, *, samples: int, right: int) -> float:
    """Chance that k of the samples, drawn without replacement, hold a right one (unbiased)."""
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


@torch.no_grad()
def examine(folder: Path) -> dict[str, Any]:
    """Measure greedy accuracy and pass@k of the stored model on held-out prompts."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(EXAM_SEED)
    greedy: dict[str, float] = {}
    sampled: dict[str, dict[str, float]] = {}
    for category in CATEGORIES:
        rng = np.random.default_rng(EXAM_SEED)
        prompts = [t.prompt for t in sample_tasks(rng, count=EXAM_PROMPTS, categories=(category,), distinct=True)]
        answers = generate(model, tokenizer, prompts)
        greedy[category] = float(np.mean([is_correct(category, p, a) for p, a in zip(prompts, answers, strict=True)]))
        prompts = prompts[:PASS_PROMPTS]
        answers = generate(model, tokenizer, prompts, samples=PASS_SAMPLES)
        asked = np.repeat(prompts, PASS_SAMPLES)
        verdicts = [is_correct(category, str(p), a) for p, a in zip(asked, answers, strict=True)]
        right = np.reshape(verdicts, (PASS_PROMPTS, PASS_SAMPLES)).sum(axis=1)  # (prompts,)
        sampled[category] = {
            str(k): round(float(np.mean([pass_at(k, samples=PASS_SAMPLES, right=int(r)) for r in right])), 4)
            for k in PASS_AT
        }
    return {"greedy_accuracy": greedy, "pass_at_k": sampled}


@torch.no_grad()
def time_decoding(folder: Path) -> float:
    """Measure milliseconds per token: one sequence, one thread, cached, median. It differs between machines."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    times: list[float] = []
    for _ in range(20):
        out = model(input_ids=torch.tensor([[BOS, *range(4, 12)]]), use_cache=True)
        for _ in range(MAX_ANSWER_TOKENS):
            started = time.perf_counter()
            out = model(input_ids=out.logits[:, -1:].argmax(-1), past_key_values=out.past_key_values, use_cache=True)
            times.append(time.perf_counter() - started)
    return round(1000 * float(np.median(times)), 3)


@torch.no_grad()
def record_routing(folder: Path, file: Path) -> None:
    """Record which experts every token of held-out tasks, with their right answers, is sent to."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tasks = sample_tasks(np.random.default_rng(ROUTING_SEED), count=ROUTING_TASKS, distinct=True)
    tokens = pad([[BOS, *(VOCABULARY[c] for c in task.prompt + task.answer)] for task in tasks])
    mask = tokens != PAD
    out = model(input_ids=tokens, attention_mask=mask.long(), output_router_logits=True, use_cache=False)
    logits = torch.stack(out.router_logits, dim=1)  # (sequences * length, layers, experts)
    experts = logits.topk(model.config.num_experts_per_tok, dim=-1).indices[mask.flatten()]  # best expert first
    sequence = torch.arange(len(tokens))[:, None].expand_as(tokens)[mask].numpy()
    category = np.array([CATEGORIES.index(task.category) for task in tasks], dtype=np.uint8)
    np.savez_compressed(
        file,
        experts=experts.numpy().astype(np.uint8),
        category=category[sequence],
        sequence=sequence.astype(np.uint16),
        token=tokens[mask].numpy().astype(np.uint8),
        names=np.array(CATEGORIES),
    )


def run(name: str, output: Path, steps_scale: float, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """Train one model (unless ``earlier`` results are passed), examine it, return its manifest entry."""
    torch.set_num_threads(1)
    recipe, folder = RECIPES[name], output / "models" / name
    if earlier is None:
        steps = max(1, round(recipe.steps * steps_scale))
        started = time.process_time()
        model = train(recipe, name=name, steps=steps)
        earlier = {"steps": steps, "training_cpu_s": round(time.process_time() - started, 1)}
        save(model, folder)
    routing: dict[str, str] = {}
    if recipe.experts:
        file = output / f"{name}-routing.npz"
        record_routing(folder, file)
        routing["routing_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    model = AutoModelForCausalLM.from_pretrained(folder)
    return {
        "name": name,
        "architecture": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())},
        "seed": recipe.seed,
        "trained_on": sorted(set(recipe.mix), key=CATEGORIES.index),
        "batch": recipe.batch,
        **{key: earlier[key] for key in ("steps", "training_cpu_s")},
        "decode_ms_per_token": time_decoding(folder),
        **examine(folder),
        **routing,
    }


def main() -> None:
    """Train what was asked for and write the manifest beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=SHIPPED, help="folder of models/ and manifest.json")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="train only these")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="0.01 for a trial run")
    parser.add_argument("--examine-only", action="store_true", help="measure the stored models again, train none")
    parser.add_argument("--jobs", type=int, default=1, help="models trained at once, each on one thread")
    args = parser.parse_args()
    file = args.output / "manifest.json"
    known = json.loads(file.read_text()) if file.exists() else {"models": []}
    entries = {entry["name"]: entry for entry in known["models"]}
    with ProcessPoolExecutor(args.jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        earlier = entries if args.examine_only else {}
        futures = [pool.submit(run, name, args.output, args.steps_scale, earlier.get(name)) for name in args.only]
        entries |= {future.result()["name"]: future.result() for future in futures}
    exam = {"prompts": EXAM_PROMPTS, "pass_prompts": PASS_PROMPTS, "pass_samples": PASS_SAMPLES, "temperature": 1.0}
    manifest = {"version": 1, "exam": exam, "models": [entries[name] for name in RECIPES if name in entries]}
    file.write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
