"""The process that holds a llama.cpp server: ``python -m coinfer.executor.backends.llamacpp_server``.

It prints its address as one line of JSON and ends when its standard input does, so it never outlives the process that
started it.
"""

from __future__ import annotations

import json
import os
import sys


def main(arguments: list[str]) -> None:
    """Serve a GGUF file: path, slots, context tokens over all slots, threads (0: as llama.cpp chooses)."""
    import xllamacpp

    path, slots, context_tokens, threads = arguments
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_parallel = int(slots)
    params.n_ctx = int(context_tokens)
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free one
    params.ui = False
    params.cache_prompt = False  # a reused prefix would make the second measurement of a prompt a lie
    params.cache_ram_mib = 0
    if int(threads) > 0:
        params.cpuparams.n_threads = int(threads)
        params.cpuparams_batch.n_threads = int(threads)
    server = xllamacpp.Server(params)
    print(json.dumps({"address": server.listening_address}), flush=True)  # noqa: T201
    sys.stdin.buffer.read()
    os._exit(0)  # the parent is gone or has closed us: requests in flight have no reader


if __name__ == "__main__":
    main(sys.argv[1:])
