"""Public Hypothesis strategies and contract test classes, so that others can test their own solver or backend."""
