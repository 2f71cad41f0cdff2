"""An OpenAI-compatible front: existing clients get a plan's routing and strategies."""
