"""The body of `mosaic_gpu`; apart, for its imports need a JAX with Mosaic GPU.

Shapes as there. A warpgroup loads, the others multiply: they meet at one
barrier for each stage that is full and one for each that is empty again. Both
go through the same tiles, and the one that loads never waits for a tile's end.
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

from pallas_kernels.ternary_matmul.mosaic_gpu import (
  Tiles,
  halves,
  join,
  padded_scales,
  step,
)
from pallas_kernels.ternary_matmul.relayout import (
  FRAGMENT_COLUMNS,
  FRAGMENT_ROWS,
  WARPGROUP,
)

_SWIZZLE = 128  # bytes
_GROUP, _GRID = "group", "multiprocessor"
_MULTIPROCESSORS = 132  # of an H100; with fewer, some take a second share
_FILE = 1 << 16  # registers of a multiprocessor
_LOADER, _MOST_REGISTERS = 40, 240  # of a thread


def _fragment(words: Any, planes: int, dtype: Any) -> jax.Array:
  """[64, step] in `dtype`, the codes, from a reference to [P, blocks, 128]."""
  exact = dtype == jnp.int8
  shape = (FRAGMENT_COLUMNS, step(dtype))
  layout = plgpu.Layout.WGMMA_8BIT if exact else plgpu.Layout.WGMMA

  def unpack(context: Any, held: Any) -> Any:
    del context
    kind = ir.IntegerType.get_signless(8) if exact else ir.BF16Type.get()
    lanes = ir.VectorType.get((4 if exact else 2,), kind)
    found = []
    for part in range(shape[1] // FRAGMENT_ROWS):
      loaded = [
        mgpu.FragmentedArray.load_strided(
          mgpu.memref_slice(held, (plane, part)), is_signed=True, vec_size=1
        )
        for plane in range(planes)
      ]
      for register in range(4 if exact else 8):
        made = join(loaded, register) if exact else halves(loaded[0], register)
        (value,) = made.registers.flat
        found.append(vector.bitcast(lanes, value))
    target = layout.to_mgpu()
    registers = np.array(found, dtype=object)
    return mgpu.FragmentedArray(
      _registers=registers.reshape(target.registers_shape(shape)),
      _layout=target,
      _is_signed=True if exact else None,
    )

  inlined: Any = plgpu.inline_mgpu(
    arg_types=(plgpu.RefType(),),
    return_type=plgpu.ShapeDtypeStruct(shape, dtype, layout=layout),
  )(unpack)
  return inlined(words)


def _registers(groups: int) -> int:
  """Of a thread that multiplies, once the loader has given up most of its own.

  A block has what it was launched with, as many for each thread, in eights:
  whoever asks for more than that leaves waits for ever.
  """
  launched = _FILE // (WARPGROUP * (groups + 1)) // 8 * 8
  each = (launched * (groups + 1) - _LOADER) // groups // 8 * 8
  return min(each, _MOST_REGISTERS)


def _body(tiles, planes, grid, wide, dtype, words, x, scale, x_scale, out):
  """One multiprocessor: its share of the result's tiles, one by one.

  A tile is `groups * blocks * 64` columns of `bm` rows. The last tile of either
  direction begins early enough to end with the result, so some numbers are
  computed twice, and written twice as the same.
  """
  own, long = tiles.groups * tiles.blocks, step(x.dtype)
  steps = x.shape[1] // long
  stages = min(tiles.stages, steps)
  across = pl.cdiv(words.shape[1], own)
  share = pl.cdiv(
    across * pl.cdiv(x.shape[0], tiles.bm) - jax.lax.axis_index(_GRID), grid
  )
  group = jax.lax.axis_index(_GROUP)
  size = jnp.dtype(dtype).itemsize
  swizzle = min(_SWIZZLE, FRAGMENT_COLUMNS * size)

  def place(number):
    index = jax.lax.axis_index(_GRID) + number * grid
    first = jnp.minimum(index % across * own, words.shape[1] - own)
    row = jnp.minimum(index // across * tiles.bm, x.shape[0] - tiles.bm)
    return first, pl.ds(row, tiles.bm)

  @functools.partial(
    pl.run_scoped,
    given=plgpu.SMEM(
      (stages, tiles.bm, long),
      x.dtype,
      transforms=(
        plgpu.TilingTransform((8, long)),
        plgpu.SwizzleTransform(_SWIZZLE),
      ),
    ),
    packed=plgpu.SMEM(
      (stages, planes, own, long // FRAGMENT_ROWS, WARPGROUP), jnp.int32
    ),
    sizes=plgpu.SMEM((2, padded_scales(tiles.bm)), jnp.float32),
    done=plgpu.SMEM(
      (own, tiles.bm, FRAGMENT_COLUMNS),
      dtype,
      transforms=(
        plgpu.TilingTransform((8, swizzle // size)),
        plgpu.SwizzleTransform(swizzle),
      ),
    ),
    full=plgpu.Barrier(num_arrivals=2, num_barriers=stages),
    empty=plgpu.Barrier(num_arrivals=tiles.groups, num_barriers=stages),
    sized=plgpu.Barrier(num_barriers=2),
    collective_axes=_GROUP,
  )
  def _(given, packed, sizes, done, full, empty, sized):
    def load():
      plgpu.set_max_registers(_LOADER, action="decrease")

      def fetch(number, k):
        count = number * steps + k
        slot = count % stages
        first, rows = place(number)

        @pl.when(count >= stages)
        def _():
          plgpu.barrier_wait(empty.at[slot])

        # Whoever freed that stage has left the tile before the last one.
        @pl.when(k == 0)
        def _():
          plgpu.copy_gmem_to_smem(
            x_scale.at[pl.ds(rows.start, sizes.shape[1])],
            sizes.at[number % 2],
            sized.at[number % 2],
          )

        plgpu.copy_gmem_to_smem(
          words.at[
            :,
            pl.ds(first, own),
            pl.ds(k * (long // FRAGMENT_ROWS), long // FRAGMENT_ROWS),
          ],
          packed.at[slot],
          full.at[slot],
        )
        plgpu.copy_gmem_to_smem(
          x.at[rows, pl.ds(k * long, long)], given.at[slot], full.at[slot]
        )

      @pl.loop(0, share)
      def _(number):
        @pl.loop(0, steps)
        def _(k):
          fetch(number, k)

      # A barrier must not be given up while somebody will still arrive at it.
      @pl.loop(0, stages)
      def _(left):
        plgpu.barrier_wait(empty.at[(share * steps + left) % stages])

    def multiply():
      plgpu.set_max_registers(_registers(tiles.groups), action="increase")

      @pl.loop(0, share)
      def _(number):
        first, rows = place(number)
        columns = [
          pl.ds(
            (first + group * tiles.blocks + block) * FRAGMENT_COLUMNS,
            FRAGMENT_COLUMNS,
          )
          for block in range(tiles.blocks)
        ]
        factors = [_of_columns(scale, wide, some) for some in columns]
        gpu: Any = plgpu  # ACC is public, but not marked so for type checkers
        kind = jnp.int32 if x.dtype == jnp.int8 else jnp.float32
        kind = gpu.ACC((FRAGMENT_COLUMNS, tiles.bm), kind)

        @functools.partial(
          pl.run_scoped, **{f"total_{b}": kind for b in range(tiles.blocks)}
        )
        def _(**totals):
          @pl.loop(0, steps)
          def _(k):
            count = number * steps + k
            slot = count % stages
            plgpu.barrier_wait(full.at[slot])
            turned = given.at[slot].transpose((1, 0))
            for block, total in enumerate(totals.values()):
              mine = packed.at[slot, :, group * tiles.blocks + block]
              plgpu.wgmma(total, _fragment(mine, planes, x.dtype), turned)
              # Its product goes on while the next fragment is unpacked, which
              # must be another one: it reads its registers until it is done.
              plgpu.wgmma_wait(min(tiles.blocks - 1, 1))
              if block == 0:

                @pl.when(k > 0)
                def _():
                  plgpu.barrier_arrive(empty.at[(count - 1) % stages])

          plgpu.wgmma_wait(0)
          last = ((number + 1) * steps - 1) % stages
          plgpu.barrier_arrive(empty.at[last])
          plgpu.barrier_wait(sized.at[number % 2])
          plgpu.wait_smem_to_gmem(0, wait_read_only=True)
          for block, total in enumerate(totals.values()):
            value = _scaled(total[...], planes, x.dtype)
            factor = factors[block]
            if wide:
              factor = jax.lax.broadcast_in_dim(factor, value.shape, (0,))
            value = value * factor
            every = plgpu.load(
              sizes,
              (number % 2, pl.ds(0, tiles.bm)),
              layout=plgpu.Layout.WGMMA.reduce(0),
              optimized=False,
            )
            value = value * jax.lax.broadcast_in_dim(every, value.shape, (1,))
            turned = plgpu.layout_cast(
              value.astype(dtype), plgpu.Layout.WGMMA_TRANSPOSED
            )
            mine = done.at[group * tiles.blocks + block]
            mine.transpose((1, 0))[...] = turned
          plgpu.commit_smem()
          for block in range(tiles.blocks):
            plgpu.copy_smem_to_gmem(
              done.at[group * tiles.blocks + block],
              out.at[rows, columns[block]],
            )

      plgpu.wait_smem_to_gmem(0, wait_read_only=True)

    jax.lax.cond(group == tiles.groups, load, multiply)


def _of_columns(scale, wide, columns):
  """The scale of an accumulator's rows: a number, or [64]."""
  if not wide:
    return scale[0]
  return plgpu.load(
    scale, (columns,), layout=plgpu.Layout.WGMMA.reduce(1), optimized=False
  )


