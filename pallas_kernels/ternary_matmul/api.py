"""The ternary product, by whichever kernel was measured to be best.

`ternary_matmul` looks into the checked-in table (`measured`). Where nobody has
measured a kernel it runs none: it takes `base`, plain XLA, and warns, once for
each case. A kernel asked for by name runs, measured or not. What ran is logged
once for each case, under the logger "bitzero.kernels".

Shapes: ... = leading axes of x, M rows in all, I = input features, O = output
features, P = digit planes, R = ceil(I / 4) canonical bytes a column.
"""

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pallas_kernels.ternary_matmul import (
  base,
  measured,
  mosaic_gpu,
  mosaic_tpu,
  relayout,
  triton_dot,
  triton_gemv,
)

AUTO = "auto"
CANONICAL = "canonical"
_LOG = logging.getLogger("bitzero.kernels")


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=("held", "scale"),
  meta_fields=("rows", "columns", "implementation"),
)
@dataclasses.dataclass(frozen=True)
class Weight:
  """A packed matrix, ready to be multiplied with.

  Attributes:
    held: by the name of a layout, the planes in it.
    scale: [] or [1, O], float32. Size of one step.
    rows: I, static.
    columns: O, static.
    implementation: that it was prepared for, static.
  """

  held: dict[str, jax.Array]
  scale: jax.Array
  rows: int
  columns: int
  implementation: str = AUTO

  @property
  def planes(self) -> int:
    """P."""
    return next(iter(self.held.values())).shape[0]


class Implementation(NamedTuple):
  """One way to multiply.

  Attributes:
    layout: the name of what it reads, in `LAYOUTS`.
    run: (x [M, I], planes, Weight, x_scale, out_dtype, residual, tiles,
      interpret) -> [M, O].
    tiles: the class of its tiles, None where it has none.
    dtypes: of x.
    platform: where it runs compiled, None for anywhere.
    most_rows: of x, None for any.
    most_planes: of the weight.
    interpretable: whether it runs on a CPU, slowly, for tests.
  """

  layout: str
  run: Callable[..., jax.Array]
  tiles: Any
  dtypes: tuple[str, ...]
  platform: str | None
  most_rows: int | None = None
  most_planes: int = 5
  interpretable: bool = True


LAYOUTS: dict[str, Callable[[jax.Array, int], jax.Array]] = {
  CANONICAL: lambda packed, rows: packed,
  "signed_words": lambda packed, rows: relayout.signed_words(packed),
  "int2_words": relayout.int2_words,
  "fragments": relayout.fragments,
  "half_fragments": functools.partial(relayout.fragments, each=2),
}


def _base(x, planes, weight, x_scale, out_dtype, residual, tiles, interpret):
  del tiles, interpret
  out = base.ternary_matmul(
    x, planes, weight.scale, x_scale=x_scale, out_dtype=out_dtype
  )
  return out if residual is None else out + residual


def _triton(kernel):
  def run(x, planes, weight, x_scale, out_dtype, residual, tiles, interpret):
    return kernel(
      x,
      planes,
      weight.scale,
      x_scale,
      out_dtype=out_dtype,
      residual=residual,
      tiles=tiles,
      interpret=interpret,
    )

  return run


def _mosaic(kernel):
  def run(x, planes, weight, x_scale, out_dtype, residual, tiles, interpret):
    out = kernel(
      x,
      planes,
      weight.scale,
      x_scale,
      columns=weight.columns,
      out_dtype=out_dtype,
      tiles=tiles,
      interpret=interpret,
    )
    return out if residual is None else out + residual

  return run


