"""Rows between workers: every exchange is counted and timed where it is sent."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from coinfer.solver.program import FloatArray, IntArray


def clock() -> float:
    """Return the time in seconds, after all that this worker's GPU was told to do."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


class Exchange:
    """All-to-all exchanges of rows of numbers, with counts by layer and receiver.

    Attributes
    ----------
    dispatched, combined
        (layers, devices): rows sent from here on the way to the experts, and back; rows that stay are counted too.
    sent_bytes
        (layers, devices): bytes of both, to other devices only.
    context_bytes
        (devices,): bytes of keys, values and chosen tokens, to other devices only.
    seconds
        (layers, 3): spent in dispatch, in the experts, and in the way back.
    """

    def __init__(self, rank: int, devices: int, layers: int) -> None:
        self.rank, self.devices = rank, devices
        self.dispatched: IntArray = np.zeros((layers, devices), dtype=np.int64)
        self.combined: IntArray = np.zeros((layers, devices), dtype=np.int64)
        self.sent_bytes: IntArray = np.zeros((layers, devices), dtype=np.int64)
        self.context_bytes: IntArray = np.zeros(devices, dtype=np.int64)
        self.seconds: FloatArray = np.zeros((layers, 3))

    def rows(self, layer: int, rows: Any, to: Any, *, back: bool) -> Any:
        """Send each row of a float tensor (n, width) to a device; return the rows received, sender by sender.

        Parameters
        ----------
        layer
            Layer among those with experts, for the counts.
        rows, to
            (n, width) numbers, and (n,) receiving device of each.
        back
            Whether these are results on their way back.
        """
        import torch
        from torch import distributed

        began = clock()
        order = torch.argsort(to, stable=True)
        counts = torch.bincount(to, minlength=self.devices)
        arriving = torch.empty_like(counts)
        distributed.all_to_all_single(arriving, counts)
        received = torch.empty((int(arriving.sum()), rows.shape[1]), dtype=rows.dtype, device=rows.device)
        distributed.all_to_all_single(received, rows[order].contiguous(), arriving.tolist(), counts.tolist())
        sent = counts.cpu().numpy()
        (self.combined if back else self.dispatched)[layer] += sent
        wire = sent * rows.shape[1] * rows.element_size()
        wire[self.rank] = 0
        self.sent_bytes[layer] += wire
        self.seconds[layer, 2 if back else 0] += clock() - began
        return received

    def everyone(self, rows: Any) -> Any:
        """Return the rows of all workers, (all rows, width)."""
        import torch
        from torch import distributed

        count = torch.tensor([len(rows)], device=rows.device)
        counts = [torch.empty_like(count) for _ in range(self.devices)]
        distributed.all_gather(counts, count)
        most = max(int(number) for number in counts)
        padded = torch.zeros((most, rows.shape[1]), dtype=rows.dtype, device=rows.device)
        padded[: len(rows)] = rows
        gathered = [torch.empty_like(padded) for _ in range(self.devices)]
        distributed.all_gather(gathered, padded)
        self.context_bytes += (np.arange(self.devices) != self.rank) * padded.numel() * padded.element_size()
        return torch.cat([part[: int(number)] for part, number in zip(gathered, counts, strict=True)])


def link_seconds(rank: int, devices: int, *, size: int = 2**20, repeats: int = 5) -> FloatArray:
    """Measure seconds per byte from here to each device by sending buffers to and fro, (devices,); 0 to itself.

    Every worker must call this at the same time.
    """
    import torch
    from torch import distributed

    found = np.zeros(devices)
    buffer = torch.zeros(size, dtype=torch.uint8)
    for one in range(devices):
        for other in range(one + 1, devices):
            distributed.barrier()
            if rank not in (one, other):
                continue
            peer = other if rank == one else one
            times = []
            for _ in range(repeats):
                began = clock()
                if rank == one:
                    distributed.send(buffer, peer)
                    distributed.recv(buffer, peer)
                else:
                    distributed.recv(buffer, peer)
                    distributed.send(buffer, peer)
                times.append(clock() - began)
            found[peer] = sorted(times)[len(times) // 2] / (2.0 * size)
    distributed.barrier()
    return found
