"""Causal grouped-query attention with BitNet's norm before the output matrix.

Shapes: B = rows, Q = query columns, T = columns given, S = key columns,
D = width, N = query heads, KV = key/value heads, G = N / KV, H = D / N.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from bitzero_jax.models import cache as cache_lib
from bitzero_jax.models import layers, product

# Finite, so that a row with no visible key averages the values and is no NaN.
HIDDEN_SCORE = -1e30


def attend(
  queries: jax.Array, keys: jax.Array, values: jax.Array, visible: jax.Array
) -> jax.Array:
  """Softmax attention; each group of G query heads reads one key/value head.

  For the same S, a query gives the same bits whatever B and Q are (measured on
  CPU). So a cache of S slots and a full forward over S columns agree.

  Args:
    queries: [B, Q, N, H].
    keys: [B, S, KV, H].
    values: [B, S, KV, H].
    visible: [B, Q, S] bool, the columns that a query may read.

  Returns:
    [B, Q, N, H] in the dtype of queries. The softmax is taken in float32.
  """
  batch, columns, heads, width = queries.shape
  slots, kv_heads = keys.shape[1:3]
  group = heads // kv_heads
  queries = queries.reshape(batch, columns, kv_heads, group, width)
  queries = queries.transpose(0, 2, 3, 1, 4)  # [B, KV, G, Q, H]
  queries = queries.reshape(batch, kv_heads, group * columns, width)
  if group * columns == 1:
    # One row would be compiled as a matrix-vector product, which adds up in
    # another order than the matrix product of training.
    queries = jnp.repeat(queries, 2, axis=2)

  # Both products contract the last axes: of the forms tried, the only one whose
  # order of addition does not depend on the number of queries.
  scores = _contract(queries, keys.transpose(0, 2, 1, 3), jnp.float32)
  scores = scores[:, :, : group * columns] * width**-0.5
  scores = scores.reshape(batch, kv_heads, group, columns, slots)
  scores = jnp.where(visible[:, None, None], scores, HIDDEN_SCORE)
  weights: jax.Array = layers.softmax(scores, values.dtype == jnp.float32)
  weights = weights.astype(values.dtype)
  weights = weights.reshape(batch, kv_heads, group * columns, slots)
  if group * columns == 1:
    weights = jnp.repeat(weights, 2, axis=2)
  mixed = _contract(weights, values.transpose(0, 2, 3, 1), values.dtype)
  mixed = mixed[:, :, : group * columns]
  mixed = mixed.reshape(batch, kv_heads, group, columns, width)
  return mixed.transpose(0, 3, 1, 2, 4).reshape(batch, columns, heads, width)


def _contract(a: jax.Array, b: jax.Array, dtype) -> jax.Array:
  """Batched a @ b^T: [B, KV, M, K] and [B, KV, N, K] to [B, KV, M, N]."""
  dimensions = (((3,), (3,)), ((0, 1), (0, 1)))
  return jax.lax.dot_general(a, b, dimensions, preferred_element_type=dtype)


class Attention(nn.Module):
  """o(norm(attend(q(x), k(x), v(x)))), the BitNet attention layer.

  Without `sub_norms` there is no norm in it, as in Llama; with `qkv_biases`
  there are leaves "q_bias" [D], "k_bias" and "v_bias" [KV * H], as in Qwen2.
  """

  width: int
  heads: int
  kv_heads: int
  eps: float
  out_gain: float
  quantize: layers.ActivationQuantizer
  place: layers.Place = layers.as_it_is
  sub_norms: bool = True
  qkv_biases: bool = False

  def setup(self):
    kv_width = self.width // self.heads * self.kv_heads
    place = self.place
    self.q_proj = layers.Kernel(self.width, self.width, place=place)
    self.k_proj = layers.Kernel(self.width, kv_width, place=place)
    self.v_proj = layers.Kernel(self.width, kv_width, place=place)
    self.o_proj = layers.Kernel(self.width, self.width, self.out_gain, place)
    if self.sub_norms:
      self.attn_sub_norm = layers.RMSNorm(self.eps)
    widths = {"q": self.width, "k": kv_width, "v": kv_width}
    self.biases = {
      name: self.param(
        f"{name}_bias", nn.initializers.zeros, (width,), jnp.float32
      )
      for name, width in widths.items()
      if self.qkv_biases
    }

  def __call__(
    self,
    x: jax.Array,
    angles: tuple[jax.Array, jax.Array],
    visible: jax.Array,
    cache: cache_lib.Cache | None,
    layer: int,
  ) -> tuple[jax.Array, cache_lib.Cache | None]:
    """Reads the columns of x and, with a cache, all columns before them.

    Args:
      x: [B, T, D], already normed.
      angles: cosines and sines of the T columns, from `layers.rotary_angles`.
      visible: [B, Q, S] bool for the last Q <= T columns; S is T, or the slots
        of the cache.
      cache: None, or the cache that receives the keys and values of x.
      layer: index of this layer in the cache.

    Returns:
      [B, Q, D] for the last Q columns, and the cache, written.
    """
    batch, columns, _ = x.shape
    first = columns - visible.shape[1]
    given = self.quantize(x)
    cos, sin = angles
    asking = product.columns(given, slice(first, None))
    q = self._heads("q", asking, self.q_proj())
    q = layers.rotate(q, cos[:, first:], sin[:, first:])
    keys = layers.rotate(self._heads("k", given, self.k_proj()), cos, sin)
    values = self._heads("v", given, self.v_proj())
    if cache is not None:
      cache = cache_lib.write(cache, layer, keys, values)
      keys, values = cache.keys[layer], cache.values[layer]
    mixed = attend(q, keys, values, visible)
    mixed = mixed.reshape(batch, visible.shape[1], self.width)
    if self.sub_norms:
      mixed = self.attn_sub_norm(mixed)
    return product.project(self.quantize(mixed), self.o_proj()), cache

  def _heads(
    self, name: str, x: product.Operand, kernel: product.Kernel
  ) -> jax.Array:
    """Projects [B, T, D] and splits the result: [B, T, heads, H]."""
    flat = product.project(x, kernel)
    if name in self.biases:
      flat = flat + self.biases[name].astype(flat.dtype)
    split = flat.reshape(*flat.shape[:2], -1, self.width // self.heads)
    return self.place(split, "batch", None, "heads", None)
