"""A number that a pytree's bits add up to, whatever devices they lie on."""

from typing import Any

import jax
import jax.numpy as jnp

_STRIDES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F)  # odd, one an axis


@jax.jit
def digest(tree: Any) -> jax.Array:
  """Adds up all words of a tree, each times an odd number of its place.

  Sums of integers have no order, so a mesh of any shape gives the same. A tree
  in which one word differs has another digest for certain, as an odd number
  has an inverse; two that differ in more have the same in one of 2^32 cases.

  Args:
    tree: arrays of at most 32 bits an entry and at most 4 axes.

  Returns:
    uint32 [].
  """
  total = jnp.uint32(0)
  for number, leaf in enumerate(jax.tree.leaves(tree)):
    words = _words(jnp.asarray(leaf))
    place = jnp.full(words.shape, number, jnp.uint32)
    for axis, stride in zip(range(words.ndim), _STRIDES, strict=False):
      step = jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
      place += step * jnp.uint32(stride)
    total += jnp.sum(words * (2 * place + 1), dtype=jnp.uint32)
  return total


def _words(leaf: jax.Array) -> jax.Array:
  """The bits of each entry as uint32."""
  if leaf.dtype == jnp.bool_:
    return leaf.astype(jnp.uint32)
  wide = jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")
  return jax.lax.bitcast_convert_type(leaf, wide).astype(jnp.uint32)
