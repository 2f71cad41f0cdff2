"""What a run leaves for the next plan: measurement rows, and its routing trace."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from coinfer import jsonfile
from coinfer.executor.moe.run import MoeRun
from coinfer.profiler.moe import LayerTime, LayerTraffic, LinkTime, MoeMeasurement


def measurements(run: MoeRun, devices: tuple[str, ...]) -> list[MoeMeasurement]:
    """Return the rows of a run on devices of these names."""
    rows: list[MoeMeasurement] = []
    layers = range(len(run.seconds))
    for layer in layers:
        for i, sender in enumerate(devices):
            for j, receiver in enumerate(devices):
                sent = int(run.counted.dispatched[layer, i, j]), int(run.counted.combined[layer, i, j])
                if i != j and any(sent):
                    made = LayerTraffic(
                        layer=layer,
                        sender=sender,
                        receiver=receiver,
                        dispatched=sent[0],
                        combined=sent[1],
                        bytes=int(run.sent_bytes[layer, i, j]),
                    )
                    rows.append(made)
        for i, device in enumerate(devices):
            dispatch_s, experts_s, combine_s = run.seconds[layer, i].tolist()
            rows.append(
                LayerTime(layer=layer, device=device, dispatch_s=dispatch_s, experts_s=experts_s, combine_s=combine_s)
            )
    links = run.link_seconds_per_byte
    for i, j in np.argwhere(links > 0.0).tolist():
        rows.append(LinkTime(sender=devices[i], receiver=devices[j], seconds_per_byte=float(links[i, j])))
    return rows


def write_trace(path: str | os.PathLike[str], run: MoeRun) -> None:
    """Write the routing of a run as a trace that :func:`coinfer.profiler.trace.count_traces` reads."""
    with jsonfile.atomic(Path(path)) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, experts=run.trace.astype(np.int16), sequence=run.sequence)
