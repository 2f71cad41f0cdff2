"""Chains of steps carried by carriers: layered shortest paths with resources."""
