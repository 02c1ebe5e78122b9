"""Planes within a budget of bytes: the best gain a byte first.

Shapes: N = matrices, or their groups as in `ledger`; K = most planes.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.precision.ledger import BITS


def to_budget(
  gain: jax.Array, size: np.ndarray, budget: jax.Array | float
) -> jax.Array:
  """Planes of each matrix.

  All begin with one plane. Then, again and again, the step that gains most a
  byte is taken among those that still fit: to any higher number of planes of
  any matrix, for a third plane is cheaper than a second. Steps that gain
  nothing are taken last.

  Args:
    gain: float32 [N, K - 1], what plane 2, 3, ... K adds to those before it.
    size: float32 [N], weights.
    budget: float32 [], mean stored bits a weight.

  Returns:
    float32 [N], 1 to K. Their mean bits are at most the budget, or all are 1.
  """
  count, most = gain.shape[0], gain.shape[1] + 1
  bits = jnp.asarray(BITS[:most], jnp.float32)
  total = jnp.concatenate([jnp.zeros((count, 1)), jnp.cumsum(gain, 1)], 1)
  limit = budget * size.sum()

  def step(_, planes: jax.Array) -> jax.Array:
    now = planes[:, None] - 1
    extra = (bits - bits[planes - 1][:, None]) * size[:, None]
    more = total - jnp.take_along_axis(total, now, axis=1)
    spent = jnp.sum(bits[planes - 1] * size)
    # Sums of sizes are rounded: a budget that fits exactly must fit.
    fits = spent + extra <= limit * (1 + 1e-6)
    higher = jnp.arange(most) > now
    worth = jnp.where(fits & higher, more / jnp.maximum(extra, 1e-30), -jnp.inf)
    best = jnp.argmax(worth)
    row, column = best // most, best % most
    taken = jnp.where(jnp.isfinite(worth.max()), column + 1, planes[row])
    return planes.at[row].set(taken.astype(planes.dtype))

  planes = jnp.ones(count, jnp.int32)
  planes = jax.lax.fori_loop(0, count * (most - 1), step, planes)
  return planes.astype(jnp.float32)
