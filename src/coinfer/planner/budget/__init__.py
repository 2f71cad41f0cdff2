"""Plans of test-time budgets: make, check, say, and keep to them online."""
