"""The body of `mosaic_gpu`; apart, for its imports need a JAX with Mosaic GPU.

Shapes as there.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.mosaic import gpu as mgpu
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import vector

from pallas_kernels.ternary_matmul.mosaic_gpu import STEP, Tiles, join
from pallas_kernels.ternary_matmul.relayout import (
  FRAGMENT_COLUMNS,
  FRAGMENT_ROWS,
  WARPGROUP,
)

_SWIZZLE = 128  # bytes
_GROUP, _GRID = "group", "multiprocessor"
_MULTIPROCESSORS = 132  # of an H100; with fewer, some take a second share


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


def _body(tiles, planes, steps, wide, dtype, words, x, scale, x_scale, out):
  """One multiprocessor: its share of the result's tiles, one by one.

  A tile is `groups * blocks * 64` columns of `bm` rows. While one is finished,
  the loads of the next are on their way.
  """
  own = tiles.groups * tiles.blocks
  group = jax.lax.axis_index(_GROUP)
  swizzled = (
    plgpu.TilingTransform((8, STEP)),
    plgpu.SwizzleTransform(_SWIZZLE),
  )
  size = jnp.dtype(dtype).itemsize
  swizzle = min(_SWIZZLE, FRAGMENT_COLUMNS * size)

  def pipeline(step, compute):
    return plgpu.emit_pipeline_warp_specialized(
      step,
      grid=(steps,),
      memory_registers=40,
      in_specs=[
        plgpu.BlockSpec(
          (planes, own, STEP // FRAGMENT_ROWS, WARPGROUP),
          lambda k: (0, 0, k, 0),
        ),
        plgpu.BlockSpec(
          (tiles.bm, STEP), lambda k: (0, k), transforms=swizzled
        ),
      ],
      wg_axis=_GROUP,
      num_compute_wgs=tiles.groups,
      max_concurrent_steps=tiles.stages,
      compute_context=compute,
    )

  def nothing(*_):
    pass

  @functools.partial(
    pl.run_scoped,
    held=pipeline(nothing, nothing).get_allocations(words, x),
    tile=plgpu.SMEM(
      (tiles.groups, tiles.bm, FRAGMENT_COLUMNS),
      dtype,
      transforms=(
        plgpu.TilingTransform((8, swizzle // size)),
        plgpu.SwizzleTransform(swizzle),
      ),
    ),
    collective_axes=_GROUP,
  )
  def _(held, tile):
    across, down = words.shape[1] // own, x.shape[0] // tiles.bm

    @plgpu.nd_loop((down * across,), collective_axes=_GRID)
    def _(place):
      (index,) = place.index
      first, row = index % across * own, index // across * tiles.bm
      rows = pl.ds(row, tiles.bm)

      def compute(run_pipeline):
        gpu: Any = plgpu  # ACC is public, but not marked so for type checkers
        kind = gpu.ACC((FRAGMENT_COLUMNS, tiles.bm), jnp.int32)

        @functools.partial(
          pl.run_scoped, **{f"total_{b}": kind for b in range(tiles.blocks)}
        )
        def _(**totals):
          run_pipeline(tuple(totals.values()))
          for block, total in enumerate(totals.values()):
            finish(block, total)

      def finish(block, total):
        column = (first + group * tiles.blocks + block) * FRAGMENT_COLUMNS
        columns = pl.ds(column, FRAGMENT_COLUMNS)
        value = _scaled(total[...], planes, wide, scale, columns, x_scale, rows)
        turned = plgpu.layout_cast(
          value.astype(dtype), plgpu.Layout.WGMMA_TRANSPOSED
        )
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        tile.at[group].transpose((1, 0))[...] = turned
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(tile.at[group], out.at[rows, columns])

      def step(_, packed, given, totals):
        turned = given.transpose((1, 0))
        for block, total in enumerate(totals):
          mine = packed.at[:, group * tiles.blocks + block]
          plgpu.wgmma(total, _fragment(mine, planes), turned)
        plgpu.wgmma_wait(0)
        return totals

      pipeline(step, compute)(
        words.at[:, pl.ds(first, own)], x.at[rows], allocations=held
      )

  plgpu.wait_smem_to_gmem(0, wait_read_only=True)


def _scaled(value, planes, wide, scale, columns, x_scale, rows):
  """float32 [columns, rows] from the sum of one block."""
  layout = plgpu.Layout.WGMMA
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
  given = plgpu.load(x_scale, (rows,), layout=layout.reduce(0), optimized=False)
  return value * jax.lax.broadcast_in_dim(given, shape, (1,))


def run(
  words: jax.Array,
  x: jax.Array,
  scale: jax.Array,
  x_scale: jax.Array,
  tiles: Tiles,
  dtype: Any,
) -> jax.Array:
  """Launches the kernel on operands of whole blocks.

  Args:
    words: [P, N / 64, K / 32, 128], int32.
    x: [M, K], int8.
    scale: [1] or [N], float32.
    x_scale: [M], float32.
    tiles: that divide them.
    dtype: of the result, [M, N].
  """
  planes, high, long, _ = words.shape
  n, own = high * FRAGMENT_COLUMNS, tiles.groups * tiles.blocks
  steps = long * FRAGMENT_ROWS // STEP
  wide = scale.shape[0] > 1
  tile_count = high // own * (len(x) // tiles.bm)
  launch = plgpu.kernel(
    functools.partial(_body, tiles, planes, steps, wide, dtype),
    out_type=jax.ShapeDtypeStruct((len(x), n), dtype),
    grid=(min(tile_count, _MULTIPROCESSORS),),
    grid_names=(_GRID,),
    num_threads=tiles.groups + 1,
    thread_name=_GROUP,
    compiler_params=plgpu.CompilerParams(
      lowering_semantics=plgpu.LoweringSemantics.Lane
    ),
  )
  return launch(words, x, scale, x_scale)
