"""Sums with a fixed order, and maxima that nothing is fused with.

A compiler adds up in another order when shapes, fusion or layouts change. The
scale of a weight, a norm and a softmax must not change with it: sampler and
learner, trainer and export are different programs.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

_LANES = 32  # of a chunk, a power of two


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def ordered_sum(x: jax.Array, axis: int = -1) -> jax.Array:
  """Adds up one axis in an order that never changes.

  Chunks of 32 are added one onto the other, then half onto half. To halve from
  the start takes a CPU a fifth longer, and half as long again to compile.

  Args:
    x: [..., N, ...], floating, N >= 1.
    axis: which one holds the N numbers.

  Returns:
    x with length 1 along `axis`. The order depends on N only, not on the other
    axes. A gradient is the plain sum's: to go back through the chunks would
    only be slower.
  """
  return _folded(jnp.add, 0.0, x, axis)


@ordered_sum.defjvp
def _ordered_sum_jvp(axis, primals, tangents):
  (change,) = tangents
  return ordered_sum(*primals, axis), jnp.sum(change, axis=axis, keepdims=True)


def ordered_max(x: jax.Array, axis: int = -1) -> jax.Array:
  """The largest along one axis, whose readers keep their bits.

  A maximum has no order, but what is fused with a reduction may change: from
  4096 numbers up, XLA's CPU compiler (of JAX 0.10.2 and 0.11.2) gives
  exp(x - max(x)) to a library, whose exp has other bits than its own, and
  `optimization_barrier` does not part the two in 0.10.2. So this is no
  reduction to a compiler, but the steps of `ordered_sum`.

  Args:
    x: [..., N, ...], floating, N >= 1.
    axis: which one holds the N numbers.

  Returns:
    x with length 1 along `axis`. It gets no gradient.
  """
  return _folded(jnp.maximum, -jnp.inf, jax.lax.stop_gradient(x), axis)


def _folded(
  pair: Callable[[jax.Array, jax.Array], jax.Array],
  neutral: float,
  x: jax.Array,
  axis: int,
) -> jax.Array:
  """Folds chunks onto each other, then half onto half, by `pair`."""
  axis %= x.ndim
  x = _whole(x, axis)
  size = x.shape[axis]
  lanes = min(_LANES, 1 << (size - 1).bit_length())
  chunks = -(-size // lanes)
  fill = [(0, 0)] * x.ndim
  fill[axis] = (0, chunks * lanes - size)
  padded = jnp.pad(x, fill, constant_values=neutral)
  x = functools.reduce(pair, jnp.split(padded, chunks, axis))
  while x.shape[axis] > 1:
    x = pair(*jnp.split(x, 2, axis))
  # A compiler that fused this into its readers would repeat all N terms there.
  return jax.lax.optimization_barrier(x)


def _whole(x: jax.Array, axis: int) -> jax.Array:
  """Lays `axis` on one device each, or every chunk would be sent by itself.

  In a program that is traced for a mesh; the other axes lie as they like.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.size == 1:
    return x
  spec: list[Any] = [PartitionSpec.UNCONSTRAINED] * x.ndim
  spec[axis] = None
  return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))
