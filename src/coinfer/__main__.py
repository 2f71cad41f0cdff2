"""``python -m coinfer``."""

from __future__ import annotations

import sys

from coinfer.cli import main

sys.exit(main())
