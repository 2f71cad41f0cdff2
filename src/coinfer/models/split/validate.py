"""What a split problem must hold to mean anything; each broken rule is one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coinfer.errors import Plain, ProblemError
from coinfer.models.split.parts import MOST_DEVICES, MOST_LAYERS, need_amount

if TYPE_CHECKING:
    from coinfer.models.split.data import SplitProblem

MOST_TOKENS = 10**9


def validate(problem: SplitProblem) -> None:
    """Raise :class:`coinfer.errors.ProblemError` at the first field that does not fit the others."""
    if not problem.name.strip() or not problem.name.isprintable():
        raise ProblemError("name", expected="a name of printable characters", found=problem.name)
    _sizes(problem)
    _names("devices", problem.devices)
    _names("codecs", problem.codecs)
    names = {device.name for device in problem.devices}
    if problem.source not in names:
        raise ProblemError("source", expected="the name of a device", found=problem.source)
    _quantisations(problem)
    _links(problem, names)
    _exits(problem, names)
    _priced(problem)
    _lossy(problem)
    _running(problem, names)


def _sizes(problem: SplitProblem) -> None:
    limits = {"prompt_tokens": (1, MOST_TOKENS), "output_tokens": (1, MOST_TOKENS), "sequences": (1, 10**6)}
    limits["hidden_size"] = (1, 10**7)
    for field, (least, most) in limits.items():
        number = getattr(problem, field)
        if not least <= number <= most:
            raise ProblemError(field, expected=f"an integer in {least}..{most}", found=number)
    need_amount(problem, "token_bytes", above_0=True)
    if not problem.layers or problem.layer_count > MOST_LAYERS:
        expected = f"groups with 1 to {MOST_LAYERS} layers in all"
        raise ProblemError("layers", expected=expected, found=problem.layer_count)
    if not 1 <= len(problem.devices) <= MOST_DEVICES:
        raise ProblemError("devices", expected=f"1 to {MOST_DEVICES} devices", found=len(problem.devices))
    if not problem.codecs and len(problem.devices) > 1:
        raise ProblemError("codecs", expected="at least one, since there are several devices", found=Plain("none"))


def _names(field: str, named: Sequence[Any]) -> None:
    names = [item.name for item in named]
    for i, name in enumerate(names):
        if not name.strip() or not name.isprintable() or names.index(name) != i:
            raise ProblemError(f"{field}[{i}].name", expected="printable names that differ", found=name)


def _quantisations(problem: SplitProblem) -> None:
    """Check that every time belongs to a quantisation of the layers, and lists one number for each group."""
    known = set(problem.quantisations)
    counts_prompt = problem.objective == "request" or _limited(problem, "ttft_s", "j_per_request", "usd_per_request")
    for i, device in enumerate(problem.devices):
        for field in ("decode_s", "prefill_s_per_token"):
            table = getattr(device, field)
            for quantisation, numbers in (table or {}).items():
                where = f"devices[{i}].{field}[{quantisation!r}]"
                if quantisation not in known:
                    raise ProblemError(where, expected=f"one of {', '.join(sorted(known))}", found=quantisation)
                if len(numbers) != len(problem.layers):
                    expected = f"{len(problem.layers)} numbers, one for each group of layers"
                    raise ProblemError(where, expected=expected, found=Plain(str(len(numbers))))
        missing = set(device.decode_s) - set(device.prefill_s_per_token or {})
        if counts_prompt and missing:
            expected = "times for every quantisation of decode_s, since the time, energy or price of the prompt counts"
            found = Plain(f"none for {', '.join(sorted(missing))}")
            raise ProblemError(f"devices[{i}].prefill_s_per_token", expected=expected, found=found)


def _limited(problem: SplitProblem, *fields: str) -> bool:
    return problem.budgets is not None and any(getattr(problem.budgets, field) is not None for field in fields)


def _links(problem: SplitProblem, names: set[str]) -> None:
    seen: set[tuple[str, str]] = set()
    for i, link in enumerate(problem.links):
        for field in ("source", "to"):
            if getattr(link, field) not in names:
                found = getattr(link, field)
                raise ProblemError(f"links[{i}].{field}", expected="the name of a device", found=found)
        if (link.source, link.to) in seen:
            found = Plain(f"a second one from {link.source!r} to {link.to!r}")
            raise ProblemError(f"links[{i}]", expected="one link for each direction", found=found)
        seen.add((link.source, link.to))


def _exits(problem: SplitProblem, names: set[str]) -> None:
    before = 0
    for i, early in enumerate(problem.exits):
        if not before < early.after_layer < problem.layer_count:
            expected = f"ascending numbers in 1..{problem.layer_count - 1}"
            raise ProblemError(f"exits[{i}].after_layer", expected=expected, found=early.after_layer)
        before = early.after_layer
        unknown = sorted(set(early.head_s) - names)
        if unknown:
            raise ProblemError(f"exits[{i}].head_s", expected="names of devices", found=unknown[0])
    if sum(early.share for early in problem.exits) > 1.0 + 1e-9:
        found = Plain(f"{sum(early.share for early in problem.exits):g}")
        raise ProblemError("exits", expected="shares that add up to 1 at most", found=found)


def _priced(problem: SplitProblem) -> None:
    """Check that what has a budget was measured."""
    for budget, of_device, of_link in (
        ("j_per_request", "power_w", "j_per_byte"),
        ("usd_per_request", "usd_per_s", "usd_per_byte"),
    ):
        if not _limited(problem, budget):
            continue
        for field, items, name in (("devices", problem.devices, of_device), ("links", problem.links, of_link)):
            for i, item in enumerate(items):
                if getattr(item, name) is None:
                    expected = f"a number, since budgets.{budget} limits it (0 where it costs nothing)"
                    raise ProblemError(f"{field}[{i}].{name}", expected=expected, found=Plain("none"))


def _lossy(problem: SplitProblem) -> None:
    """Check that every loss of quality is known where quality has a budget."""
    for i, group in enumerate(problem.layers):
        unknown = sorted(set(group.quality_loss or {}) - set(group.weights_bytes))
        if unknown:
            expected = f"one of {', '.join(group.weights_bytes)}"
            raise ProblemError(f"layers[{i}].quality_loss", expected=expected, found=unknown[0])
        if not group.weights_bytes:
            raise ProblemError(f"layers[{i}].weights_bytes", expected="a size by quantisation", found=Plain("none"))
    if not _limited(problem, "quality_loss"):
        return
    expected = "a number, since budgets.quality_loss limits the sum (0 where nothing is lost)"
    for i, group in enumerate(problem.layers):
        missing = sorted(set(group.weights_bytes) - set(group.quality_loss or {}))
        if missing:
            raise ProblemError(f"layers[{i}].quality_loss[{missing[0]!r}]", expected=expected, found=Plain("none"))
    lossy: tuple[tuple[str, Sequence[Any]], ...] = (("codecs", problem.codecs), ("exits", problem.exits))
    for field, items in lossy:
        for i, item in enumerate(items):
            if item.quality_loss is None:
                raise ProblemError(f"{field}[{i}].quality_loss", expected=expected, found=Plain("none"))


def _running(problem: SplitProblem, names: set[str]) -> None:
    if problem.running is None:
        return
    known = set(problem.quantisations)
    for i, segment in enumerate(problem.running.segments):
        where = f"running.segments[{i}]"
        if segment.device not in names:
            raise ProblemError(f"{where}.device", expected="the name of a device", found=segment.device)
        if segment.quantisation not in known:
            raise ProblemError(f"{where}.quantisation", expected="one of the layers'", found=segment.quantisation)
        if not 0 <= segment.first_layer <= segment.last_layer < problem.layer_count:
            found = Plain(f"{segment.first_layer}..{segment.last_layer}")
            expected = f"layers in 0..{problem.layer_count - 1}, in order"
            raise ProblemError(f"{where}.first_layer", expected=expected, found=found)
    for i, device in enumerate(problem.devices):
        if device.load_bytes_per_s is None:
            expected = "a number, since a split runs and leaving it costs loading"
            raise ProblemError(f"devices[{i}].load_bytes_per_s", expected=expected, found=Plain("none"))
