"""Reads and writes the planes of all matrices at once, and counts their bits.

Shapes: N = matrices, a stack [L, I, O] being L of them, and a matrix whose
output features are in G groups being G; K = most planes.
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
    groups: G, with planes of their own, of each matrix.
    size: weights of one group.
  """

  path: str
  layers: int
  groups: int
  size: int

  @property
  def count(self) -> int:
    """Its share of N."""
    return max(self.layers, 1) * self.groups


def entries(params: Params) -> list[Entry]:
  """The kernels whose planes are a control, in the order of JAX's leaves.

  That is the same for a dict in whichever order its keys were put in: what is
  written by rows in one program is read by rows in the next.
  """
  numbers = _flat(params["quant"])
  kernels = _flat(params["model"])
  found = []
  for path in sorted(kernels, key=lambda path: path.split("/")):
    leaf = kernels[path]
    if f"{path}/planes" in numbers:
      planes = numbers[f"{path}/planes"]
      layers = leaf.shape[0] if leaf.ndim == 3 else 0
      groups = planes.size // max(layers, 1)
      found.append(Entry(path, layers, groups, leaf.size // planes.size))
  return found


def _flat(tree: Params) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")


def sizes(found: Sequence[Entry]) -> np.ndarray:
  """Weights of each matrix: float32 [N]."""
  every = [entry.size for entry in found for _ in range(entry.count)]
  return np.array(every, np.float32)


def read(params: Params, found: Sequence[Entry], name: str) -> jax.Array:
  """A number of every matrix's quantizer: [N, ...]."""
  flat = _flat(params["quant"])
  rows = []
  for entry in found:
    leaf, planes = (flat[f"{entry.path}/{n}"] for n in (name, "planes"))
    rows.append(leaf.reshape(entry.count, *leaf.shape[planes.ndim :]))
  return jnp.concatenate(rows)


def write(
  params: Params, found: Sequence[Entry], name: str, values: jax.Array
) -> Params:
  """Puts a number [N, ...] back: the inverse of `read`."""
  flat = _flat(params["quant"])
  place = 0
  for entry in found:
    path = f"{entry.path}/{name}"
    mine = values[place : place + entry.count]
    flat[path] = mine.reshape(flat[path].shape)
    place += entry.count
  return params | {"quant": traverse_util.unflatten_dict(flat, sep="/")}


def manifest(params: Params) -> dict[str, list[int]]:
  """Planes of each group of a kernel, by path, where they are decided.

  Of a stack the most. The params are concrete.
  """
  found = entries(params)
  if not found:
    return {}
  planes = np.rint(jax.device_get(read(params, found, "planes"))).astype(int)
  ends = np.cumsum([entry.count for entry in found])[:-1]
  return {
    entry.path: mine.reshape(-1, entry.groups).max(0).tolist()
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
