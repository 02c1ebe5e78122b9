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

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.mosaic import gpu as mgpu
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import vector

from pallas_kernels.ternary_matmul.relayout import (
  FRAGMENT_COLUMNS,
  FRAGMENT_ROWS,
  WARPGROUP,
)

MOST_PLANES = 4  # five would need nine bits
STEP = 128  # input features a step: the widest swizzle of int8
_SWIZZLE = 128  # bytes
_GROUP = "group"


class Tiles(NamedTuple):
  """How the product is cut.

  Attributes:
    groups: compute warpgroups a block; one more loads.
    blocks: of 64 output features, a warpgroup.
    bm: rows of x a block, a multiple of 64 for results of two bytes.
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


def _fragment(words: Any, planes: int) -> jax.Array:
  """int8 [64, STEP], the codes, from a reference to [P, STEP / 32, 128]."""
  shape = (FRAGMENT_COLUMNS, STEP)
  layout = plgpu.Layout.WGMMA_8BIT

  def unpack(context: Any, held: Any) -> Any:
    del context
    four = ir.VectorType.get((4,), ir.IntegerType.get_signless(8))
    found = []
    for part in range(STEP // FRAGMENT_ROWS):
      loaded = [
        mgpu.FragmentedArray.load_strided(
          mgpu.memref_slice(held, (plane, part)), is_signed=True, vec_size=1
        )
        for plane in range(planes)
      ]
      for register in range(4):
        (value,) = join(loaded, register).registers.flat
        found.append(vector.bitcast(four, value))
    target = layout.to_mgpu()
    registers = np.array(found, dtype=object)
    return mgpu.FragmentedArray(
      _registers=registers.reshape(target.registers_shape(shape)),
      _layout=target,
      _is_signed=True,
    )

  inlined: Any = plgpu.inline_mgpu(
    arg_types=(plgpu.RefType(),),
    return_type=plgpu.ShapeDtypeStruct(shape, jnp.int8, layout=layout),
  )(unpack)
  return inlined(words)


def _body(
  tiles, planes, steps, wide, dtype, words, x, scale, x_scale, out, tile
):
  """One block of the grid: `groups * blocks * 64` columns of `bm` rows."""
  own = tiles.groups * tiles.blocks
  first = jax.lax.axis_index("column") * own
  row = jax.lax.axis_index("row") * tiles.bm
  group = jax.lax.axis_index(_GROUP)
  swizzled = (
    plgpu.TilingTransform((8, STEP)),
    plgpu.SwizzleTransform(_SWIZZLE),
  )

  def compute(run_pipeline):
    gpu: Any = plgpu  # ACC is public, but not marked so for type checkers
    kind = gpu.ACC((FRAGMENT_COLUMNS, tiles.bm), jnp.int32)

    @functools.partial(
      pl.run_scoped, **{f"total_{b}": kind for b in range(tiles.blocks)}
    )
    def _(**totals):
      run_pipeline(tuple(totals.values()))
      for block, total in enumerate(totals.values()):
        _finish(block, total)

  def _finish(block, total):
    column = (first + group * tiles.blocks + block) * FRAGMENT_COLUMNS
    columns, rows = pl.ds(column, FRAGMENT_COLUMNS), pl.ds(row, tiles.bm)
    layout = plgpu.Layout.WGMMA
    value = total[...]
    if planes == 1:
      value = value >> 6
    value = value.astype(jnp.float32)
    shape = value.shape
    if wide:
      each = plgpu.load(
        scale, (columns,), layout=layout.reduce(1), optimized=False
      )
      value = value * jax.lax.broadcast_in_dim(each, shape, (0,))
    else:
      value = value * scale[0]
    given = plgpu.load(
      x_scale, (rows,), layout=layout.reduce(0), optimized=False
    )
    value = value * jax.lax.broadcast_in_dim(given, shape, (1,))
    turned = plgpu.layout_cast(
      value.astype(dtype), plgpu.Layout.WGMMA_TRANSPOSED
    )
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    tile.at[group].transpose((1, 0))[...] = turned
    plgpu.commit_smem()
    plgpu.copy_smem_to_gmem(tile.at[group], out.at[rows, columns])

  def step(_, held, given, totals):
    turned = given.transpose((1, 0))
    for block, total in enumerate(totals):
      mine = held.at[:, group * tiles.blocks + block]
      plgpu.wgmma(total, _fragment(mine, planes), turned)
    plgpu.wgmma_wait(0)
    return totals

  plgpu.emit_pipeline_warp_specialized(
    step,
    grid=(steps,),
    memory_registers=40,
    in_specs=[
      plgpu.BlockSpec(
        (planes, own, STEP // FRAGMENT_ROWS, WARPGROUP),
        lambda k: (0, first // own, k, 0),
      ),
      plgpu.BlockSpec(
        (tiles.bm, STEP), lambda k: (row // tiles.bm, k), transforms=swizzled
      ),
    ],
    wg_axis=_GROUP,
    num_compute_wgs=tiles.groups,
    max_concurrent_steps=tiles.stages,
    compute_context=compute,
  )(words, x)
  plgpu.wait_smem_to_gmem(0, wait_read_only=True)


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
    x: [M, I], int8.
    words: [P, N / 64, K / 32, 128], int32, from `relayout.fragments`.
    scale: [] or [1, O], float32.
    x_scale: [M, 1], float32, or None for 1.
    columns: O.
    out_dtype: bfloat16 or float32.
    tiles: None for the defaults.
    interpret: must be False.

  Returns:
    [M, O] in `out_dtype`.

  Raises:
    ValueError: more than four planes, or `interpret` is asked for.
    TypeError: x is not int8.
  """
  if interpret:
    raise ValueError("mosaic_gpu cannot be interpreted: it needs a GPU")
  if x.dtype != jnp.int8:
    raise TypeError(f"x must be int8, got {x.dtype}")
  planes, high, long, _ = words.shape
  if planes > MOST_PLANES:
    raise ValueError(
      f"words must hold at most {MOST_PLANES} planes, got {planes}"
    )
  tiles = tiles or Tiles()
  count = len(x)
  own = tiles.groups * tiles.blocks
  high_fill, long_fill = -high % own, -long % (STEP // FRAGMENT_ROWS)
  words = jnp.pad(words, ((0, 0), (0, high_fill), (0, long_fill), (0, 0)))
  steps = words.shape[2] * FRAGMENT_ROWS // STEP
  n = words.shape[1] * FRAGMENT_COLUMNS
  fill = -count % tiles.bm
  x = jnp.pad(x, ((0, fill), (0, steps * STEP - x.shape[1])))
  if x_scale is None:
    x_scale = jnp.ones((count, 1), jnp.float32)
  x_scale = jnp.pad(x_scale[:, 0], (0, fill))
  wide = scale.ndim > 0
  scale = jnp.pad(scale.reshape(-1), (0, n - columns if wide else 0))
  size = jnp.dtype(out_dtype).itemsize
  swizzle = min(_SWIZZLE, FRAGMENT_COLUMNS * size)
  run = plgpu.kernel(
    functools.partial(_body, tiles, planes, steps, wide, out_dtype),
    out_type=jax.ShapeDtypeStruct((len(x), n), out_dtype),
    grid=(n // (own * FRAGMENT_COLUMNS), len(x) // tiles.bm),
    grid_names=("column", "row"),
    num_threads=tiles.groups + 1,
    thread_name=_GROUP,
    scratch_types=[
      plgpu.SMEM(
        (tiles.groups, tiles.bm, FRAGMENT_COLUMNS),
        out_dtype,
        transforms=(
          plgpu.TilingTransform((8, swizzle // size)),
          plgpu.SwizzleTransform(swizzle),
        ),
      )
    ],
    compiler_params=plgpu.CompilerParams(
      lowering_semantics=plgpu.LoweringSemantics.Lane
    ),
  )
  return run(words, x, scale, x_scale)[:count, :columns]