def _scaled(value, planes, dtype):
  """float32 products of the codes from the sums of one block."""
  if dtype != jnp.int8:
    return value * 0.5
  return (value >> 6 if planes == 1 else value).astype(jnp.float32)


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
    words: [P, N / 64, K / 32, 128], int32, at least as many columns as a tile.
    x: [M, K], int8 or bfloat16; 8 divides M, which is at least `bm`, and a step
      divides K.
    scale: [1] or [N], float32.
    x_scale: [M], float32.
    tiles: how it is cut.
    dtype: of the result, [M, N].
  """
  planes, high, _, _ = words.shape
  own = tiles.groups * tiles.blocks
  grid = min(pl.cdiv(high, own) * pl.cdiv(len(x), tiles.bm), _MULTIPROCESSORS)
  wide = scale.shape[0] > 1
  launch = plgpu.kernel(
    functools.partial(_body, tiles, planes, grid, wide, dtype),
    out_type=jax.ShapeDtypeStruct((len(x), high * FRAGMENT_COLUMNS), dtype),
    grid=(grid,),
    grid_names=(_GRID,),
    num_threads=tiles.groups + 1,
    thread_name=_GROUP,
    compiler_params=plgpu.CompilerParams(
      lowering_semantics=plgpu.LoweringSemantics.Lane
    ),
  )
  return launch(words, x, scale, x_scale)
