"""Ternary matrix product on Hopper: trits unpacked in registers, into wgmma.

Shapes: M = rows of x, I = input features, O = output features, P = digit
planes, K and N = I and O rounded up to whole blocks. Weights are the left
operand, [N, K], and come from registers; x waits in shared memory; so the
accumulator is the result transposed, and the epilogue turns it round.

A word of `relayout.fragments` is one thread's part of a 64 x 32 block, so
nothing but shift and mask stands between shared memory and the tensor core. Of
several planes the digits are joined while they are four bytes a word,
`sum_k 3^(P-1-k) (t_k + 2)` without a carry: one product for all planes.

No interpreter runs code of this level. The compiler for an H100 does, also
where there is none.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pallas_kernels.ternary_matmul.relayout import (
  FRAGMENT_COLUMNS,
  FRAGMENT_ROWS,
)

MOST_PLANES = 4  # five would need nine bits
_STEP_BYTES = 128  # of a row of x: the widest swizzle


class Tiles(NamedTuple):
  """How the product is cut.

  Attributes:
    groups: compute warpgroups a block; one more loads.
    blocks: of 64 output features, a warpgroup.
    bm: rows of x a block, a multiple of 16.
    stages: steps on their way at once.
  """

  groups: int = 2
  blocks: int = 1
  bm: int = 128
  stages: int = 5


def _constant(bits: int) -> int:
  """32 bits as the signed integer that has them."""
  return bits - (1 << 32) if bits >= 1 << 31 else bits


def join(words: Sequence[Any], register: int) -> Any:
  """Register `register` of a fragment from one word of each of P planes.

  Args:
    words: int32, anything with integer operators, plane 0 first.
    register: 0 to 3.

  Returns:
    int32 of four int8: 64 * t of a single plane, else the joined digits.
  """
  if len(words) == 1:
    return (words[0] << (6 - 2 * register)) & _constant(0xC0C0C0C0)
  total = None
  for word in words:
    # Two's complement with its high bit turned over is t + 2: 1, 2 or 3.
    field = ((word >> 2 * register) & 0x03030303) ^ 0x02020202
    total = field if total is None else total * 3 + field
  assert total is not None
  # Each byte has 3^P - 1 too much. Lifted to where bit 7 is the sign, reversed.
  lift = 128 - (3 ** len(words) - 1)
  return (total + _constant(lift * 0x01010101)) ^ _constant(0x80808080)


def halves(word: Any, register: int) -> Any:
  """Register `register` of a bfloat16 fragment, 0 to 7: two of 2 * t."""
  return (word << (14 - 2 * register)) & _constant(0xC000C000)


def step(dtype: Any) -> int:
  """Input features a step."""
  return _STEP_BYTES // jnp.dtype(dtype).itemsize


def padded_scales(count: int) -> int:
  """Of so many rows, as a copy takes them: 128 bytes or a multiple."""
  return -(-count // 32) * 32


def forward(
  x: jax.Array,
  words: jax.Array,
  scale: jax.Array,
  x_scale: jax.Array | None = None,
  *,
  columns: int,
  out_dtype: jax.typing.DTypeLike = jnp.float32,
  tiles: Tiles | None = None,
  interpret: Any = False,
) -> jax.Array:
  """x @ W, as `base.ternary_matmul`.

  Args:
    x: [M, I], int8 or bfloat16.
    words: [P, N / 64, K / 32, 128], int32, from `relayout.fragments`, for
      bfloat16 with two numbers a register.
    scale, x_scale: as for `base.ternary_matmul`.
    columns: O.
    out_dtype: bfloat16 or float32.
    tiles: None for the defaults.
    interpret: must be False.

  Returns:
    [M, O] in `out_dtype`.

  Raises:
    ValueError: more than four planes, or one of bfloat16 x, or `interpret` is
      asked for.
    TypeError: x is neither int8 nor bfloat16.
  """
  if interpret:
    raise ValueError("mosaic_gpu cannot be interpreted: it needs a GPU")
  if x.dtype not in (jnp.int8, jnp.bfloat16):
    raise TypeError(f"x must be int8 or bfloat16, got {x.dtype}")
  planes, high, long, _ = words.shape
  most = MOST_PLANES if x.dtype == jnp.int8 else 1
  if planes > most:
    raise ValueError(
      f"words must hold at most {most} planes for {x.dtype} x, got {planes}"
    )
  tiles = tiles or Tiles()
  count = len(x)
  high_fill = max(0, tiles.groups * tiles.blocks - high)
  long_fill = -long % (step(x.dtype) // FRAGMENT_ROWS)
  words = jnp.pad(words, ((0, 0), (0, high_fill), (0, long_fill), (0, 0)))
  k = words.shape[2] * FRAGMENT_ROWS
  n = words.shape[1] * FRAGMENT_COLUMNS
  fill = max(-count % 8, tiles.bm - count)
  x = jnp.pad(x, ((0, fill), (0, k - x.shape[1])))
  if x_scale is None:
    x_scale = jnp.ones((count, 1), jnp.float32)
  more = max(fill, padded_scales(tiles.bm) - count)
  x_scale = jnp.pad(x_scale[:, 0], (0, more))
  wide = scale.ndim > 0
  scale = jnp.pad(scale.reshape(-1), (0, n - columns if wide else 0))
  # Here, so that a JAX without Mosaic GPU has all other kernels.
  from pallas_kernels.ternary_matmul import mosaic_gpu_kernel

  out = mosaic_gpu_kernel.run(words, x, scale, x_scale, tiles, out_dtype)
  return out[:count, :columns]
