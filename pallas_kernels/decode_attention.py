"""One token's attention over a cache, in one kernel: rotate, store, read.

Shapes: B = rows, N = query heads, KV = key/value heads, G = N / KV, H = head
width, S = slots of the cache.

A program has one row and some query heads of one key/value head. The new key
and value go into the cache and into the softmax from where they are: nobody
waits for memory that was just written.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

_ROWS = 16  # query heads of a product on tensor cores, at least and at most
# It sums over at least 16: over slots, and over half a head.
_LEAST_BLOCK, _LEAST_WIDTH = 16, 32
_HIDDEN = -1e30  # no infinity: the difference of two must be a number


class Partial(NamedTuple):
  """What was read of parts of the slots.

  Attributes:
    read: [B, P, N, H], float32, of each part as if there were no other.
    log_sum: [B, P, N], float32, log of the sum of the scores' exponentials.
  """

  read: jax.Array
  log_sum: jax.Array

  def merged(self, dtype: jax.typing.DTypeLike) -> jax.Array:
    """What was read of all slots, [B, N, H] in `dtype`."""
    weights = jax.nn.softmax(self.log_sum, axis=1)[..., None]
    return jnp.sum(weights * self.read, axis=1).astype(dtype)


def rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
  """Turns channel i with channel i + H / 2, worked out in float32.

  Args:
    x: [B, heads, H], bfloat16 or float32.
    cos, sin: [B, H / 2], float32.

  Returns:
    [B, heads, H] in the dtype of x.
  """
  left, right = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  cos, sin = cos[:, None], sin[:, None]
  turned = (left * cos - right * sin, right * cos + left * sin)
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def base(
  qkv: jax.Array,
  keys: jax.Array,
  values: jax.Array,
  seen: jax.Array,
  column: jax.Array,
  cos: jax.Array,
  sin: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """In plain XLA: runs anywhere.

  Args:
    qkv: [B, N + 2 KV, H], bfloat16 or float32; not rotated.
    keys, values: [B, S, KV, H], the cache; keys are rotated.
    seen: [B, S], int8, 1 where an earlier slot may be read; 0 at `column`.
    column: [], int32, the slot of this token.
    cos, sin: [B, H / 2], float32, of this token.

  Returns:
    What was read, [B, N, H], and the cache with this token in it.

  Raises:
    ValueError: KV does not divide N.
  """
  batch, _, width = qkv.shape
  kv = keys.shape[2]
  count = _query_heads(qkv, kv)
  turned = rotate(qkv[:, : count + kv], cos, sin)
  corner = (0, column, 0, 0)
  update = jax.lax.dynamic_update_slice
  keys = update(keys, turned[:, None, count:], corner)
  values = update(values, qkv[:, None, count + kv :], corner)
  queries = turned[:, :count].reshape(batch, kv, count // kv, width)
  scores = jnp.einsum(
    "bkgh,bskh->bkgs", queries, keys, preferred_element_type=jnp.float32
  )
  now = jnp.arange(keys.shape[1]) == column
  visible = (seen != 0) | now
  scores = jnp.where(visible[:, None, None], scores * width**-0.5, _HIDDEN)
  weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
  read = jnp.einsum("bkgs,bskh->bkgh", weights, values)
  return read.reshape(batch, count, width), keys, values


def _query_heads(qkv: jax.Array, kv: int) -> int:
  count = qkv.shape[1] - 2 * kv
  if count < 1 or count % kv:
    raise ValueError(
      f"qkv must be [B, N + 2 KV, H] with N a multiple of KV={kv}, got shape "
      f"{qkv.shape}"
    )
  return count


def _kernel(count, kv, share, block, parts, *refs):
  halves, whole, keys, values, seen, column, cos, sin, *out = refs
  new_keys, new_values, read, *log_sum = out
  row, program, part = (pl.program_id(axis) for axis in range(3))
  first = program * share
  head = first // (count // kv)
  half, width = halves.shape[3], whole.shape[2]
  low, all_ = pl.ds(0, half), pl.ds(0, width)
  left, right = jnp.int32(0), jnp.int32(1)
  c, s = cos[row, low], sin[row, low]
  dtype = whole.dtype

  def turned(heads, **masked):
    a = plgpu.load(halves.at[row, heads, left, low], **masked)
    b = plgpu.load(halves.at[row, heads, right, low], **masked)
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    return (a * c - b * s).astype(dtype), (b * c + a * s).astype(dtype)

  inside = jnp.arange(_ROWS, dtype=jnp.int32) < share
  mask = jnp.broadcast_to(inside[:, None], (_ROWS, half))
  other = dtype.type(0)
  q = turned(pl.ds(first, _ROWS), mask=mask, other=other)
  k = turned(count + head)
  v = whole[row, count + kv + head, all_]
  at = column[0]
  new_keys[row, at, head, left, low] = k[0]
  new_keys[row, at, head, right, low] = k[1]
  new_values[row, at, head, all_] = v

  def product(a, b, axes):
    return jax.lax.dot_general(
      a, b, (axes, ((), ())), preferred_element_type=jnp.float32
    )

  def with_itself(a, b):
    return jnp.sum(a.astype(jnp.float32) * b.astype(jnp.float32)[None], axis=1)

  scale = width**-0.5
  most = (with_itself(q[0], k[0]) + with_itself(q[1], k[1])) * scale
  total = jnp.ones((_ROWS,), jnp.float32)
  sums = jnp.broadcast_to(v.astype(jnp.float32)[None], (_ROWS, width))
  if parts > 1:  # the token itself belongs to the first
    mine = part == 0
    most = jnp.where(mine, most, _HIDDEN)
    total, sums = jnp.where(mine, total, 0.0), jnp.where(mine, sums, 0.0)

  def step(number, carry):
    most, total, sums = carry
    slots = pl.ds(number * block, block)
    across = ((1,), (1,))
    scores = product(q[0], keys[row, slots, head, left, low], across)
    scores += product(q[1], keys[row, slots, head, right, low], across)
    visible = seen[row, slots] != 0
    visible = jnp.broadcast_to(visible[None], scores.shape)
    scores = jnp.where(visible, scores * scale, _HIDDEN)
    higher = jnp.maximum(most, jnp.max(scores, axis=1))
    powers = jnp.exp(scores - higher[:, None])
    fade = jnp.exp(most - higher)
    total = total * fade + jnp.sum(powers, axis=1)
    given = values[row, slots, head, all_]
    sums = sums * fade[:, None]
    sums += product(powers.astype(dtype), given, ((1,), (0,)))
    return higher, total, sums

  steps = keys.shape[1] // block
  most, total, sums = jax.lax.fori_loop(
    part * steps // parts,
    (part + 1) * steps // parts,
    step,
    (most, total, sums),
  )
  mask = jnp.broadcast_to(inside[:, None], (_ROWS, width))
  found = (sums / total[:, None]).astype(read.dtype)
  heads = pl.ds(first, _ROWS)
  if parts == 1:
    plgpu.store(read.at[row, heads, all_], found, mask=mask)
    return
  plgpu.store(read.at[row, part, heads, all_], found, mask=mask)
  level = most + jnp.log(total)
  plgpu.store(log_sum[0].at[row, part, heads], level, mask=inside)


def _is_power_of_two(size: int, least: int) -> bool:
  return size >= least and size & (size - 1) == 0


def triton(
  qkv: jax.Array,
  keys: jax.Array,
  values: jax.Array,
  seen: jax.Array,
  column: jax.Array,
  cos: jax.Array,
  sin: jax.Array,
  *,
  share: int | None = None,
  block: int = 64,
  parts: int = 1,
  warps: int = 4,
  stages: int = 3,
  interpret: Any = False,
) -> tuple[jax.Array | Partial, jax.Array, jax.Array]:
  """As `base`, but for the order of sums, on a GPU; writes into the cache.

  Args:
    qkv, keys, values, seen, column, cos, sin: as for `base`; H is a power of
      two, at least 32.
    share: query heads of a program, a divisor of G and at most 16; None for
      the largest.
    block: slots in one step, a power of two that divides S, at least 16.
    parts: P, programs that share the slots of a head, at most S / block.
    warps, stages: of a program.
    interpret: run on the CPU.

  Returns:
    As `base`; of several parts what was read is a `Partial`.

  Raises:
    ValueError: KV does not divide N, or H, `share`, `block` or `parts` is
      another.
  """
  batch, heads, width = qkv.shape
  slots, kv = keys.shape[1:3]
  count = _query_heads(qkv, kv)
  shares = [n for n in range(1, _ROWS + 1) if count // kv % n == 0]
  share = shares[-1] if share is None else share
  if share not in shares:
    raise ValueError(
      f"share={share} must divide the {count // kv} query heads of a key head, "
      f"and be at most {_ROWS}"
    )
  if not _is_power_of_two(width, _LEAST_WIDTH):
    raise ValueError(
      f"the head width {width} must be a power of two, at least {_LEAST_WIDTH}"
    )
  if not _is_power_of_two(block, _LEAST_BLOCK) or slots % block:
    raise ValueError(
      f"block={block} must be a power of two, at least {_LEAST_BLOCK}, and "
      f"divide the {slots} slots"
    )
  if not 1 <= parts <= slots // block:
    raise ValueError(f"parts={parts} must be 1 to {slots // block}, the blocks")
  split = (*keys.shape[:3], 2, width // 2)
  outs = [
    jax.ShapeDtypeStruct(split, keys.dtype),
    jax.ShapeDtypeStruct(values.shape, values.dtype),
  ]
  if parts == 1:
    outs.append(jax.ShapeDtypeStruct((batch, count, width), qkv.dtype))
  else:
    each = (batch, parts, count)
    outs.append(jax.ShapeDtypeStruct((*each, width), jnp.float32))
    outs.append(jax.ShapeDtypeStruct(each, jnp.float32))
  keys, values, *read = pl.pallas_call(
    functools.partial(_kernel, count, kv, share, block, parts),
    grid=(batch, count // share, parts),
    out_shape=outs,
    input_output_aliases={2: 0, 3: 1},
    compiler_params=plgpu.CompilerParams(num_warps=warps, num_stages=stages),
    interpret=interpret,
    name="decode_attention",
  )(
    qkv.reshape(batch, heads, 2, width // 2),
    qkv,
    keys.reshape(split),
    values,
    seen,
    column.reshape(1),
    cos,
    sin,
  )
  found = read[0] if parts == 1 else Partial(*read)
  return found, keys.reshape(values.shape), values
