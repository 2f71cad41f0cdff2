"""Plans of where experts lie: expert placement."""
