"""Strict JSON: one format version, no NaN, no duplicate or unknown key, errors with their path, atomic writes.

Every file coinfer reads or writes is a tree of :class:`coinfer.records.Record` objects. Arrays too large for JSON
live in an ``.npz`` file beside it and are named with their SHA-256 (:class:`coinfer.records.Matrix`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.records import ArrayReference, Document, Matrix, meant, read_matrix

MAX_JSON_BYTES = 256 * 2**20
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that may be one half of a surrogate pair
T = TypeVar("T")


def read_text(path: Path) -> str:
    """Return the text of a file, or raise a sentence: missing, a folder, too large, not UTF-8."""
    where = str(path)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            content = stream.read(MAX_JSON_BYTES + 1) if size <= MAX_JSON_BYTES else b""
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        found = Plain(getattr(error, "strerror", None) or str(error))
        raise InputError(where, expected="a readable file", found=found) from error
    if max(size, len(content)) > MAX_JSON_BYTES:  # a device or pipe has no size before it is read
        found = Plain(f"{size:,} bytes" if size else "more")
        raise InputError(where, expected=f"at most {MAX_JSON_BYTES:,} bytes", found=found)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(where, expected="UTF-8 text", found=Plain(f"an invalid byte at {error.start}")) from error


def parse(text: str, *, where: str) -> Any:
    """Parse JSON text strictly: no NaN, infinities, keys given twice, half characters, huge numbers, deep nesting."""

    def constant(name: str) -> NoReturn:
        raise InputError(where, expected="finite numbers", found=Plain(name))

    def finite(digits: str) -> float:
        number = float(digits)
        if not math.isfinite(number):
            raise InputError(where, expected="numbers below 1.8e308", found=Plain(digits))
        return number

    def whole(digits: str) -> int:
        if len(digits) > 308:
            raise InputError(where, expected="numbers below 1e308", found=Plain(f"one of {len(digits)} digits"))
        return int(digits)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise InputError(where, expected="each key once in an object", found=Plain(f"{twice!r} twice"))
        return result

    try:
        value = json.loads(text, parse_constant=constant, parse_float=finite, parse_int=whole, object_pairs_hook=unique)
        if _HALF_CHARACTER.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        half = Plain(ascii(error.object[error.start]))
        raise InputError(where, expected="whole Unicode characters", found=half) from error
    except json.JSONDecodeError as error:
        place = f"{error.msg.lower().removesuffix(' at')} at line {error.lineno}, column {error.colno}"
        raise InputError(where, expected="valid JSON", found=Plain(place)) from error
    except RecursionError as error:
        raise InputError(where, expected="JSON nested less than 900 deep", found=Plain("deeper nesting")) from error


def convert(data: Any, kind: type[T], *, where: str, folder: Path | None = None) -> T:
    """Turn parsed JSON into ``kind``; array references are resolved against ``folder``."""

    def from_json(wanted: type, value: Any) -> Any:
        if wanted is Matrix:
            return read_matrix(value, folder)
        raise TypeError(f"no reader for {wanted}")

    try:
        return msgspec.convert(data, kind, dec_hook=from_json)
    except msgspec.ValidationError as error:
        raise _sentence(error, where, data, kind) from error


def read(path: str | os.PathLike[str], kind: type[T], *, format_name: str) -> T:
    """Read one JSON file.

    Parameters
    ----------
    path
        The file.
    kind
        Record class (or union of tagged ones) that its content must be.
    format_name
        What its ``format`` field must say, as in ``"coinfer/problem/1"``.

    Raises
    ------
    InputError
        With file, path inside the file, what was expected and what was found.
    """
    file = Path(path)
    data = parse(read_text(file), where=str(file))
    if not isinstance(data, dict):
        raise InputError(str(file), expected="a JSON object", found=Plain(type(data).__name__))
    if data.get("format") != format_name:
        raise InputError(f"{file}: format", expected=repr(format_name), found=data.get("format", Plain("nothing")))
    fields = {key: value for key, value in data.items() if key != "format"}
    return convert(fields, kind, where=str(file), folder=file.parent)


def to_builtins(record: Any, *, encode: Callable[[Any], Any] | None = None) -> Any:
    """Return ``record`` as JSON-ready dictionaries, lists and numbers; ``encode`` turns matrices into such."""
    data = msgspec.to_builtins(record, enc_hook=encode or _encode, str_keys=True)
    return {"format": record.file_format, **data} if isinstance(record, Document) else data


def to_text(record: Any) -> str:
    """Return ``record`` as indented JSON text that :func:`parse` accepts."""
    return json.dumps(to_builtins(record), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def sha256(record: Any) -> str:
    """Return the SHA-256 of ``record`` in canonical form: sorted keys, shortest numbers, matrices by their content."""
    data = to_builtins(record, encode=lambda value: value.content() if isinstance(value, Matrix) else _encode(value))
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: str | os.PathLike[str], record: Any) -> None:
    """Write ``record`` as JSON; the file is either the old or the whole new one, whatever happens."""
    write_text(path, to_text(record))


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file atomically."""
    with atomic(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces ``path`` when the block ends without error.

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written.
    """
    if (path := path.resolve()).exists() and not path.is_file():  # a link is followed
        raise InputError(str(path), expected="a path of a file", found=Plain("a folder or a device"))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        found = Plain(error.strerror or str(error))
        raise InputError(str(path), expected="a path in a writable folder", found=found) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would hide the file from the group
        try:
            temporary.replace(path)
        except OSError as error:
            raise InputError(str(path), expected="a file path", found=Plain(error.strerror or str(error))) from error
    finally:
        temporary.unlink(missing_ok=True)


def record_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of one line of a JSON Lines file whose lines are ``kind``, a record class."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}


def schema(kind: Any, *, format_name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a file whose content is ``kind``, a record class."""
    _, definitions = _definitions(kind)
    root = definitions.pop(kind.__name__)
    root["properties"] = {"format": {"const": format_name}, **root["properties"]}
    root["required"] = ["format", *root["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": definitions}


def _encode(value: Any) -> Any:
    if isinstance(value, Matrix):
        return to_builtins(value.source) if value.source is not None else value.array.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"no JSON form for {type(value)}")


def _sentence(error: msgspec.ValidationError, where: str, data: Any, kind: Any) -> InputError:
    """Turn a msgspec error into ours: the path it names, and the value that stands there."""
    message, kind = str(error), meant(kind, data)
    text, _, path = message.rpartition(" - at `$")
    if not text:
        text, path = message, ""
    path = path.rstrip("`").removeprefix(".").removeprefix("key in ")
    place = f"{where}: {path}" if path else where
    cause = error.__cause__
    if isinstance(cause, InputError):
        inner = cause.inside(path) if path else cause
        return type(cause)(f"{where}: {inner.where}", expected=inner.expected, found=inner.found)
    if text.startswith("Object contains unknown field"):
        name = text.rpartition("field ")[2].strip("`")
        known = [field for part in _schemas_at(kind, path) for field in part.get("properties", ())]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return InputError(place, expected=f"known fields only{hint}", found=Plain(f"{name!r}"))
    if text.startswith("Object missing required field"):
        return InputError(place, expected=f"a field {text.rpartition('field ')[2]}", found=Plain("none"))
    found = _lookup(data, path)
    if text.startswith("Expected `"):
        return InputError(place, expected=text.removeprefix("Expected ").split(", got")[0], found=found)
    if text.startswith("Invalid "):
        return InputError(place, expected=f"one of {_allowed(kind, path) or 'the known values'}", found=found)
    return InputError(place, expected=text[0].lower() + text[1:], found=found)


def _definitions(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON Schema of ``kind`` and the definitions that it refers to."""

    def hook(wanted: type) -> dict[str, Any]:
        if wanted is Matrix:
            inline = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
            return {"anyOf": [inline, {"$ref": "#/$defs/ArrayReference"}]}
        raise NotImplementedError

    template = "#/$defs/{name}"
    schemas, definitions = msgspec.json.schema_components(
        [kind, ArrayReference], schema_hook=hook, ref_template=template
    )
    return schemas[0], definitions


def _schemas_at(kind: Any, path: str) -> list[dict[str, Any]]:
    """Return every JSON Schema that the value at ``path`` may follow."""
    root, definitions = _definitions(kind)

    def expand(part: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in part:
            return expand(definitions[part["$ref"].rpartition("/")[2]])
        return [end for option in part.get("anyOf", ()) for end in expand(option)] or [part]

    found = expand(root)
    for token in _tokens(path):
        inner = (
            part.get("properties", {}).get(token) or part.get("items") or part.get("additionalProperties")
            for part in found
        )
        found = [end for part in inner if isinstance(part, dict) for end in expand(part)]
    return found


def _allowed(kind: Any, path: str) -> str:
    """List the values that the field at ``path`` may take; empty when it has no fixed choice."""
    return ", ".join(repr(value) for part in _schemas_at(kind, path) for value in part.get("enum", ()))


def _tokens(path: str) -> list[str]:
    return [token for token in path.replace("]", "").replace("[", ".").split(".") if token]


def _lookup(data: Any, path: str) -> object:
    """Return the value at a msgspec path such as ``experts[2].latency_s``, or words when it has none."""
    value = data
    for token in _tokens(path):
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            return Plain("what stands there")
    if isinstance(value, dict | list):
        return Plain("an object" if isinstance(value, dict) else "a list")
    return value
