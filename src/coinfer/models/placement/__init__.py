"""Expert placement: which device holds which experts of a mixture of experts (ExFlow, arXiv 2401.08383)."""
