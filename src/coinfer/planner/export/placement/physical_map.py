"""The map [layers][physical experts] that SGLang and vLLM read: slot ``j`` lies on rank ``j // (slots / ranks)``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.planner.export.placement.check import Shape, Slots


def whole_numbers(value: Any, where: str) -> tuple[int, ...]:
    """Return a list of integers, or raise a sentence."""
    if not isinstance(value, list):
        raise InputError(where, expected="a list of integers", found=_kind(value))
    for i, number in enumerate(value):
        if type(number) is not int:
            raise InputError(f"{where}[{i}]", expected="an integer", found=number)
    return tuple(value)


def number_rows(value: Any, where: str) -> Slots:
    """Return a list of lists of integers, or raise a sentence."""
    if not isinstance(value, list):
        raise InputError(where, expected="a list with one list of integers for each layer", found=_kind(value))
    return tuple(whole_numbers(row, f"{where}[{i}]") for i, row in enumerate(value))


def read_json(path: Path) -> Any:
    """Return the parsed content of a JSON file."""
    return jsonfile.parse(jsonfile.read_text(path), where=str(path))


def read_object(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that must be an object."""
    return as_object(read_json(path), str(path))


def as_object(value: Any, where: str) -> dict[str, Any]:
    """Return a JSON object, or raise a sentence."""
    if not isinstance(value, dict):
        raise InputError(where, expected="a JSON object", found=_kind(value))
    return value


def field(value: dict[str, Any], name: str, where: str) -> Any:
    """Return a field that must be there."""
    if name not in value:
        raise InputError(where, expected=f"a field {name!r}", found=Plain("none"))
    return value[name]


def same(value: dict[str, Any], expected: dict[str, object], where: str) -> None:
    """Raise at the first field that is there with another value, or another type, than expected."""
    for name, wanted in expected.items():
        if name in value and (type(value[name]) is not type(wanted) or value[name] != wanted):
            raise InputError(f"{where}{name}", expected=repr(wanted), found=value[name])


def rows_text(rows: Sequence[Sequence[int]], indent: str = "") -> str:
    """Return a map as JSON, one line for each layer."""
    lines = ",\n".join(f"{indent} {json.dumps(list(row))}" for row in rows)
    return f"[\n{lines}\n{indent}]"


def trivial_row(shape: Shape) -> tuple[int, ...]:
    """Return the row of a layer without experts: what SGLang's ``trivial`` location puts in every layer."""
    return tuple(slot % shape.experts for slot in range(shape.total))


def with_dense_layers(slots: Slots, shape: Shape) -> Slots:
    """Return one row for each layer of the model; layers without experts get the trivial one."""
    rows = [trivial_row(shape)] * shape.all_layers
    for position, row in zip(shape.ids, slots, strict=True):
        rows[position] = row
    return tuple(rows)


def _kind(value: Any) -> Plain:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return Plain(names.get(type(value), "a number"))
