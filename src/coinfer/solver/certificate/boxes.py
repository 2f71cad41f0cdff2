"""The certificate of a monotonic search: a tree of boxes whose leaves say why nothing better is in them.

Inner nodes branch on a variable (``x <= value`` or ``x >= value + 1``), so the leaves are disjoint and cover the start
box by construction. A reduction of a box (a point that is cut away because it cannot be feasible, or cannot be better)
is a branch with a leaf on one side. Each leaf names its method and carries the witness from which its bound is
re-evaluated without the search.
"""

from __future__ import annotations

from typing import Literal

from coinfer.records import Record
from coinfer.solver.certificate.tree import Branch

Method = Literal["constraint", "unserved", "vertex", "gains", "prices", "mixed", "shares"]


class BoxLeaf(Record, frozen=True, kw_only=True, tag_field="node", tag="box"):
    """A box that is finished.

    Attributes
    ----------
    method
        How the bound is re-evaluated. ``constraint``: constraint number ``constraint`` (linear rows first, in their
        order, then the others) cannot hold anywhere in the box; without a number, the sum of the linear rows
        ``rows``, each times its price, cannot. ``unserved``: row ``constraint`` of a facility
        location or gate has no column in the box. ``vertex``: the objective at the upper corner (monotone); for a
        gate, at every feasible point of a small box.
        ``gains``: the objective at the lower corner plus the gains from there, priced (submodular). ``prices``:
        prices of the rows' assignment and of the linear rows (Lagrangian, facility location). ``mixed``:
        F(upper, lower). ``shares``: lines above the ratios of a gate, touching at a point, with priced linear rows.
        A box that was not finished when a limit was hit is a leaf too, with the bound it had.
    bound
        No feasible point of the box is worth more: what the method shows, or more than that. Absent where it shows
        the box to be empty.
    constraint
        See ``method``.
    table
        ``prices`` and ``shares``: position in the proof's list of prices (for a gate: of points).
    rows, row_prices
        Linear rows with a price other than 0, and the prices, at least 0. Behind the linear rows of the program the
        proof's cuts go on with the numbers.
    """

    method: Method
    bound: float | None = None
    constraint: int | None = None
    table: int | None = None
    rows: tuple[int, ...] = ()
    row_prices: tuple[float, ...] = ()


class Cut(Record, frozen=True, kw_only=True):
    """At most ``limit`` of some two-level variables are above their lower level: what linear rows imply.

    Attributes
    ----------
    columns
        Variables whose levels in the start box are two neighbours.
    limit
        With ``row``: any ``limit + 1`` of them raised, and all else at its best, break that linear row (a cover).
    row
        Absent: the limit is 1, and any two of them break some linear row (a clique of conflicts).
    """

    columns: tuple[int, ...]
    limit: int
    row: int | None = None


class BoxProof(Record, frozen=True, kw_only=True):
    """The tree; the first node is the root.

    Attributes
    ----------
    nodes
        Branches and leaves; children stand behind their parent.
    prices
        Assignment prices, one list with a number per row of the objective, shared by the leaves. For a gate: the
        points where its lines touch, one number per variable.
    cuts
        Rows that the linear rows imply; leaves may price them.
    """

    nodes: tuple[Branch | BoxLeaf, ...]
    prices: tuple[tuple[float, ...], ...] = ()
    cuts: tuple[Cut, ...] = ()

    @property
    def leaves(self) -> tuple[BoxLeaf, ...]:
        """The leaves, in the order of the list."""
        return tuple(node for node in self.nodes if isinstance(node, BoxLeaf))
