"""How hard prompts are, what finding that out costs, and menus per difficulty."""
