"""The command line: one small file per verb."""

from __future__ import annotations

from coinfer.cli.app import main

__all__ = ["main"]
