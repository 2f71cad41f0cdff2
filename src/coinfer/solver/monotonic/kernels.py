"""Which code takes the price steps: numpy everywhere, or the compiled steps where numba is installed."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Literal, cast

from coinfer.errors import BackendMissing
from coinfer.solver.monotonic.prices import Kernel, price_box

Choice = Literal["auto", "numpy", "compiled"]
COMPILED_AFTER = 100
"""Boxes after which ``auto`` changes over: loading compiled code takes about as long as that many boxes. A count, and
not a time, so that a search is the same every time."""


def kernel_for(choice: Choice, boxes: int) -> Kernel:
    """Return the steps for the next box, after ``boxes`` of them.

    Raises
    ------
    BackendMissing
        If ``compiled`` is asked for and numba is not installed.
    """
    if choice == "numpy" or (choice == "auto" and (boxes < COMPILED_AFTER or find_spec("numba") is None)):
        return price_box
    try:
        module = importlib.import_module("coinfer.solver.monotonic.compiled")
    except ImportError as error:
        raise BackendMissing("the compiled price steps need numba: pip install 'coinfer[fast]'") from error
    return cast("Kernel", module.price_box)
