"""Keeping to a budget while prompts arrive: prices, routing by them, and stopping by them."""
