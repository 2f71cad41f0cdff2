"""One worker of an expert-parallel run: a process for each device, all running the same steps."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import numpy as np

from coinfer.executor.moe.context import Context
from coinfer.executor.moe.exchange import Exchange, clock, link_seconds
from coinfer.executor.moe.model import Shard, load
from coinfer.executor.moe.task import Task
from coinfer.models.placement.crossings import chosen_devices, visited_devices


def work(task: Task, rank: int) -> None:
    """Run the worker ``rank`` and leave its counts in the folder of the task; a failure leaves its sentence there."""
    try:
        _work(task, rank)
    except BaseException as error:
        (task.folder / f"failed-{rank}.json").write_text(json.dumps(f"{type(error).__name__}: {error}"))
        raise SystemExit(1) from error


def _work(task: Task, rank: int) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    device = torch.device("cuda", rank) if task.backend == "nccl" else torch.device("cpu")
    model = load(task.model)
    shard = Shard(model, task.layer_ids, task.copies.held[:, :, rank])
    model.to(device)  # after the experts of others are dropped: a GPU never holds them
    torch.set_default_device(device)  # what is made below is made where the model is
    distributed.init_process_group(
        task.backend,
        init_method=f"file://{task.folder}/meeting",
        rank=rank,
        world_size=task.devices,
        timeout=timedelta(seconds=task.timeout_s),
    )
    try:
        with torch.inference_mode():
            Worker(task, rank, model, shard).run(link_seconds(rank, task.devices))
    finally:
        distributed.destroy_process_group()


class Worker:
    """The steps of one worker: in each step one token of every sequence goes through all layers."""

    def __init__(self, task: Task, rank: int, model: Any, shard: Shard) -> None:
        self.task, self.rank, self.model, self.shard = task, rank, model, shard
        self.exchange = Exchange(rank, task.devices, len(task.layer_ids))
        self.expert_row = {index: row for row, index in enumerate(task.layer_ids)}
        config = model.config
        self.top_k = int(config.num_experts_per_tok)
        self.context = Context(len(task.prompts), max(task.lengths))
        self.tokens = [list(prompt) for prompt in task.prompts]
        self.routed: list[tuple[int, int, Any, Any]] = []  # token, layer, experts
        self.logits: list[tuple[int, Any]] = []
        self.first = np.array(task.first_token, dtype=np.int64)

    def run(self, links: Any) -> None:
        """Run all steps and write what was counted."""
        for step in range(max(self.task.lengths)):
            self._step(step)
        exchange = self.exchange
        arrays = {
            "dispatched": exchange.dispatched,
            "combined": exchange.combined,
            "sent_bytes": exchange.sent_bytes,
            "context_bytes": exchange.context_bytes,
            "seconds": exchange.seconds,
            "links": links,
            "expert_bytes": np.array(self.shard.expert_bytes),
            "routed": np.array(self.routed, dtype=np.int64).reshape(-1, 2 + self.top_k),
        }
        if self.rank == 0:
            width = max(len(row) for row in self.tokens)
            arrays["tokens"] = np.array([row + [-1] * (width - len(row)) for row in self.tokens])
        if self.logits:
            arrays["logit_tokens"] = np.array([token for token, _ in self.logits])
            arrays["logits"] = np.stack([row for _, row in self.logits])
        np.savez(self.task.folder / f"worker-{self.rank}.npz", allow_pickle=False, **arrays)

    def _step(self, step: int) -> None:
        """Take the tokens at place ``step`` through the model."""
        import torch

        task, decoder = self.task, self.model.model
        mine = [i for i, length in enumerate(task.lengths) if step < length and i % task.devices == self.rank]
        rows = torch.tensor(mine, dtype=torch.long)
        hidden = decoder.embed_tokens(torch.tensor([self.tokens[i][step] for i in mine], dtype=torch.long))
        for index, layer in enumerate(decoder.layers):
            if len(rows):
                hidden = self._attend(layer, hidden, rows, step)
            if index in self.expert_row:
                rows, hidden = self._experts(layer, self.expert_row[index], rows, hidden, step)
            elif len(rows):
                hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        self._finish(step, rows, hidden)

    def _attend(self, layer: Any, hidden: Any, rows: Any, step: int) -> Any:
        """Add what attention says to the rows (rows, width)."""
        import torch

        states = layer.input_layernorm(hidden)[:, None]
        places = torch.full((len(rows), 1), step, dtype=torch.long)
        seen, _ = layer.self_attn(
            hidden_states=states,
            position_embeddings=self.model.model.rotary_emb(states, position_ids=places),
            attention_mask=None,
            past_key_values=self.context.on(rows),
        )
        return hidden + seen[:, 0]

    def _experts(self, layer: Any, row: int, rows: Any, hidden: Any, step: int) -> tuple[Any, Any]:
        """Send tokens to their experts; return the sequences that go on here, and their hidden states."""
        import torch

        task, width = self.task, hidden.shape[1]
        coherent = task.mode == "context_coherent"
        states = layer.post_attention_layernorm(hidden)
        if len(rows):
            _, weights, experts = layer.mlp.gate(states)
        else:
            weights, experts = torch.zeros((0, self.top_k)), torch.zeros((0, self.top_k), dtype=torch.long)
        tokens = self.first[rows.cpu().numpy()] + step
        for token, chosen in zip(tokens.tolist(), experts.tolist(), strict=True):
            self.routed.append((token, row, *chosen))
        device = chosen_devices(
            task.copies,
            task.dispatch,
            layer=row,
            experts=experts.cpu().numpy(),
            tokens=tokens,
            here=np.full(len(tokens), self.rank),
        )
        sender, to = np.nonzero(visited_devices(device, task.devices))
        onward = device[:, 0] if coherent else np.full(len(device), self.rank)
        there = torch.as_tensor(device[sender] == to[:, None])
        packet = torch.cat(
            [
                (hidden if coherent else states)[sender],
                rows[sender, None].float(),
                torch.as_tensor(onward[sender], dtype=torch.float32)[:, None],
                torch.where(there, experts[sender], -1).float(),
                weights[sender],
            ],
            dim=1,
        )
        received = self.exchange.rows(row, packet, torch.as_tensor(to), back=False)
        return self._served(layer, row, received, width, coherent=coherent, kept=(rows, hidden))

    def _served(
        self, layer: Any, row: int, received: Any, width: int, *, coherent: bool, kept: tuple[Any, Any]
    ) -> tuple[Any, Any]:
        """Run the experts on the rows that came, and bring the results to where each token goes on."""
        import torch

        state = received[:, :width]
        sequence, onward = received[:, width].long(), received[:, width + 1].long()
        experts = received[:, width + 2 : width + 2 + self.top_k].long()
        weights = received[:, width + 2 + self.top_k :]
        began = clock()
        made = self.shard.compute(row, layer.post_attention_layernorm(state) if coherent else state, experts, weights)
        self.exchange.seconds[row, 1] += clock() - began
        if coherent:
            stays = onward == self.rank
            rows, hidden = sequence[stays], state[stays] + made[stays]
            if self.top_k == 1:  # every token is where it goes on: no way back
                return rows, hidden
            packet = torch.cat([made[~stays], sequence[~stays, None].float()], dim=1)
            onward = onward[~stays]
        else:
            rows, hidden = kept[0], kept[1].clone()
            packet = torch.cat([made, sequence[:, None].float()], dim=1)
        back = self.exchange.rows(row, packet, onward, back=True)
        place = torch.full((len(self.task.prompts),), -1, dtype=torch.long)
        place[rows] = torch.arange(len(rows))
        hidden = hidden.index_add(0, place[back[:, width].long()], back[:, :width])
        return rows, hidden

    def _finish(self, step: int, rows: Any, hidden: Any) -> None:
        """Choose the next tokens, and tell the others what they must know before the next step."""
        import torch

        logits = self.model.lm_head(self.model.model.norm(hidden))
        if self.task.keep_logits:
            for sequence, row in zip(rows.tolist(), logits, strict=True):
                self.logits.append((int(self.first[sequence]) + step, row.cpu().numpy()))
        chosen = torch.cat([rows[:, None].float(), logits.argmax(dim=1)[:, None].float()], dim=1)
        for sequence, token in self.exchange.everyone(chosen).long().tolist():
            known = self.tokens[sequence]
            limit = len(self.task.prompts[sequence]) + self.task.new_tokens
            if len(known) == step + 1 and len(known) < limit:
                known.append(token)
        shape = self._head_shape()
        packed = self.context.packed() if self.context.pending else torch.zeros((0, 2 + 2 * shape[0] * shape[1]))
        if self.task.mode == "context_coherent":  # every worker must know the context of every sequence
            packed = self.exchange.everyone(packed)
        self.context.store(packed, shape)

    def _head_shape(self) -> tuple[int, int]:
        config = self.model.config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(config.num_key_value_heads), int(size)
