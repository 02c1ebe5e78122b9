"""Rows of int8 or bfloat16 times packed trits, on tensor cores, by Triton.

Shapes: M = rows of x, I = input features, O = output features, P = digit
planes, B = bytes a column (four a word of `relayout.signed_words`), S = parts
that a column is split into.

A block of bytes gives four blocks of trits, one a quarter of x: weights are
the left operand, so that a few rows of x fill the narrow side of the product.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from pallas_kernels.ternary_matmul import relayout, triton_asm


class Tiles(NamedTuple):
  """How the product is cut; all but `stages` and `split` are powers of two.

  Attributes:
    bn: output features a program; halved until it divides O, never below 16.
    bm: rows of x a program, at least 16.
    bk: bytes of a column in one step: 32 or 64.
    warps: a program, 32 threads each.
    stages: loads on their way at once.
    split: S, programs that share the steps of a column; XLA adds them up.
  """

  bn: int = 64
  bm: int = 32
  bk: int = 64
  warps: int = 4
  stages: int = 4
  split: int = 1


def _kernel(tiles, interpret, scaled, added, *refs):
  x, bytes_, scale, *rest = refs
  out = rest[-1]
  exact = x.dtype == jnp.int8
  kind = jnp.int32 if exact else jnp.float32
  rows, planes = x.shape[0], bytes_.shape[0]
  column, row = pl.program_id(0) * tiles.bn, pl.program_id(1) * tiles.bm
  part = pl.program_id(2)
  columns, tokens = pl.ds(column, tiles.bn), pl.ds(row, tiles.bm)
  inside = row + jnp.arange(tiles.bm, dtype=jnp.int32) < rows
  steps = bytes_.shape[2] // tiles.bk
  begin, end = part * steps // tiles.split, (part + 1) * steps // tiles.split

  def step(plane, k, total):
    at = pl.ds(k * tiles.bk, tiles.bk)
    packed = bytes_[plane, columns, at]
    for quarter in range(4):
      mask = jnp.broadcast_to(inside[:, None], (tiles.bm, tiles.bk))
      given = plgpu.load(
        x.at[tokens, jnp.int32(quarter), at], mask=mask, other=x.dtype.type(0)
      )
      trits = triton_asm.field(packed, quarter, x.dtype, asm=not interpret)
      total += jax.lax.dot_general(
        trits, given, (((1,), (1,)), ((), ())), preferred_element_type=kind
      )
    return total

  total = jnp.zeros((tiles.bn, tiles.bm), kind)
  for plane in range(planes):
    zero = jnp.zeros((tiles.bn, tiles.bm), kind)
    partial = jax.lax.fori_loop(
      begin, end, functools.partial(_swap, step, plane), zero
    )
    partial = (
      partial >> 6 if exact else partial * (1 / triton_asm.BFLOAT16_UNIT)
    )
    total = partial if planes == 1 else 3 * total + partial
  mask = jnp.broadcast_to(inside[:, None], (tiles.bm, tiles.bn))
  if tiles.split > 1:
    plgpu.store(out.at[part, tokens, columns], total.T, mask=mask)
    return
  wide = scale.shape[1] > 1
  each = scale[0, columns][:, None] if wide else scale[0, 0]
  value = total.astype(jnp.float32) * each
  if scaled:
    given = plgpu.load(rest[0].at[tokens, jnp.int32(0)], mask=inside, other=0.0)
    value = value * given[None]
  value = value.T.astype(out.dtype)
  if added:
    more = rest[scaled].at[tokens, columns]
    value += plgpu.load(more, mask=mask, other=out.dtype.type(0))
  plgpu.store(out.at[tokens, columns], value, mask=mask)


def _swap(step, plane, k, total):
  """A step of `fori_loop`, whose counter comes first."""
  return step(plane, k, total)


def forward(
  x: jax.Array,
  words: jax.Array,
  scale: jax.Array,
  x_scale: jax.Array | None = None,
  *,
  out_dtype: jax.typing.DTypeLike = jnp.float32,
  residual: jax.Array | None = None,
  tiles: Tiles | None = None,
  into: jax.Array | None = None,
  interpret: bool = False,
) -> jax.Array:
  """x @ W, as `base.ternary_matmul`, and a residual stream added to it.

  Args:
    x: [M, I], int8 or bfloat16.
    words: [P, O, B / 4], int32, from `relayout.signed_words`; 16 divides O.
    scale, x_scale, out_dtype: as for `base.ternary_matmul`.
    residual, tiles, into, interpret: as for `triton_gemv.forward`; with a split
      `into` is never touched.

  Returns:
    [M, O] in `out_dtype`.

  Raises:
    ValueError: 16 does not divide O.
    TypeError: x is neither int8 nor bfloat16.
  """
  if x.dtype not in (jnp.int8, jnp.bfloat16):
    raise TypeError(f"x must be int8 or bfloat16, got {x.dtype}")
  columns = words.shape[1]
  if columns % 16:
    raise ValueError(f"words must hold a multiple of 16 columns, got {columns}")
  tiles = tiles or Tiles()
  while columns % tiles.bn:
    tiles = tiles._replace(bn=tiles.bn // 2)
  bytes_ = jax.lax.bitcast_convert_type(words, jnp.int8)
  operands = [
    relayout.quarters(x),
    bytes_.reshape(*words.shape[:2], -1),
    scale.reshape(1, -1),
  ]
  if x_scale is not None:
    operands.append(x_scale)
  shape, dtype = (len(x), columns), out_dtype
  if tiles.split > 1:
    shape = (tiles.split, *shape)
    dtype = jnp.int32 if x.dtype == jnp.int8 else jnp.float32
  else:
    operands += [more for more in (residual, into) if more is not None]
  aliased = into is not None and tiles.split == 1
  out = pl.pallas_call(
    functools.partial(
      _kernel, tiles, interpret, x_scale is not None, residual is not None
    ),
    grid=(columns // tiles.bn, pl.cdiv(len(x), tiles.bm), tiles.split),
    out_shape=jax.ShapeDtypeStruct(shape, dtype),
    input_output_aliases={len(operands) - 1: 0} if aliased else {},
    compiler_params=plgpu.CompilerParams(
      num_warps=tiles.warps, num_stages=tiles.stages
    ),
    interpret=interpret,
    name="ternary_dot",
  )(*operands)
  if tiles.split == 1:
    return out
  value = out.sum(axis=0).astype(jnp.float32) * operands[2]
  if x_scale is not None:
    value = value * x_scale
  value = value.astype(out_dtype)
  return value if residual is None else value + residual
