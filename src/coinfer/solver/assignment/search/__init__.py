"""Search for good layered assignments at any size."""
