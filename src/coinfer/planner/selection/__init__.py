"""Plans of who answers: expert selection."""
