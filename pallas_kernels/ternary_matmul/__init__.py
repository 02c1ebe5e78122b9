"""Matrix product with packed ternary weights: layout, plain XLA, kernels."""
