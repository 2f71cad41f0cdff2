"""Engines behind :func:`coinfer.solver.mip.solve`, one small module each."""
