"""Copies of items beyond the first: how many, where, and which share of the load each serves."""
