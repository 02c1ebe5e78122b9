"""Chances of planes that spend a budget, on what is likeliest first.

Shapes: N = matrices, or their groups as in `ledger`; K = most planes.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.precision import ledger
from bitzero_jax.quant import adaptive

_STEPS = 50  # of the bisection: a float32 has 24 bits
_SURE = 30.0  # a logit whose chance is 1 in float32


def fill(logits: jax.Array, size: np.ndarray, bits: jax.Array) -> jax.Array:
  """Chances of keeping each plane that rise with its logit, and spend `bits`.

  Plane k is kept, where plane k - 1 is, with the probability sigmoid(logit -
  level). The level, the same for all, is the multiplier of the budget: solved
  for, and not climbed to, for what all planes cost is known.

  Args:
    logits: float32 [N, K - 1], of plane 2, 3, ... K.
    size: float32 [N], weights.
    bits: float32 [], mean stored bits a weight that are expected of the result.

  Returns:
    reach, float32 [N, K - 1]: chances of at least 2, 3, ... K planes.
  """

  def reach(level: jax.Array) -> jax.Array:
    return jnp.cumprod(jax.nn.sigmoid(logits - level), axis=1)

  def halve(_, ends: tuple[jax.Array, jax.Array]):
    low, high = ends
    level = (low + high) / 2
    spent = ledger.expected_bits(adaptive.chances(reach(level)), size)
    over = spent > bits
    return jnp.where(over, level, low), jnp.where(over, high, level)

  ends = logits.min() - _SURE, logits.max() + _SURE
  low, high = jax.lax.fori_loop(0, _STEPS, halve, ends)
  return reach((low + high) / 2)
