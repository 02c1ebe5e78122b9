"""Named matrices and rows of x, for tests and for the benchmark.

The layers of BitNet b1.58 2B4T (arXiv:2504.12285) have qkv fused, and gate and
up alone and fused; the squares are what other kernels are quoted at.
"""

from typing import NamedTuple


class Shape(NamedTuple):
  """A matrix [rows, columns]: K input and N output features."""

  rows: int
  columns: int

  def __str__(self) -> str:
    return f"{self.rows}->{self.columns}"


LAYERS = {
  "o": Shape(2560, 2560),
  "qkv": Shape(2560, 3840),
  "gate": Shape(2560, 6912),
  "gate_up": Shape(2560, 13824),
  "down": Shape(6912, 2560),
}
SQUARES = {"4096": Shape(4096, 4096), "8192": Shape(8192, 8192)}
SHAPES = LAYERS | SQUARES
ROWS = (1, 8, 32, 64, 128, 1024, 8192)  # of x

# Small enough for a CPU, and for interpret mode.
TINY = {"tiny": Shape(256, 128), "tiny wide": Shape(128, 384)}
TINY_ROWS = (1, 8, 32)

# No block of a kernel divides these.
ODD = Shape(132, 80)
