"""Test-time budgets: which strategy, with how much of it, each prompt gets."""
