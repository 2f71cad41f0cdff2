"""A verifier trained from recorded outcomes: it reads a question with an answer, and says how likely it is right."""
