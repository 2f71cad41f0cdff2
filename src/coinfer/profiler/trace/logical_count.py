"""SGLang's dumps of its expert distribution recorder: how often each expert was chosen, not by which token.

Such a dump has a field ``logical_count``, [layers][experts] or [steps][layers][experts], in a ``.json`` file or in a
``.pt`` file as ``/dump_expert_distribution_record`` writes it in the mode ``stat``.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from coinfer.errors import BackendMissing, InputError, Plain
from coinfer.profiler.trace.tokens import MOST_EXPERTS, IntArray, file_failure

FIELD = "logical_count"


def read_pt(path: Path) -> Any:
    """Return the content of a ``.pt`` file, without running code from it.

    Raises
    ------
    BackendMissing
        If PyTorch is not installed.
    InputError
        If the file is none, or holds more than tensors and plain values.
    """
    try:
        import torch
    except ImportError as error:
        raise BackendMissing("a .pt file is read with PyTorch, which is not installed: pip install torch") from error
    expected = "a .pt file of tensors and plain values"
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(str(path), expected=expected, found=Plain("other objects, or no such file")) from error
    except Exception as error:  # torch raises what its zip reader and its unpickler raise
        raise file_failure(path, error, expected) from error
    if isinstance(data, dict) and isinstance(data.get(FIELD), torch.Tensor):
        return {**data, FIELD: data[FIELD].double().numpy()}
    return data


def logical_counts(data: Any, where: str) -> IntArray:
    """Return (steps, layers, experts) from the content of a dump.

    Raises
    ------
    InputError
        If there are no counts, or they are no counts.
    """
    if not isinstance(data, dict) or FIELD not in data:
        found = Plain(", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__)
        if isinstance(data, dict) and "records" in data:
            found = Plain("a dump of single passes or tokens; record in the mode 'stat'")
        raise InputError(where, expected=f"a field '{FIELD}'", found=found)
    place = f"{where}: {FIELD}"
    try:
        values = np.asarray(data[FIELD])
    except ValueError as error:
        raise InputError(place, expected="lists of one length", found=Plain("others")) from error
    if values.ndim not in (2, 3) or 0 in values.shape or values.shape[-1] > MOST_EXPERTS:
        expected = f"[layers][experts] or [steps][layers][experts], at most {MOST_EXPERTS} experts"
        raise InputError(place, expected=expected, found=Plain(str(values.shape)))
    if values.dtype.kind not in "iuf" or not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError(place, expected="counts, at least 0", found=Plain("others"))
    if (values % 1).any() or values.max() > 2**53:
        raise InputError(place, expected="whole numbers up to 2^53", found=Plain("others"))
    return values.astype(np.int64).reshape(-1, *values.shape[-2:])
