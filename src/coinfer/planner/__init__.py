"""Joins facts and mathematics: problem and profile in, plan with certificate out."""
