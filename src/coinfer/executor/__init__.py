"""Does what the plan says, on real models, within hard budgets, and writes down what it measured."""
