"""Reads and writes the planes of all matrices at once, and counts their bits.

Shapes: N = matrices, a stack [L, I, O] being L of them; K = most planes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from bitzero_jax.precision.base import Params
from bitzero_jax.quant import digits

# Stored bits a weight of 1, 2, ... 5 planes.
BITS = np.array([bits for _, bits in sorted(digits.STORED_BITS.items())])


class Entry(NamedTuple):
  """A kernel whose planes are a control.

  Attributes:
    path: keys joined by "/".
    layers: L of a stack, 0 for a matrix.
    size: weights of one matrix.
  """

  path: str
  layers: int
  size: int


def entries(params: Params) -> list[Entry]:
  """The kernels whose planes are a control, in the order of the tree."""
  numbers = _flat(params["quant"])
  found = []
  for path, leaf in _flat(params["model"]).items():
    if f"{path}/planes" in numbers:
      layers = leaf.shape[0] if leaf.ndim == 3 else 0
      found.append(Entry(path, layers, leaf.size // max(layers, 1)))
  return found


def _flat(tree: Params) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")


def sizes(found: Sequence[Entry]) -> np.ndarray:
  """Weights of each matrix: float32 [N]."""
  every = [e.size for e in found for _ in range(max(e.layers, 1))]
  return np.array(every, np.float32)


def read(params: Params, found: Sequence[Entry], name: str) -> jax.Array:
  """A number of every matrix's quantizer: [N, ...]."""
  flat = _flat(params["quant"])
  leaves = [flat[f"{entry.path}/{name}"] for entry in found]
  return jnp.concatenate(
    [
      leaf if entry.layers else leaf[None]
      for leaf, entry in zip(leaves, found, strict=True)
    ]
  )


def write(
  params: Params, found: Sequence[Entry], name: str, values: jax.Array
) -> Params:
  """Puts a number [N, ...] back: the inverse of `read`."""
  flat = _flat(params["quant"])
  place = 0
  for entry in found:
    count = max(entry.layers, 1)
    mine = values[place : place + count]
    flat[f"{entry.path}/{name}"] = mine if entry.layers else mine[0]
    place += count
  return params | {"quant": traverse_util.unflatten_dict(flat, sep="/")}


def manifest(params: Params) -> dict[str, int]:
  """Planes by the kernel's path, of concrete params, where they are decided.

  Of a stack the most.
  """
  found = entries(params)
  if not found:
    return {}
  planes = jax.device_get(read(params, found, "planes"))
  ends = np.cumsum([max(entry.layers, 1) for entry in found])[:-1]
  return {
    entry.path: round(float(mine.max()))
    for entry, mine in zip(found, np.split(planes, ends), strict=True)
    if mine.min() >= 1
  }


def mean_bits(planes: jax.Array, size: np.ndarray) -> jax.Array:
  """Mean stored bits a weight of matrices with these planes: float32 []."""
  bits = jnp.asarray(BITS, jnp.float32)[planes.astype(int) - 1]
  return jnp.sum(bits * size) / size.sum()


def expected_bits(chances: jax.Array, size: np.ndarray) -> jax.Array:
  """The same, of chances [N, K] of each number of planes."""
  bits = chances @ jnp.asarray(BITS[: chances.shape[1]], jnp.float32)
  return jnp.sum(bits * size) / size.sum()
