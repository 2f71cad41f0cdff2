"""A llama.cpp server on a GGUF file, started here in a process of its own and spoken to over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from coinfer.errors import BackendMissing, EndpointError, InputError, Plain
from coinfer.executor.backends.base import (
    Capabilities,
    CompletionReply,
    CompletionRequest,
    Facts,
    RetryableError,
)
from coinfer.executor.backends.openai import OpenAIBackend

START_TIMEOUT_S = 300.0
DYING_S = 2.0
_QUANTISATION = re.compile(r"(?<![A-Za-z0-9])(I?Q\d(?:_[A-Z0-9]+)*|BF16|F16|F32)(?![A-Za-z0-9])", re.IGNORECASE)


class LlamaCppBackend:
    """One GGUF model behind a llama.cpp server that lives and dies with this process.

    A crash of the server is an error of one call: the next call starts it again.

    Parameters
    ----------
    path
        GGUF file.
    chat
        True to use the model's chat template.
    slots
        Requests the server works on at once.
    context_tokens
        Context of each slot.
    timeout_s
        Longest time of one call, seconds.

    Raises
    ------
    BackendMissing
        If xllamacpp is not installed.
    InputError
        If the file is not there or no GGUF file.
    """

    def __init__(
        self,
        path: Path,
        *,
        chat: bool = False,
        slots: int = 1,
        context_tokens: int = 4096,
        timeout_s: float = 120.0,
        threads: int | None = None,
    ) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise BackendMissing(f"the GGUF model {path.name!r} needs xllamacpp: pip install 'coinfer[server]'")
        try:
            with path.open("rb") as stream:
                magic = stream.read(4)
        except OSError as error:
            raise InputError(str(path), expected="a GGUF file", found=Plain(error.strerror or str(error))) from error
        if magic != b"GGUF":
            raise InputError(str(path), expected="a GGUF file", found=Plain(f"a file that begins with {magic!r}"))
        self._path, self._chat, self._slots, self._timeout_s = path, chat, slots, timeout_s
        self._arguments = [str(path), str(slots), str(context_tokens * slots), str(threads or 0)]
        self._server: tuple[subprocess.Popen[str], OpenAIBackend] | None = None
        self._earlier: list[OpenAIBackend] = []  # of servers that crashed; their connections are closed at the end
        self._starting = threading.Lock()
        self._closed = False
        self._load_s: float | None = None

    @property
    def facts(self) -> Facts:
        """Engine, the number format that the file's name says, and the file's size as memory of the weights."""
        named = _QUANTISATION.search(self._path.stem)
        return Facts(
            engine=f"llama.cpp (xllamacpp {version('xllamacpp')})",
            quantisation=named[1].upper() if named is not None else None,
            memory_bytes=self._path.stat().st_size,
            load_s=self._load_s,
        )

    async def start(self) -> None:
        """Start the server, which loads the weights."""
        await asyncio.to_thread(self._running)

    async def probe(self) -> Capabilities:
        """Start the server and ask it."""
        backend = await asyncio.to_thread(self._running)
        found = await backend.probe()
        return replace(found, engine=self.facts.engine, calls=0, prompt_tokens=0, output_tokens=0)  # nobody bills it

    async def complete(self, request: CompletionRequest) -> CompletionReply:
        """Pass one request to the server, starting it first where it does not run."""
        backend = await asyncio.to_thread(self._running)
        server = self._server
        try:
            return await backend.complete(request)
        except RetryableError as error:
            broke = error.__cause__ is not None and not isinstance(error.__cause__, TimeoutError)
            if server is not None and broke:
                # a dying server breaks connections before its process has ended; the next call must not meet it again
                await asyncio.to_thread(_await_end, server[0])
            raise

    async def close(self) -> None:
        """End the server."""
        self._closed = True
        server, self._server = self._server, None
        earlier, self._earlier = self._earlier, []
        for backend in (*earlier, *([server[1]] if server is not None else [])):
            await backend.close()
        if server is not None:
            await asyncio.to_thread(_end, server[0])

    def _running(self) -> OpenAIBackend:
        """Return the backend of a server that runs; called in a thread, since loading takes a while."""
        with self._starting:
            if self._closed:
                raise EndpointError(f"{self._path.name}: the model was closed")
            if self._server is not None and self._server[0].poll() is None:
                return self._server[1]
            if self._server is not None:
                _end(self._server[0])
                self._earlier.append(self._server[1])
            started = time.perf_counter()
            process, address = _start(self._path.name, self._arguments)
            self._load_s = time.perf_counter() - started
            backend = OpenAIBackend(
                f"{address}/v1",
                model=self._path.stem,
                chat=self._chat,
                most_samples=self._slots,  # a llama.cpp server refuses more samples than it has slots
                timeout_s=self._timeout_s,
            )
            self._server = (process, backend)
            return backend


def _start(name: str, arguments: list[str]) -> tuple[subprocess.Popen[str], str]:
    """Start the server process and return it with the address it listens at."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "coinfer.executor.backends.llamacpp_server", *arguments],
            stdin=subprocess.PIPE,  # its end tells the server that this process is gone
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        timer = threading.Timer(START_TIMEOUT_S, process.kill)
        timer.start()
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
        finally:
            timer.cancel()
        if line:
            return process, str(json.loads(line)["address"])
        _end(process)
        log.seek(0)
        said = [text.strip() for text in log.read()[-20_000:].splitlines() if "error" in text.lower()]
    reason = said[0][-200:] if said else f"it ended with code {process.returncode}"
    raise EndpointError(f"{name}: the llama.cpp server did not start: {reason}")


def _await_end(process: subprocess.Popen[str]) -> None:
    """Give a process that may be dying a little time to end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=DYING_S)


def _end(process: subprocess.Popen[str]) -> None:
    """End a server process and release its pipes."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
