"""Import of ``llama-bench -o json`` and ``-o jsonl``, the benchmark that comes with llama.cpp.

Every repetition becomes one measurement. A test with ``n_prompt`` only is a ``prefill``, one with ``n_gen`` only a
``decode``, one with both a whole ``request``. The time of a repetition is its entry in ``samples_ns``; older files
have only ``samples_ts`` (tokens per second), which gives it back up to rounding. ``n_depth`` is the context. The
language model is named by its file, without folder and ending; its number format is the end of ``model_type``. The
device is the GPU where the back end is none of the processor's, else the processor.

``model_size`` counts the bytes of the weights only and is not taken as the memory held. llama-bench measures no
energy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, ProfileError
from coinfer.profiler.measurement import Measurement

_PROCESSOR_BACKENDS = {"CPU", "BLAS", "AMX", ""}
_NUMBER_FORMAT = re.compile(
    r"(?:\s|^)(?:mostly |all )?([A-Z]{1,3}\d[A-Z0-9_]*)(?: - (Small|Medium|Large))?(?: \(.*\))?$"
)


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one llama-bench result that are read; all others are passed over.

    Attributes
    ----------
    n_prompt, n_gen, n_depth
        Tokens read, tokens written, and tokens already in the context.
    samples_ns, samples_ts
        Time and rate of each repetition.
    """

    model_filename: str
    model_type: str
    n_prompt: int
    n_gen: int
    build_commit: str = ""
    backends: str = ""
    cpu_info: str = ""
    gpu_info: str = ""
    n_depth: int = 0
    samples_ns: tuple[float, ...] = ()
    samples_ts: tuple[float, ...] = ()


def read_llama_bench(path: Path) -> Iterator[Measurement]:
    """Yield the repetitions of a llama-bench file, JSON or JSON Lines.

    Raises
    ------
    InputError
        With the result's number: no JSON, a field missing or of another kind, no repetition.
    """
    yield from parse_llama_bench(jsonfile.read_text(path), where=str(path))


def parse_llama_bench(text: str, *, where: str) -> Iterator[Measurement]:
    """Yield the repetitions of a llama-bench text; ``where`` names it in errors."""
    for place, result in _results(text, where):
        test = jsonfile.convert(result, Test, where=place)
        try:
            yield from _measurements(test)
        except InputError as error:
            raise ProfileError(f"{place}: {error.where}", expected=error.expected, found=error.found) from error


def _results(text: str, where: str) -> Iterator[tuple[str, Any]]:
    """Yield each result with its place: an array's elements, or one object a line."""
    if text.lstrip().startswith("["):
        for i, result in enumerate(jsonfile.parse(text, where=where)):
            yield f"{where}: [{i}]", result
        return
    empty = True
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            empty = False
            yield f"{where}: line {number}", jsonfile.parse(line, where=f"{where}: line {number}")
    if empty:
        raise ProfileError(where, expected="the output of llama-bench -o json or -o jsonl", found=Plain("nothing"))


def _measurements(test: Test) -> Iterator[Measurement]:
    """Yield one measurement for each repetition of a test."""
    for name, count in (("n_prompt", test.n_prompt), ("n_gen", test.n_gen), ("n_depth", test.n_depth)):
        if not 0 <= count < 2**53:
            raise ProfileError(name, expected="an integer, at least 0", found=count)
    tokens = test.n_prompt + test.n_gen
    if tokens == 0:
        raise ProfileError("n_prompt", expected="tokens read or written", found=Plain("none of both"))
    if not test.samples_ns and not test.samples_ts:
        raise ProfileError("samples_ts", expected="at least one repetition", found=Plain("none"))
    field = "samples_ns" if test.samples_ns else "samples_ts"
    for i, sample in enumerate(test.samples_ns or test.samples_ts):
        seconds = (sample / 1e9 if test.samples_ns else tokens / sample) if sample > 0.0 else 0.0
        if not 0.0 < seconds < float("inf"):
            raise ProfileError(f"{field}[{i}]", expected="a number above 0 of sane size", found=sample)
        yield Measurement(
            device=_device(test),
            model=re.split(r"[/\\]", test.model_filename)[-1].removesuffix(".gguf"),
            engine=f"llama.cpp {test.build_commit}".strip(),
            quantisation=_quantisation(test.model_type),
            phase=_phase(test),
            context_tokens=test.n_depth,
            prompt_tokens=test.n_prompt or None,
            output_tokens=test.n_gen or None,
            seconds=seconds,
            source="measured",
        )


def _phase(test: Test) -> Literal["prefill", "decode", "request"]:
    if test.n_prompt and test.n_gen:
        return "request"
    return "prefill" if test.n_prompt else "decode"


def _device(test: Test) -> str:
    """Return what the work ran on, as llama-bench names it."""
    on_processor = {backend.strip() for backend in test.backends.split(",")} <= _PROCESSOR_BACKENDS
    device = test.cpu_info if on_processor else test.gpu_info
    if not device.strip():
        name = "cpu_info" if on_processor else "gpu_info"
        raise ProfileError(name, expected="the name of the device", found=device)
    return device.strip()


def _quantisation(model_type: str) -> str | None:
    """Return ``Q4_K_M`` for ``qwen2 7B Q4_K - Medium``; ``None`` where no number format stands at the end."""
    found = _NUMBER_FORMAT.search(model_type)
    if found is None:
        return None
    name, size = found.groups()
    return f"{name}_{size[0]}" if size else str(name)
