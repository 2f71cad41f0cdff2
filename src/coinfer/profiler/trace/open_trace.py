"""Which reader a file needs, by its ending and its first bytes, or as told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from coinfer.errors import InputError
from coinfer.profiler.trace.arrays import NpyTrace, NpzTrace
from coinfer.profiler.trace.json_file import JsonTrace, read_document
from coinfer.profiler.trace.json_lines import TokenLinesTrace, row_kind
from coinfer.profiler.trace.logical_count import FIELD, logical_counts, read_pt
from coinfer.profiler.trace.token_layers import TokenLayersTrace
from coinfer.profiler.trace.tokens import IntArray, TokenTrace, file_failure

TraceFormat = Literal["npy", "npz", "json", "jsonl", "pt"]
FORMATS: tuple[TraceFormat, ...] = get_args(TraceFormat)

_ENDINGS: dict[str, TraceFormat] = {".ndjson": "jsonl", **{f".{name}": name for name in FORMATS}}


def open_trace(path: Path, format_name: TraceFormat | None = None) -> TokenTrace | IntArray:
    """Return a trace of tokens; or counts (steps, layers, experts) where the file has no tokens.

    Parameters
    ----------
    path
        The file.
    format_name
        One of :data:`FORMATS`; absent: by the ending, else by the first bytes.

    Raises
    ------
    InputError
        If the file cannot be read or is of no known format.
    BackendMissing
        If it is a ``.pt`` file and PyTorch is not installed.
    """
    chosen = _recognised(path) if format_name is None else format_name
    if chosen == "npy":
        return NpyTrace(path)
    if chosen == "npz":
        return NpzTrace(path)
    if chosen == "jsonl":
        kind = row_kind(path)
        return TokenLayersTrace(path) if kind == "token and layer" else TokenLinesTrace(path, kind)
    if chosen == "pt":
        return logical_counts(read_pt(path), str(path))
    if chosen != "json":
        raise InputError("format", expected=" or ".join(FORMATS), found=format_name)
    data: Any = read_document(path)
    if isinstance(data, dict) and (FIELD in data or "records" in data):
        return logical_counts(data, str(path))
    return JsonTrace(path, data)


def _recognised(path: Path) -> TraceFormat:
    """Return the format of a file that nobody named."""
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    try:
        with path.open("rb") as stream:
            head = stream.read(4096).lstrip()
    except OSError as error:
        raise file_failure(path, error, "a readable file") from error
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK"):
        return "npz"
    if head.startswith(b"{") and b"\n{" in head:
        return "jsonl"
    if head.startswith((b"{", b"[")):
        return "json"
    raise InputError(str(path), expected=f"a file that ends in .{', .'.join(FORMATS)}", found=path.suffix or path.name)
