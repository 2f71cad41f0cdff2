"""What a budget plan decides."""

from __future__ import annotations

from coinfer.records import Matrix, Record


class BudgetDecision(Record, frozen=True, kw_only=True, tag_field="kind", tag="budget"):
    """Which option the prompts of each stratum get.

    Attributes
    ----------
    taken
        (entries, 3): stratum, option, prompts of the stratum that get the option, all counted from 0; sorted, each
        pair at most once.
    """

    taken: Matrix
