"""Layered assignment: put the items of each layer into parts so that little weight runs between parts."""
