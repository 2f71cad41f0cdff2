"""Expert selection: data, formulation, decoding and an independent evaluation."""
