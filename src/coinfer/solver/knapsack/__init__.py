"""Multiple-choice knapsacks of a million rows: one option per row, one or several budgets, a bound by prices."""
