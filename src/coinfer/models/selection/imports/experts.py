"""A table of experts beside a table of qualities: what the ``csv`` and ``npz`` imports know of latency, energy, money.

Columns: ``name``, and any of ``device``, ``category``, ``latency_s``, ``energy_j``, ``energy_basis``, ``price_usd``,
``memory_bytes``, ``group``. A row with an empty ``category`` holds for all of them; a row that names one goes before.
Empty cells are absent. Energy without an ``energy_basis`` counts as ``declared``, the weakest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from coinfer.errors import InputError
from coinfer.models.selection.data import Basis, Expert
from coinfer.models.selection.imports.table import Row, Table, read_table

COLUMNS = ("name", "device", "category", "latency_s", "energy_j", "energy_basis", "price_usd", "memory_bytes", "group")
FIGURES = ("latency_s", "energy_j", "price_usd")
FIXED = ("device", "energy_basis", "memory_bytes", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertFacts:
    """What the table says of one expert.

    Attributes
    ----------
    where
        Where it stands first.
    fixed
        Text of the columns that do not depend on the category, where given.
    figures
        By column, figures by category; ``""`` is every category.
    """

    where: str
    fixed: dict[str, str] = field(default_factory=dict)
    figures: dict[str, dict[str, float]] = field(default_factory=lambda: {name: {} for name in FIGURES})

    def by_category(self, column: str, categories: Sequence[str]) -> dict[str, float]:
        """Return the figures of a column by category; those that are absent stay absent."""
        figures = self.figures[column]
        found = {category: figures.get(category, figures.get("")) for category in categories}
        return {category: figure for category, figure in found.items() if figure is not None}


def read_experts(path: Path) -> dict[str, ExpertFacts]:
    """Read a table of experts.

    Raises
    ------
    InputError
        With line and column: an unknown column, what is no number, figures or facts that contradict each other.
    """
    table = read_table(path)
    table.need(["name"])
    for column in table.columns:
        if column not in COLUMNS:
            raise InputError(f"{path}: line 1", expected=f"columns among {', '.join(COLUMNS)}", found=column)
    facts: dict[str, ExpertFacts] = {}
    for row in table.rows:
        _add(facts.setdefault(row.text("name"), ExpertFacts(where=row.where)), row, table)
    return facts


def _add(expert: ExpertFacts, row: Row, table: Table) -> None:
    for column in FIXED:
        cell = row.cells[column] if column in table.columns else ""
        if cell and expert.fixed.setdefault(column, cell) != cell:
            raise InputError(f"{row.where}: {column}", expected=f"{expert.fixed[column]!r} as before", found=cell)
    if "memory_bytes" in table.columns:
        size = row.number("memory_bytes", least=0.0)
        if size is not None and not size.is_integer():
            raise InputError(f"{row.where}: memory_bytes", expected="whole bytes", found=row.cells["memory_bytes"])
    basis = row.cells.get("energy_basis")
    if basis and basis not in get_args(Basis):
        raise InputError(f"{row.where}: energy_basis", expected=" or ".join(get_args(Basis)), found=basis)
    category = row.cells.get("category", "")
    for column in FIGURES:
        number = row.number(column, least=0.0) if column in table.columns else None
        if number is None:
            continue
        if category in expert.figures[column]:
            raise InputError(f"{row.where}: {column}", expected="one figure for each category", found=number)
        expert.figures[column][category] = number


def make_expert(name: str, facts: ExpertFacts | None, *, categories: Sequence[str], device: str, source: str) -> Expert:
    """Return the expert; without facts it has a name and a device only."""
    if facts is None:
        return Expert(name=name, device=device, latency_s={}, source=source)
    energy_j = facts.by_category("energy_j", categories)
    memory = facts.fixed.get("memory_bytes")
    basis = cast("Basis", facts.fixed.get("energy_basis", "declared"))
    return Expert(
        name=name,
        device=facts.fixed.get("device", device),
        latency_s=facts.by_category("latency_s", categories),
        energy_j=energy_j or None,
        energy_basis=basis if energy_j else None,
        price_usd=facts.by_category("price_usd", categories) or None,
        memory_bytes=None if memory is None else int(float(memory)),
        group=facts.fixed.get("group"),
        source=source,
    )


def remarks(facts: dict[str, ExpertFacts], names: Sequence[str], categories: Sequence[str]) -> list[str]:
    """Say what of the table was not used, what the experts lack, and what was assumed."""
    notes = []
    extra = [name for name in facts if name not in names]
    if extra:
        notes.append(f"experts without a quality left out: {', '.join(extra)}")
    bare = [name for name in names if name not in facts]
    if facts and bare:
        notes.append(f"nothing is known of latency, energy or price of: {', '.join(bare)}")
    if not facts:
        notes.append("latency, energy and price stay absent: no table of experts was given")
    unused = {part for name in names if name in facts for column in FIGURES for part in facts[name].figures[column]}
    unused -= {"", *categories}
    if unused:
        notes.append(f"figures of categories without prompts left out: {', '.join(sorted(unused))}")
    declared = [name for name in names if name in facts and _is_declared(facts[name])]
    if declared:
        notes.append(f"energy without an energy_basis counts as declared: {', '.join(declared)}")
    return notes


def _is_declared(facts: ExpertFacts) -> bool:
    return bool(facts.figures["energy_j"]) and "energy_basis" not in facts.fixed
