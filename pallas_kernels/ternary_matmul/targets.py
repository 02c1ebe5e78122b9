"""What the kernels must reach on one H100, and tiles that are worth trying.

Ratios are to `xla bf16` (cuBLAS) in the same harness. They were set from a
feasibility study on an H100 80GB HBM3 with kernels that are not these.
"""

from collections.abc import Iterator
from typing import Any

from pallas_kernels.ternary_matmul import (
  mosaic_gpu,
  mosaic_tpu,
  triton_dot,
  triton_gemv,
)

DEVICE = "H100"  # in the name of a device that they hold for
COLUMNS = (
  "2560->2560",
  "2560->3840",
  "2560->6912",
  "6912->2560",
  "4096->4096",
  "8192->8192",
)
_INT8 = {
  1: (2.7, 3.0, 4.0, 3.9, 4.0, 6.0),
  8: (1.8, 2.1, 2.7, 2.2, 2.5, 4.1),
  32: (1.3, 1.6, 2.5, 1.5, 1.8, 3.2),
  128: (1.0, 1.1, 1.8, 1.0, 1.2, 1.8),
  1024: (1.25, 1.45, 1.5, 1.3, 1.7, 1.9),
  8192: (1.65, 1.8, 1.8, 1.9, 2.0, 2.0),
}
_BFLOAT16 = {1024: 0.9, 8192: 1.0}
XLA_INT8 = 0.95  # of XLA's int8 product, from 1024 rows on: else dispatch to it
TWO_PLANES = 1.7  # most time of two planes over that of one, at one row

# Rows of x that a measured number of rows stands for.
BUCKETS = {
  1: (1, 2),
  8: (3, 16),
  32: (17, 32),
  64: (33, 64),
  128: (65, 512),
  1024: (513, 2048),
  8192: (2049, 1 << 20),
}


def must(shape: str, count: int, planes: int, x: str) -> float | None:
  """Least speed over bfloat16 of a case, None where nothing was set."""
  if planes != 1 or shape not in COLUMNS:
    return None
  if x == "bfloat16":
    return _BFLOAT16.get(count)
  row = _INT8.get(count)
  return row[COLUMNS.index(shape)] if row else None


def candidates(name: str, count: int, x: str) -> Iterator[Any]:
  """Tiles of a kernel for so many rows of x; the first ones are the guess."""
  if name == "triton_gemv":
    few = ((2, 1), (8, 8), (4, 1), (16, 16), (16, 8), (1, 1), (4, 2))
    for bn, warps in few:
      for chunk in (128, 256, 512):
        yield triton_gemv.Tiles(bn, chunk, warps)
  elif name == "triton_dot":
    yield from _dot_candidates(count, x)
  elif name.startswith("mosaic_gpu"):
    yield from _mosaic_candidates(count)
  elif name == "mosaic_tpu":
    for bk in (2048, 1024, 512):
      for bn in (256, 512, 128):
        yield mosaic_tpu.Tiles(min(count, 128), bk, bn)
  else:
    yield None


def _mosaic_candidates(count: int) -> Iterator[mosaic_gpu.Tiles]:
  """Few: each takes seconds to compile."""
  if count <= 16:
    found = ((1, 1, 16, 6),)
  elif count <= 32:
    found = ((1, 1, 32, 6),)
  elif count <= 64:
    found = ((2, 1, 64, 8), (1, 1, 64, 8))
  elif count <= 512:
    found = ((1, 1, 64, 6), (1, 1, 128, 5), (2, 1, 64, 6))
  elif count <= 2048:
    found = ((2, 2, 128, 6), (2, 2, 80, 8), (3, 2, 80, 6), (3, 1, 96, 8))
    found += ((2, 1, 256, 4),)
  else:
    found = ((2, 2, 128, 6), (2, 2, 144, 5), (3, 2, 80, 6), (3, 1, 176, 5))
  for tiles in found:
    yield mosaic_gpu.Tiles(*tiles)


def _dot_candidates(count: int, x: str) -> Iterator[triton_dot.Tiles]:
  tiles = triton_dot.Tiles
  if count <= 16:
    for bn, warps, stages in ((16, 1, 5), (32, 2, 5), (16, 1, 8), (32, 2, 8)):
      for split in (1, 2, 4):
        yield tiles(bn, 16, 64, warps, stages, split)
  elif count <= 32:
    for bn, bm, warps, stages in (
      (64, 32, 4, 4),
      (32, 32, 2, 4),
      (64, 16, 2, 5),
    ):
      for split in (1, 2, 4):
        yield tiles(bn, bm, 64, warps, stages, split)
  elif count <= 64:
    few = ((64, 32, 4, 4), (64, 64, 4, 3), (32, 32, 2, 4), (128, 64, 4, 3))
    for bn, bm, warps, stages in few:
      for split in (1, 2, 3):
        yield tiles(bn, bm, 64, warps, stages, split)
  elif count <= 512:
    for bn, bm, stages in ((64, 64, 3), (128, 64, 3), (64, 64, 4)):
      for split in (1, 2, 3):
        yield tiles(bn, bm, 64, 4, stages, split)
  else:
    wide = ((128, 128, 64, 8, 3), (128, 128, 32, 4, 3), (128, 64, 32, 4, 3))
    for choice in wide if x == "int8" else wide[::-1]:
      yield tiles(*choice)
