"""Kernels for packed weights. They import JAX and nothing else."""
