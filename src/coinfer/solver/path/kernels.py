"""Which code takes the inner steps: plain Python, or the compiled steps where numba is installed."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

from coinfer.errors import BackendMissing
from coinfer.solver.path import steps

Choice = Literal["auto", "plain", "compiled"]
COMPILED_FROM = 3000
"""Arcs from which ``auto`` loads the compiled steps: below, plain Python is done before numba is imported."""


def steps_for(choice: Choice, arcs: int) -> ModuleType:
    """Return the module whose functions take the steps on a graph of so many arcs.

    Raises
    ------
    BackendMissing
        If ``compiled`` is asked for and numba is not installed.
    """
    loaded = "coinfer.solver.path.compiled" in sys.modules
    small = arcs < COMPILED_FROM and not loaded
    if choice == "plain" or (choice == "auto" and (small or find_spec("numba") is None)):
        return steps
    try:
        return importlib.import_module("coinfer.solver.path.compiled")
    except ImportError as error:
        raise BackendMissing("the compiled steps need numba: pip install 'coinfer[fast]'") from error
