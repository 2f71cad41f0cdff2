r"""What a pipeline sustains: flow, latency and the requests in flight that its caches hold, in one balance.

A unit that always has work takes all that waits into its next pass. If tokens come at rate :math:`F_u`, a pass takes
:math:`t_u = \mathrm{pass}_u + F_u t_u\,\mathrm{token}_u`, so

.. math:: t_u(F_u) = \frac{\mathrm{pass}_u}{1 - F_u\,\mathrm{token}_u}.

A token waits for half a pass on average and then for its own: :math:`\tfrac32 t_u`. With the shares :math:`s_u` of the
flow and the latency :math:`\ell_e` of the edges, a token takes :math:`C = \sum_u s_u \tfrac32 t_u + \sum_e s_e \ell_e`,
where :math:`\ell_e` includes the time that all the bytes of a pass for that edge take on it: they come out together;
and a request with :math:`P` tokens read and :math:`O` written stays :math:`R = R_P + O\,C`. By Little's law the
requests in flight are rate times stay; each keeps room for :math:`P + O` tokens in the cache of every unit it passes.
So a unit with room :math:`K_u` allows :math:`F_u R \le K_u`, which falls short of what full batches would pass the
more, the deeper the pipeline. All of it grows with the flow: bisection finds the largest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.models.split.pipeline import ENDS, PipelinePlan

WAIT_PASSES = 1.5
_ROUNDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sustained:
    """Figures of a pipeline under as much work as it takes.

    Attributes
    ----------
    tokens_per_s
        Tokens read and written.
    written_per_s
        Tokens written.
    token_s
        Seconds from one written token of a request to the next.
    prompt_s
        Seconds from the start of a request to its first token.
    in_flight
        Requests served at once.
    limit
        What binds: ``"cache"``, ``"in flight"`` or ``"compute"``.
    """

    tokens_per_s: float
    written_per_s: float
    token_s: float
    prompt_s: float
    in_flight: float
    limit: str


def sustained(plan: PipelinePlan, *, prompt_tokens: float, output_tokens: float) -> Sustained:
    """Return the largest balanced flow of requests of these mean lengths."""
    shares = np.array(plan.shares())
    used = shares > 0.0
    shares = shares[used]
    passes = np.array([unit.pass_s for unit in plan.units])[used]
    each = np.array([unit.token_s for unit in plan.units])[used]
    room = np.array([unit.cache_tokens for unit in plan.units])[used]
    position = {place: index for index, place in enumerate(np.flatnonzero(used).tolist())}
    hops, inner = _edges(plan)
    edge_source = np.array([position[source] for source, _, _ in inner], dtype=np.int64)
    edge_share, edge_byte_s = (np.array([edge[side] for edge in inner], dtype=np.float64) for side in (1, 2))
    fill = float(edge_share @ edge_byte_s)
    length = prompt_tokens + output_tokens

    def balance(flow: float) -> tuple[float, float, float]:
        """Return token latency, prompt latency and the fullest cache (as a share of its room) at a flow."""
        load = 1.0 - shares * flow * each
        if (load <= 0.0).any():
            return np.inf, np.inf, np.inf
        each_pass = passes / load
        sent_s = flow * edge_share * each_pass[edge_source] * edge_byte_s  # a whole pass over each edge
        waits = float(shares @ (WAIT_PASSES * each_pass)) + hops + float(edge_share @ sent_s)
        first = waits + prompt_tokens * (float(shares @ each) + fill)
        stay = first + (output_tokens - 1.0) * waits
        return waits, first, float((shares * flow * stay / np.maximum(room, 1e-9)).max())

    def holds(flow: float) -> bool:
        waits, first, fullest = balance(flow)
        served = flow / length * (first + (output_tokens - 1.0) * waits)
        return fullest <= 1.0 and (plan.in_flight is None or served <= plan.in_flight)

    most = np.array([unit.tokens_per_s for unit in plan.units])[used]
    low, high = 0.0, float((most / shares).min())
    top = high
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    waits, first, fullest = balance(low)
    served = low / length * (first + (output_tokens - 1.0) * waits)
    limit = "compute" if low > 0.999 * top else "cache" if fullest > 0.999 else "in flight"
    return Sustained(
        tokens_per_s=low,
        written_per_s=low * output_tokens / length,
        token_s=waits,
        prompt_s=first,
        in_flight=served,
        limit=limit,
    )


def _edges(plan: PipelinePlan) -> tuple[float, list[tuple[int, float, float]]]:
    """Return the latency of all hops of a mean way; source, share and seconds a token of the edges between units."""
    shares = (*plan.shares(), 1.0)
    out = [0.0] * (len(plan.units) + 1)
    for edge in plan.edges:
        out[edge.source] += edge.weight
    hops = 0.0
    inner = []
    for edge in plan.edges:
        share = shares[edge.source] * edge.weight / out[edge.source]
        hops += share * edge.latency_s
        if ENDS not in (edge.source, edge.target) and share > 0.0:
            inner.append((edge.source, share, edge.token_bytes / edge.bytes_per_s))
    return hops, inner
