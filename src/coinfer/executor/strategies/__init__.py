"""Test-time strategies behind one session protocol: a strategy says what it wants, a scheduler gets it."""