_BOTH = ("int8", "bfloat16")
IMPLEMENTATIONS: dict[str, Implementation] = {
  "base": Implementation(CANONICAL, _base, None, (*_BOTH, "float32"), None),
  "triton_gemv": Implementation(
    "signed_words",
    _triton(triton_gemv.forward),
    triton_gemv.Tiles,
    ("int8",),
    "gpu",
    triton_gemv.MOST_ROWS,
  ),
  "triton_dot": Implementation(
    "signed_words", _triton(triton_dot.forward), triton_dot.Tiles, _BOTH, "gpu"
  ),
  "mosaic_gpu": Implementation(
    "fragments",
    _mosaic(mosaic_gpu.forward),
    mosaic_gpu.Tiles,
    ("int8",),
    "gpu",
    interpretable=False,
    most_planes=mosaic_gpu.MOST_PLANES,
  ),
  "mosaic_gpu_bfloat16": Implementation(
    "half_fragments",
    _mosaic(mosaic_gpu.forward),
    mosaic_gpu.Tiles,
    ("bfloat16",),
    "gpu",
    interpretable=False,
    most_planes=1,
  ),
  "mosaic_tpu": Implementation(
    "int2_words", _mosaic(mosaic_tpu.forward), mosaic_tpu.Tiles, _BOTH, "tpu"
  ),
}


def prepare(
  packed: jax.Array,
  scale: jax.Array,
  rows: int,
  *,
  implementation: str = AUTO,
  most: int | None = None,
  dtype: str | None = None,
  rows_table: Sequence[measured.Row] | None = None,
  device: str | None = None,
) -> Weight:
  """Lays canonical bytes out for the kernels that will read them.

  Args:
    packed: [P, O, R], uint8, from `layout.pack`.
    scale: [] or [1, O], float32.
    rows: I, static.
    implementation: a name in `IMPLEMENTATIONS`, or "auto" for every layout that
      the table asks for at this shape.
    most: rows of x that will come at once, so that layouts for more can be left
      out; None for any.
    dtype: of x, by name, so that layouts for others can be left out; None for
      any.
    rows_table: the table, None for the one that ships.
    device: kind of device, None for that of the first one.

  Raises:
    ValueError: the implementation is unknown.
  """
  columns, planes = packed.shape[1], packed.shape[0]
  if implementation != AUTO:
    chosen = {named(implementation).layout}
  else:
    table = measured.table() if rows_table is None else rows_table
    kind = device or jax.devices()[0].device_kind
    key = (kind, rows, columns, planes)
    chosen = {
      IMPLEMENTATIONS[row.implementation].layout
      for row in table
      if (row.device, row.rows, row.columns, row.planes) == key
      and (most is None or row.least <= most)
      and dtype in (None, row.x)
    } or {CANONICAL}
  held = {name: LAYOUTS[name](packed, rows) for name in sorted(chosen)}
  return Weight(held, scale, rows, columns, implementation)


def canonical(weight: Weight) -> jax.Array:
  """The canonical bytes of a weight, uint8 [P, O, R], however it is held."""
  if CANONICAL in weight.held:
    return weight.held[CANONICAL]
  name, held = next(iter(weight.held.items()))
  if name == "signed_words":
    return relayout.from_signed_words(held, weight.rows)
  back = {
    "int2_words": relayout.from_int2_words,
    "fragments": relayout.from_fragments,
    "half_fragments": functools.partial(relayout.from_fragments, each=2),
  }[name]
  return back(held, weight.rows, weight.columns)


def named(implementation: str) -> Implementation:
  """The implementation of that name.

  Raises:
    ValueError: there is none; the message lists all.
  """
  if implementation not in IMPLEMENTATIONS:
    allowed = ", ".join((AUTO, *IMPLEMENTATIONS))
    raise ValueError(f"kernel {implementation!r} must be one of {allowed}")
  return IMPLEMENTATIONS[implementation]


def choose(
  weight: Weight,
  count: int,
  dtype: str,
  *,
  rows_table: Sequence[measured.Row] | None = None,
  device: str | None = None,
) -> tuple[str, Any] | None:
  """Name and tiles for `count` rows of x of this dtype.

  Args:
    weight: from `prepare`.
    count: M.
    dtype: of x, by name.
    rows_table: the table, None for the one that ships.
    device: kind of device, None for that of the first one.

  Returns:
    None where nobody has measured.
  """
  table = tuple(measured.table() if rows_table is None else rows_table)
  kind = device or jax.devices()[0].device_kind
  shape = (weight.rows, weight.columns)
  row = measured.find(
    table, device=kind, shape=shape, planes=weight.planes, x=dtype, count=count
  )
  if row is None:
    return None
  tiles = IMPLEMENTATIONS[row.implementation].tiles
  return row.implementation, tiles and tiles(**row.tiles)


