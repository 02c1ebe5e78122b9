"""Ternary matrix product on a TPU: int2 weights, unpacked in vector memory.

Compiled for v5e, v6e and v5p by the real compiler and right in interpret mode;
never run on a TPU. v4 has no int8 product and its compiler aborts on int2.

Shapes: M = rows of x, I = input features, O = output features, P = digit
planes, K and N = I and O rounded up to multiples of 128.

A word of `relayout.int2_words` holds sixteen consecutive rows of a column, so
`pltpu.bitcast` to int2 gives a [K, N] block without a shift: Mosaic has no
arithmetic on 8-bit lanes, and this needs none.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from pallas_kernels.ternary_matmul.relayout import TRITS_PER_WORD

LANES = 128


class Tiles(NamedTuple):
  """Block sizes; `bk` and `bn` are multiples of 128.

  Attributes:
    bm: rows of x in a block, at most.
    bk: input features in a block, at most: the largest divisor of K is taken.
    bn: output features in a block, at most, in the same way.
  """

  bm: int = 128
  bk: int = 2048
  bn: int = 256


def _divisor(size: int, most: int) -> int:
  """Largest multiple of 128 that divides `size` and is at most `most`."""
  allowed = range(LANES, max(min(most, size), LANES) + 1, LANES)
  return max(block for block in allowed if size % block == 0)


def _trits(words: jax.Array, dtype: Any) -> jax.Array:
  """Words [bk / 16, bn] as trits [bk, bn]; ready int8 trits as they are."""
  if words.dtype == jnp.int8:
    return words.astype(dtype)
  return pltpu.bitcast(words, jnp.int2).astype(dtype)


def _per_word(words: jax.Array) -> int:
  return 1 if words.dtype == jnp.int8 else TRITS_PER_WORD


def _product(a: jax.Array, words: Any, contracted: int) -> jax.Array:
  """a times all planes: `total = 3 * total + a @ T_k`, int32 or float32.

  Args:
    a: [bm, bk] or, for the transposed product, [bm, bn].
    words: reference to [P, bk / 16, bn].
    contracted: axis of the trits that is summed over, 0 or 1.
  """
  kind = jnp.int32 if a.dtype == jnp.int8 else jnp.float32
  total = None
  for plane in range(words.shape[0]):
    part = jax.lax.dot_general(
      a,
      _trits(words[plane], a.dtype),
      (((1,), (contracted,)), ((), ())),
      preferred_element_type=kind,
    )
    total = part if total is None else 3 * total + part
  assert total is not None
  return total


def _kernel(contracted, scaled, *refs):
  """One block; `scaled` says whether rows of the first operand have a scale."""
  a, words, scale, *rest = refs
  row_scale = rest[0] if scaled else None
  out, total = rest[-2:]
  step = pl.program_id(2)

  @pl.when(step == 0)
  def _():
    total[...] = jnp.zeros_like(total)

  total[...] += _product(a[...], words, contracted)

  @pl.when(step == pl.num_programs(2) - 1)
  def _():
    value = total[...].astype(jnp.float32) * scale[...]
    if row_scale is not None:
      value = value * row_scale[...]
    out[...] = value.astype(out.dtype)


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
    words: [P, K / 16, N], int32, from `relayout.int2_words`; or trits [P, K,
      N], int8, to compare with: what is left if unpacking costs nothing.
    scale, x_scale, out_dtype: as for `base.ternary_matmul`.
    columns: O.
    tiles: block sizes, None for the defaults.
    interpret: False, or `pltpu.InterpretParams()`.

  Returns:
    [M, O] in `out_dtype`.
  """
  tiles = tiles or Tiles()
  planes, word_rows, n = words.shape
  per = _per_word(words)
  k = word_rows * per
  x = jnp.pad(x, ((0, 0), (0, k - x.shape[1])))
  bm = min(tiles.bm, len(x))
  bk, bn = _divisor(k, tiles.bk), _divisor(n, tiles.bn)
  scales = jnp.pad(
    jnp.broadcast_to(scale, (1, columns)), ((0, 0), (0, n - columns))
  )
  operands = [x, words, scales]
  specs = [
    pl.BlockSpec((bm, bk), lambda i, j, s: (i, s)),
    pl.BlockSpec((planes, bk // per, bn), lambda i, j, s: (0, s, j)),
    pl.BlockSpec((1, bn), lambda i, j, s: (0, j)),
  ]
  if x_scale is not None:
    operands.append(x_scale)
    specs.append(pl.BlockSpec((bm, 1), lambda i, j, s: (i, 0)))
  out = _call(
    functools.partial(_kernel, 0, x_scale is not None),
    operands,
    specs,
    grid=(pl.cdiv(len(x), bm), n // bn, k // bk),
    out=((len(x), n), out_dtype, (bm, bn)),
    interpret=interpret,
  )
  return out[:, :columns]


def input_gradient(
  g: jax.Array,
  words: jax.Array,
  scale: jax.Array,
  *,
  rows: int,
  out_dtype: jax.typing.DTypeLike = jnp.float32,
  tiles: Tiles | None = None,
  interpret: Any = False,
) -> jax.Array:
  """g @ W^T, from the same words as `forward`.

  Args:
    g: [M, O], bfloat16.
    words: [P, K / 16, N], int32, from `relayout.int2_words`.
    scale: [] or [1, O], float32. That of a column is multiplied into g, which
      is rounded to bfloat16 again.
    rows: I.
    out_dtype, tiles, interpret: as for `forward`.

  Returns:
    [M, I] in `out_dtype`.
  """
  tiles = tiles or Tiles()
  planes, word_rows, n = words.shape
  per = _per_word(words)
  k = word_rows * per
  if scale.ndim:
    g = (g.astype(jnp.float32) * scale).astype(g.dtype)
    scale = jnp.float32(1)
  g = jnp.pad(g, ((0, 0), (0, n - g.shape[1])))
  bm = min(tiles.bm, len(g))
  bk, bn = _divisor(k, tiles.bk), _divisor(n, tiles.bn)
  out = _call(
    functools.partial(_kernel, 1, False),
    [g, words, jnp.broadcast_to(scale, (1, k))],
    [
      pl.BlockSpec((bm, bn), lambda i, j, s: (i, s)),
      pl.BlockSpec((planes, bk // per, bn), lambda i, j, s: (0, j, s)),
      pl.BlockSpec((1, bk), lambda i, j, s: (0, j)),
    ],
    grid=(pl.cdiv(len(g), bm), k // bk, n // bn),
    out=((len(g), k), out_dtype, (bm, bk)),
    interpret=interpret,
  )
  return out[:, :rows]


def _call(kernel, operands, specs, *, grid, out, interpret):
  shape, dtype, block = out
  exact = operands[0].dtype == jnp.int8
  planes, word_rows, n = operands[1].shape
  return pl.pallas_call(
    kernel,
    grid=grid,
    in_specs=specs,
    out_specs=pl.BlockSpec(block, lambda i, j, s: (i, j)),
    out_shape=jax.ShapeDtypeStruct(shape, dtype),
    scratch_shapes=[pltpu.VMEM(block, jnp.int32 if exact else jnp.float32)],
    compiler_params=pltpu.CompilerParams(
      dimension_semantics=("parallel", "parallel", "arbitrary")
    ),
    # A hint for the scheduler, taken from the shapes: never a result.
    cost_estimate=pl.CostEstimate(
      flops=2 * planes * shape[0] * word_rows * n * _per_word(operands[1]),
      bytes_accessed=sum(a.size * a.dtype.itemsize for a in operands)
      + shape[0] * shape[1] * jnp.dtype(dtype).itemsize,
      transcendentals=0,
    ),
    interpret=interpret,
  )(*operands)
