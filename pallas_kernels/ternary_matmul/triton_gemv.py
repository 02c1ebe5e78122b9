"""A few rows of int8 times packed trits, on CUDA cores: decoding.

Shapes: M = rows of x, I = input features, O = output features, P = digit
planes, W = words a column (`relayout.signed_words`).

One program owns a few columns and all of their words; four products a dp4a.
Every word is asked for before the first one is used, so that enough bytes are
on their way, and is the first to leave the cache: nobody reads it again, which
brings 1 to 4 %. Lowered through Triton, which JAX is about to give up.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from pallas_kernels.ternary_matmul import relayout, triton_asm

MOST_ROWS = 8


class Tiles(NamedTuple):
  """How a program is cut; all are powers of two.

  Attributes:
    bn: columns a program; halved until it divides O.
    chunk: most words of a column in one load, at least 16.
    warps: a program, 32 threads each.
  """

  bn: int = 4
  chunk: int = 512
  warps: int = 1


def pieces(words: int, most: int) -> list[tuple[int, int]]:
  """Cuts W into (begin, size) pieces, powers of two up to `most`.

  W is a multiple of 16, and so is each piece: 432 becomes 256, 128, 32 and 16.
  """
  found, begin = [], 0
  while begin < words:
    size = min(most, 1 << ((words - begin).bit_length() - 1))
    found.append((begin, size))
    begin += size
  return found


def _kernel(tiles, interpret, rows, scaled, added, *refs):
  x, words, scale, *rest = refs
  out = rest[-1]
  planes, _, count = words.shape
  columns = pl.ds(pl.program_id(0) * tiles.bn, tiles.bn)
  # What is needed last is asked for first: it is as far away as the weights.
  each = scale[0, 0] if scale.shape[1] == 1 else scale[0, columns]
  sizes = [rest[0][row, 0] for row in range(rows)] if scaled else []
  more = [rest[scaled][row, columns] for row in range(rows)] if added else []
  cuts = pieces(count, tiles.chunk)
  held = [
    [
      plgpu.load(
        words.at[jnp.int32(plane), columns, pl.ds(*cut)],
        eviction_policy="evict_first",
      )
      for cut in cuts
    ]
    for plane in range(planes)
  ]
  for row in range(rows):
    total = jnp.zeros((tiles.bn,), jnp.int32)
    sums = [jnp.zeros((tiles.bn,), jnp.int32) for _ in range(planes)]
    for piece, cut in enumerate(cuts):
      parts = [jnp.zeros((tiles.bn, cut[1]), jnp.int32)] * planes
      for quarter in range(4):
        given = x[row, quarter, pl.ds(*cut)]
        given = jnp.broadcast_to(given[None], (tiles.bn, cut[1]))
        for plane in range(planes):
          up = held[plane][piece] << 6 - 2 * quarter
          parts[plane] = triton_asm.dot4(
            up & triton_asm.TOP_BITS, given, parts[plane], asm=not interpret
          )
      sums = [s + jnp.sum(p, axis=1) for s, p in zip(sums, parts, strict=True)]
    for part in sums:  # 64 divides each of them
      total = 3 * total + (part >> 6)
    value = total.astype(jnp.float32) * each
    if scaled:
      value = value * sizes[row]
    value = value.astype(out.dtype)
    out[row, columns] = value + more[row] if added else value


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
    x: [M, I], int8, M at most 8.
    words: [P, O, W], int32, from `relayout.signed_words`.
    scale, x_scale, out_dtype: as for `base.ternary_matmul`.
    residual: [M, O] in `out_dtype`, added to the rounded product, or None.
    tiles: None for the defaults.
    into: [M, O] in `out_dtype`, what the result is written over: poison, for a
      check that everything is written. None for none.
    interpret: run on the CPU, with the twins of the inline PTX.

  Returns:
    [M, O] in `out_dtype`.

  Raises:
    ValueError: too many rows.
    TypeError: x is not int8.
  """
  if len(x) > MOST_ROWS:
    raise ValueError(f"x must have at most {MOST_ROWS} rows, got {len(x)}")
  if x.dtype != jnp.int8:
    raise TypeError(f"x must be int8, got {x.dtype}")
  tiles = tiles or Tiles()
  columns = words.shape[1]
  while columns % tiles.bn:
    tiles = tiles._replace(bn=tiles.bn // 2)
  quarters = relayout.quarters(x)
  quarters = quarters.reshape(len(x), 4, -1, 4)
  operands = [
    jax.lax.bitcast_convert_type(quarters, jnp.int32),
    words,
    scale.reshape(1, -1),
  ]
  if x_scale is not None:
    operands.append(x_scale)
  if residual is not None:
    operands.append(residual)
  if into is not None:
    operands.append(into)
  return pl.pallas_call(
    functools.partial(
      _kernel,
      tiles,
      interpret,
      len(x),
      x_scale is not None,
      residual is not None,
    ),
    grid=(columns // tiles.bn,),
    out_shape=jax.ShapeDtypeStruct((len(x), columns), out_dtype),
    input_output_aliases={} if into is None else {len(operands) - 1: 0},
    compiler_params=plgpu.CompilerParams(num_warps=tiles.warps, num_stages=1),
    interpret=interpret,
    name="ternary_gemv",
  )(*operands)
