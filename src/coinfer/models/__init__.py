"""Each decision as mathematics: data, formulate, decode, evaluate. Knows no profile and no executor."""
