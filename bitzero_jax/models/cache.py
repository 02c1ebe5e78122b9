"""Keys and values of the columns already read, for decoding.

All rows of a batch share one write column, because prompts end in the same
column: a row is [prompt with PAD inside | answer]. So a write is one slice,
never a scatter.

Shapes: L = layers, B = rows, S = slots (columns a row can hold), T = columns
written at once, KV = key/value heads, H = head width.
"""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class Cache:
  """What decoding carries from one column to the next."""

  keys: jax.Array  # [L, B, S, KV, H], compute dtype, already rotated
  values: jax.Array  # [L, B, S, KV, H], compute dtype
  valid: jax.Array  # [B, S] bool, False for PAD and for columns not yet written
  column: jax.Array  # [] int32, where the next token is written


def empty(
  layers: int,
  batch: int,
  slots: int,
  kv_heads: int,
  head_width: int,
  dtype: jax.typing.DTypeLike,
) -> Cache:
  """Returns a cache of `batch` rows and `slots` columns that holds nothing."""
  shape = (layers, batch, slots, kv_heads, head_width)
  return Cache(
    keys=jnp.zeros(shape, dtype),
    values=jnp.zeros(shape, dtype),
    valid=jnp.zeros((batch, slots), jnp.bool_),
    column=jnp.zeros((), jnp.int32),
  )


def claim(cache: Cache, valid: jax.Array) -> Cache:
  """Marks the next T columns as taken; `write` then fills them, layer by layer.

  Args:
    cache: `column` still points at the first of the T columns.
    valid: [B, T] bool, which of the new tokens are not PAD.

  Returns:
    The cache with `valid` brought up to date and `column`
    unchanged: the layers still need it. `advance` moves it.
  """
  return dataclasses.replace(
    cache,
    valid=jax.lax.dynamic_update_slice(cache.valid, valid, (0, cache.column)),
  )


def write(
  cache: Cache, layer: int, keys: jax.Array, values: jax.Array
) -> Cache:
  """Stores the [B, T, KV, H] keys and values of one layer at `column`."""
  corner = (layer, 0, cache.column, 0, 0)
  update = jax.lax.dynamic_update_slice
  return dataclasses.replace(
    cache,
    keys=update(cache.keys, keys[None], corner),
    values=update(cache.values, values[None], corner),
  )


def pick(cache: Cache, rows: jax.Array) -> Cache:
  """Rows `rows` (int32 [R]) of a cache, in that order, some of them again."""
  return dataclasses.replace(
    cache,
    keys=cache.keys[:, rows],
    values=cache.values[:, rows],
    valid=cache.valid[rows],
  )


def advance(cache: Cache, columns: int) -> Cache:
  """Moves `column` past the `columns` that every layer has now written."""
  return dataclasses.replace(cache, column=cache.column + columns)
