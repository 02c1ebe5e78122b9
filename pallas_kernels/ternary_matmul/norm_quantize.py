"""RMS norm and 8-bit rounding of a row in one kernel, in front of the product.

Once for each row: inside the blocks of a GEMV it was measured to be a loss,
because every block would do the whole row again.

Shapes: M = rows, D = features of a row.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas import triton as plgpu

_LEAST = 1e-5  # of a row's largest magnitude, so that none is divided by 0
_TOP = 127
_WHOLE = 12582912.0  # 1.5 * 2^23
_TPU_ROWS = 32  # a whole tile of int8


def _row(
  x: jax.Array,
  gain: jax.Array,
  eps: float,
  size: int,
  dtype: Any,
  rounded: Callable[[jax.Array], jax.Array] = jnp.round,
  axes: tuple[int, ...] = (-1,),
) -> tuple[jax.Array, jax.Array]:
  """Codes, as float32, and scale of rows [..., D] float32 with zeros behind.

  A row may be a block of more than one axis: `axes`, reduced one by one.

  The norm is rounded to `dtype` before its gain and after it, as the model's;
  XLA may leave such a rounding out.
  """

  def over_all(reduce, found):
    for axis in axes:
      found = reduce(found, axis=axis, keepdims=True)
    return found

  power = over_all(jnp.sum, x * x) * (1.0 / size)
  unit = (x * jax.lax.rsqrt(power + eps)).astype(dtype)
  normed = (unit * gain.astype(dtype)).astype(jnp.float32)
  largest = over_all(jnp.max, jnp.abs(normed))
  scale = jnp.maximum(largest, _LEAST) * (1 / _TOP)
  codes = rounded(normed * (1 / scale))
  return jnp.clip(codes, -_TOP, _TOP), scale


def _to_even(x: jax.Array) -> jax.Array:
  """`jnp.round` of small numbers, which Triton's lowering does not know.

  Beside 1.5 * 2^23 a float32 has no place for a fraction. XLA, which runs
  interpret mode, would take it for nothing at all.
  """
  return (x + _WHOLE) - _WHOLE


def base(
  x: jax.Array, gain: jax.Array, *, eps: float = 1e-5
) -> tuple[jax.Array, jax.Array]:
  """Norm, gain, rounding, in plain XLA: runs anywhere.

  Args:
    x: [M, D], bfloat16 or float32.
    gain: [D], float32.
    eps: added to the mean square.

  Returns:
    codes: [M, D], int8, -127 to 127.
    scale: [M, 1], float32, size of one step.
  """
  wide = x.astype(jnp.float32)
  codes, scale = _row(wide, gain, eps, x.shape[1], x.dtype)
  return codes.astype(jnp.int8), scale


def gated_base(
  x: jax.Array, gain: jax.Array, *, eps: float = 1e-5
) -> tuple[jax.Array, jax.Array]:
  """The squared-ReLU gate times what it lets through, then as `base`.

  Args:
    x: [M, 2 D], bfloat16 or float32; the gate's D features come first.
    gain, eps: as for `base`.

  Returns:
    codes [M, D] and scale [M, 1], as `base`.

  Source: BitNet b1.58 2B4T, arXiv:2504.12285.
  """
  gate, up = jnp.split(x, 2, axis=-1)
  return base(jnp.square(jax.nn.relu(gate)) * up, gain, eps=eps)


def _triton_kernel(eps, size, width, gated, rounded, x, gain, codes, scale):
  row = pl.program_id(0)
  columns, inside = _columns(width, size)
  none = x.dtype.type(0)
  first, second = jnp.int32(0), jnp.int32(1)
  given = plgpu.load(x.at[row, first, columns], mask=inside, other=none)
  times = plgpu.load(gain.at[columns], mask=inside, other=0.0)
  wide = given.astype(jnp.float32)
  if gated:
    up = plgpu.load(x.at[row, second, columns], mask=inside, other=none)
    gate = jnp.maximum(wide, 0.0)
    gate = (gate * gate).astype(x.dtype).astype(jnp.float32)
    wide = (gate * up.astype(jnp.float32)).astype(x.dtype).astype(jnp.float32)
  made, step = _row(wide, times, eps, size, x.dtype, rounded)
  plgpu.store(codes.at[row, columns], made.astype(jnp.int8), mask=inside)
  scale[row, 0] = jnp.max(step)


def _columns(width, size):
  """Numbers of `width` columns, and which of them a row has."""
  columns = jnp.arange(width, dtype=jnp.int32)  # JAX 0.12 refuses a long slice
  return columns, columns < size


def _merging_kernel(eps, dtype, rounded, x, log_sum, gain, codes, scale):
  # A row of the block is a head: a part's weight is worked out once for each.
  row = pl.program_id(0)
  (_, parts, count), size = log_sum.shape, gain.shape[0]
  heads, inside = _columns(1 << (count - 1).bit_length(), count)
  each = jnp.arange(size // count, dtype=jnp.int32)
  columns = heads[:, None] * (size // count) + each[None]
  mask = jnp.broadcast_to(inside[:, None], columns.shape)
  times = plgpu.load(gain.at[columns], mask=mask, other=0.0)
  levels, found = [], []
  for part in range(parts):
    at = row, jnp.int32(part)
    levels.append(plgpu.load(log_sum.at[*at, heads], mask=inside, other=0.0))
    found.append(plgpu.load(x.at[*at, columns], mask=mask, other=0.0))
  most = functools.reduce(jnp.maximum, levels)
  weights = [jnp.exp(level - most) for level in levels]
  total = functools.reduce(jnp.add, weights)
  shares = [(weight / total)[:, None] for weight in weights]
  read = [s * f for s, f in zip(shares, found, strict=True)]
  wide = functools.reduce(jnp.add, read).astype(dtype).astype(jnp.float32)
  made, step = _row(wide, times, eps, size, dtype, rounded, axes=(-1, -2))
  plgpu.store(codes.at[row, columns], made.astype(jnp.int8), mask=mask)
  scale[row, 0] = jnp.max(jnp.max(step, axis=0))


def merging(
  read: jax.Array,
  log_sum: jax.Array,
  gain: jax.Array,
  *,
  dtype: jax.typing.DTypeLike,
  eps: float = 1e-5,
  warps: int = 16,
  interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
  """As `triton`, of what a `decode_attention.Partial` comes to in `dtype`.

  Args:
    read: [M, P, N, H], float32.
    log_sum: [M, P, N], float32.
    gain: [N H], float32.
    dtype: that the merged row is rounded to in front of the norm.
    eps, warps, interpret: as for `triton`.

  Returns:
    codes [M, N H] and scale [M, 1], as `base`.
  """
  count, parts, _, _ = read.shape
  size = gain.shape[0]
  rounded = jnp.round if interpret else _to_even
  return pl.pallas_call(
    functools.partial(_merging_kernel, eps, dtype, rounded),
    grid=(count,),
    out_shape=_shapes(count, size),
    compiler_params=plgpu.CompilerParams(num_warps=warps, num_stages=1),
    interpret=interpret,
    name="norm_quantize",
  )(read.reshape(count, parts, size), log_sum, gain)


def triton(
  x: jax.Array,
  gain: jax.Array,
  *,
  eps: float = 1e-5,
  gated: bool = False,
  warps: int = 16,
  interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
  """As `base`, or `gated_base`, a program a row, on a GPU.

  Sums run in another order.

  Args:
    x: [M, D], or [M, 2 D] where `gated`; bfloat16 or float32.
    gain, eps: as for `base`.
    gated: as `gated_base`.
    warps: of a program.
    interpret: run on the CPU.

  Returns:
    codes [M, D] and scale [M, 1], as `base`.
  """
  count, size = len(x), gain.shape[0]
  width = 1 << (size - 1).bit_length()
  rounded = jnp.round if interpret else _to_even
  return pl.pallas_call(
    functools.partial(_triton_kernel, eps, size, width, gated, rounded),
    grid=(count,),
    out_shape=_shapes(count, size),
    compiler_params=plgpu.CompilerParams(num_warps=warps, num_stages=1),
    interpret=interpret,
    name="norm_quantize",
  )(x.reshape(count, -1, size), gain)


def _tpu_kernel(eps, x, gain, codes, scale):
  wide = x[...].astype(jnp.float32)
  made, step = _row(wide, gain[...], eps, x.shape[1], x.dtype)
  codes[...] = made.astype(jnp.int32).astype(jnp.int8)
  scale[...] = step


def mosaic_tpu(
  x: jax.Array, gain: jax.Array, *, eps: float = 1e-5, interpret: Any = False
) -> tuple[jax.Array, jax.Array]:
  """As `base`, a block of rows a step, on a TPU; sums run in another order."""
  count, size = x.shape
  rows = min(count, _TPU_ROWS)
  blocks = [
    pl.BlockSpec((rows, size), lambda i: (i, 0)),
    pl.BlockSpec((rows, 1), lambda i: (i, 0)),
  ]
  return pl.pallas_call(
    functools.partial(_tpu_kernel, eps),
    grid=(pl.cdiv(count, rows),),
    in_specs=[blocks[0], pl.BlockSpec((1, size), lambda i: (0, 0))],
    out_specs=blocks,
    out_shape=_shapes(count, size),
    compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    cost_estimate=pl.CostEstimate(
      flops=8 * count * size,
      bytes_accessed=count * size * (x.dtype.itemsize + 1),
      transcendentals=count,
    ),
    interpret=interpret,
    name="norm_quantize",
  )(x, gain[None])


def _shapes(count: int, size: int) -> list[jax.ShapeDtypeStruct]:
  return [
    jax.ShapeDtypeStruct((count, size), jnp.int8),
    jax.ShapeDtypeStruct((count, 1), jnp.float32),
  ]
