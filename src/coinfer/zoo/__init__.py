"""Small language models with known skills and costs, shipped with the package and loadable offline.

Each model is a folder that ``transformers.AutoModelForCausalLM.from_pretrained(zoo.path(name))`` and
``AutoTokenizer.from_pretrained(zoo.path(name))`` load. `coinfer.zoo.tasks` draws and checks their questions; the
manifest holds what was measured when they were trained. Importing this module imports no torch.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from pathlib import Path
from typing import Any, Final

from coinfer.errors import InputError

__all__ = ["manifest", "names", "path", "routing_path"]

_ROUTED: Final = "moe-small"  # the model whose routing was recorded


def names() -> tuple[str, ...]:
    """Return the names of the models, in the order of the manifest."""
    return tuple(entry["name"] for entry in manifest()["models"])


def path(name: str) -> Path:
    """Return the folder of one model.

    Raises
    ------
    InputError
        For a name the zoo does not have.
    """
    if name not in names():
        raise InputError("zoo", expected=f"one of {', '.join(names())}", found=name)
    return _root() / "models" / name


def routing_path() -> Path:
    """Return the recorded routing of the mixture of experts, a NumPy archive.

    Arrays: ``experts`` (tokens, layers, top_k), best expert first; ``category``, ``sequence`` and ``token`` (tokens,);
    ``names`` of the categories.
    """
    return _root() / f"{_ROUTED}-routing.npz"


def manifest() -> dict[str, Any]:
    """Return a fresh copy of what was measured: one entry per model under ``models``, how under ``exam``."""
    loaded: dict[str, Any] = json.loads(_text())
    return loaded


@functools.cache
def _text() -> str:
    """Read the manifest's text once."""
    return (_root() / "manifest.json").read_text(encoding="utf-8")


def _root() -> Path:
    """Return the folder of this package; wheels are unpacked when installed, so it is a real one."""
    return Path(str(importlib.resources.files(__name__)))
