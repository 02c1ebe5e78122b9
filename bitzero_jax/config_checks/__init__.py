"""What a config may hold: each field alone, and against the others."""

from bitzero_jax.config_checks.choices import (
  CHOICES,
  CURRICULA,
  KERNELS,
  LEVELS,
  REINFORCED,
  SMALLEST_BITS,
  TERNARY,
)
from bitzero_jax.config_checks.rounds import total_updates
from bitzero_jax.config_checks.whole import validate

__all__ = [
  "CHOICES",
  "CURRICULA",
  "KERNELS",
  "LEVELS",
  "REINFORCED",
  "SMALLEST_BITS",
  "TERNARY",
  "total_updates",
  "validate",
]
