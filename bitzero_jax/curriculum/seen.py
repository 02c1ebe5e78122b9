"""How many behaviours a run has met, counted in a fixed number of cells.

The pool forgets what it evicts, so its own count takes an old behaviour for a
new one. Here each behaviour marks one cell, and the cells that stay empty say
how many there were (linear counting: Whang et al. 1990,
doi:10.1145/78922.78925).
"""

import jax
import jax.numpy as jnp

CELLS = 1 << 18  # the estimate stays within 1 % up to a million behaviours


def nothing() -> jax.Array:
  """No behaviour yet: bool [CELLS]."""
  return jnp.zeros(CELLS, bool)


def mark(seen: jax.Array, behaviour: jax.Array, sound: jax.Array) -> jax.Array:
  """Adds the sound ones of uint32 [B, 2] hashes."""
  cell = (behaviour[:, 0] % jnp.uint32(CELLS)).astype(jnp.int32)
  return seen.at[jnp.where(sound, cell, CELLS)].set(True, mode="drop")


def count(seen: jax.Array) -> jax.Array:
  """Estimated number of behaviours: float32 []."""
  empty = jnp.maximum(jnp.sum(~seen), 1)
  return CELLS * -jnp.log(empty / CELLS)
