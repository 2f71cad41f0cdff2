"""Import of the LiveCodeBench website's data (``performances_*.json``): pass@1 in percent by problem and model.

The pass rate is of ten samples, so it is a count of ten; models whose name ends in ``(N=1)`` have one sample. Files
that hold other numbers of samples are read with ``samples``. The site tells no cost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.budget.imports.gather import Gathered
from coinfer.models.budget.outcomes import Outcomes

SAMPLES = 10
_SINGLE = re.compile(r"\(n\s*=\s*(\d{1,6})\)\s*$", re.IGNORECASE)
_ROUNDING = 1e-6


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one problem; other fields are not read."""

    question_id: str | int
    model: str
    pass_rate: float = msgspec.field(name="pass@1")
    platform: str | None = None
    difficulty: str | None = None


class Performances(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    performances: tuple[Performance, ...]


def import_livecodebench(files: Sequence[Path], *, samples: int = SAMPLES) -> tuple[Outcomes, tuple[str, ...]]:
    """Return the outcomes of the site's files, models as arms and difficulties as labels.

    Parameters
    ----------
    files
        Those of one task: the same model on the same problem twice is an error.
    samples
        Samples behind a pass rate, where the model's name does not say.

    Raises
    ------
    InputError
        With file and entry; also where a rate is not one of that many samples.
    """
    if samples < 1:
        raise InputError("samples", expected="at least 1", found=samples)
    gathered, single = Gathered(), set[str]()
    for path in files:
        where = str(path)
        found = jsonfile.convert(jsonfile.parse(jsonfile.read_text(path), where=where), Performances, where=where)
        for i, each in enumerate(found.performances):
            place = f"{path}: performances[{i}]"
            said = _SINGLE.search(each.model)
            drawn = samples if said is None else max(int(said[1]), 1)
            if said is not None:
                single.add(each.model)
            prompt = f"{each.platform} {each.question_id}" if each.platform else str(each.question_id)
            gathered.add(
                place,
                prompt=prompt,
                arm=each.model,
                right=_right(place, each.pass_rate, drawn),
                drawn=drawn,
                counted=True,
                label=each.difficulty,
            )
    outcomes, notes = gathered.outcomes(str(files[0]))
    notes.append(f"pass rates are read as counts of {samples} samples")
    if single:
        notes.append(f"{len(single)} model(s) name their own number of samples, such as {min(single)!r}")
    return outcomes, tuple(notes)


def _right(where: str, percent: float, drawn: int) -> int:
    count = percent / 100.0 * drawn
    if not 0.0 <= percent <= 100.0 or abs(count - round(count)) > _ROUNDING * drawn:
        expected = f"a percentage of {drawn} sample(s)"
        raise InputError(f"{where}.pass@1", expected=expected, found=Plain(f"{percent:g}"))
    return round(count)
