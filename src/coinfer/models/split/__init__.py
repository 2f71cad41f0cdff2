"""Which device computes which layers of one model, and how edge and cloud share the work."""
