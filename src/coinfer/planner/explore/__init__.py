"""Questions around a plan: next best selections, ties, budgets swept and priced, experts forced in or left out."""
