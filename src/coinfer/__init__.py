"""Plan collaborative LLM inference with a proof, run the plan, learn from what it measured."""