@functools.cache
def _say(implementation: str, case: str, kind: str) -> None:
  _LOG.info("ternary_matmul %s: %s on %s", case, implementation, kind)


@functools.cache
def _warn(case: str | None, kind: str) -> None:
  """Of a device without any row once, of one with rows once a case."""
  what = "kernel" if case is None else f"kernel for {case}"
  _LOG.warning("no %s was measured on %s: base, plain XLA, runs", what, kind)


def ternary_matmul(
  x: jax.Array,
  weight: Weight,
  *,
  x_scale: jax.Array | None = None,
  out_dtype: jax.typing.DTypeLike = jnp.float32,
  residual: jax.Array | None = None,
  implementation: str | None = None,
  tiles: Any = None,
  interpret: Any = False,
) -> jax.Array:
  """Multiplies x by a packed ternary weight.

  Args:
    x: [..., I], int8 (quantized activations), bfloat16 or float32.
    weight: from `prepare`, in a layout of the implementation; "base" reads any.
    x_scale: [..., 1], float32, or None for 1. Size of one step of x.
    out_dtype: dtype of the result.
    residual: [..., O] in `out_dtype`, added to the rounded product by whoever
      can in the same kernel; None for none.
    implementation: a name in `IMPLEMENTATIONS`, or "auto"; None for the one
      that the weight was prepared for.
    tiles: of that implementation, None for the table's, or its defaults.
    interpret: run the kernel on a CPU; for tests.

  Returns:
    [..., O] in `out_dtype`: `(x @ codes) * scale * x_scale`, scaled in float32
    and rounded once. For int8 x the same bits whichever implementation runs.

  Raises:
    ValueError: shapes do not fit, or the implementation does not take this
      case.
  """
  if x.ndim < 1 or x.shape[-1] != weight.rows:
    raise ValueError(f"x must be [..., {weight.rows}], got shape {x.shape}")
  implementation = implementation or weight.implementation
  *lead, _ = x.shape
  count, dtype = math.prod(lead), x.dtype.name
  kind = jax.devices()[0].device_kind
  case = f"{count}x{weight.rows}->{weight.columns} {dtype} P={weight.planes}"
  if implementation == AUTO:
    found = choose(weight, count, dtype)
    if found is None:
      known = any(row.device == kind for row in measured.table())
      _warn(case if known else None, kind)
    implementation, tiles = found or ("base", None)
  chosen = named(implementation)
  if dtype not in chosen.dtypes:
    allowed = ", ".join(chosen.dtypes)
    raise ValueError(f"{implementation}: x must be {allowed}, got {dtype}")
  if chosen.most_rows is not None and count > chosen.most_rows:
    raise ValueError(
      f"{implementation} takes at most {chosen.most_rows} rows, got {count}"
    )
  if weight.planes > chosen.most_planes:
    raise ValueError(
      f"{implementation} takes at most {chosen.most_planes} planes, got "
      f"{weight.planes}"
    )
  if chosen.layout not in (CANONICAL, *weight.held):
    raise ValueError(
      f"{implementation} reads {chosen.layout}, but the weight is held as "
      f"{', '.join(weight.held)}"
    )
  _say(implementation, case, kind)
  if chosen.layout == CANONICAL:  # can be had from any other
    held = canonical(weight)
  else:
    held = weight.held[chosen.layout]
  out = chosen.run(
    x.reshape(count, weight.rows),
    held,
    weight,
    None if x_scale is None else x_scale.reshape(count, 1),
    out_dtype,
    None if residual is None else residual.reshape(count, weight.columns),
    tiles,
    interpret,
  )
  return out.reshape(*lead, weight.columns)
