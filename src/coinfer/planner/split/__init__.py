"""Plans of who computes which layers."""
