"""What every ternary kernel promises. A new kernel adds a row to KERNELS."""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from pallas_kernels.ternary_matmul import (
  api,
  base,
  layout,
  mosaic_tpu,
  triton_dot,
  triton_gemv,
)
from pallas_kernels.ternary_matmul.shapes import ODD, TINY


class Kernel(NamedTuple):
  """One row: an implementation with tiles that give several blocks an axis.

  Attributes:
    name: in `api.IMPLEMENTATIONS`.
    tiles: as measured nowhere; small.
    interpret: how it runs on a CPU.
    multiple: of columns that it needs.
  """

  name: str
  tiles: Any
  interpret: Any
  multiple: int = 1

  def __str__(self) -> str:
    if self.tiles is None:
      return self.name
    return f"{self.name}-{'-'.join(map(str, self.tiles))}"


class Case(NamedTuple):
  """One row: x [count, rows] times a weight [rows, columns]."""

  rows: int
  columns: int
  count: int
  planes: int
  x: str
  per_column: bool = False

  def __str__(self) -> str:
    kind = "column" if self.per_column else "tensor"
    return (
      f"{self.count}x{self.rows}x{self.columns}-P{self.planes}-{self.x}-{kind}"
    )


# NaN fill, the default, shows what a kernel forgot to write or to clear.
TPU = pltpu.InterpretParams()
KERNELS = [
  Kernel("base", None, False),
  Kernel("triton_gemv", triton_gemv.Tiles(4, 16, 1), True),
  Kernel("triton_dot", triton_dot.Tiles(32, 16, 32, 2, 2), True, 16),
  Kernel("triton_dot", triton_dot.Tiles(16, 16, 64, 2, 2, 2), True, 16),
  Kernel("mosaic_tpu", mosaic_tpu.Tiles(8, 128, 128), TPU),
]
CASES = [
  Case(*TINY["tiny"], 1, 1, "int8"),
  Case(*TINY["tiny"], 2, 2, "int8", True),
  Case(*TINY["tiny wide"], 20, 3, "int8"),
  Case(*ODD, 1, 4, "int8"),
  Case(*ODD, 2, 5, "int8", True),
  Case(*TINY["tiny"], 1, 1, "bfloat16"),
  Case(*TINY["tiny wide"], 20, 2, "bfloat16", True),
  Case(*ODD, 7, 5, "bfloat16"),
]


@functools.cache
def draw(case: Case):
  """x, canonical bytes, codes as int64, scale and x_scale."""
  rng = np.random.default_rng(case.count)
  shape = (case.planes, case.rows, case.columns)
  trits = rng.integers(-1, 2, shape, dtype=np.int8)
  powers = 3 ** np.arange(case.planes - 1, -1, -1)
  codes = np.tensordot(powers, trits.astype(np.int64), 1)
  x = rng.integers(-128, 128, (case.count, case.rows)).astype(np.int8)
  if case.x == "bfloat16":
    x = jnp.asarray(rng.normal(size=x.shape), jnp.bfloat16)
  wide = (1, case.columns) if case.per_column else ()
  scale = rng.uniform(0.1, 2, wide).astype(np.float32)
  x_scale = rng.uniform(0.1, 2, (case.count, 1)).astype(np.float32)
  packed = layout.pack(jnp.asarray(trits))
  return jnp.asarray(x), packed, codes, jnp.asarray(scale), jnp.asarray(x_scale)


def pairs():
  for kernel in KERNELS:
    chosen = api.IMPLEMENTATIONS[kernel.name]
    for case in CASES:
      fits = case.x in chosen.dtypes
      fits &= case.count <= (chosen.most_rows or case.count)
      if fits and case.columns % kernel.multiple == 0:
        again = getattr(kernel.tiles, "split", 1) > 1 and case.planes != 2
        marks = [pytest.mark.slow] if again else []
        yield pytest.param(kernel, case, id=f"{kernel}-{case}", marks=marks)


def run(kernel: Kernel, case: Case, **options):
  x, packed, _, scale, x_scale = draw(case)
  weight = api.prepare(packed, scale, case.rows, implementation=kernel.name)
  return api.ternary_matmul(
    x,
    weight,
    x_scale=x_scale,
    implementation=kernel.name,
    tiles=kernel.tiles,
    interpret=kernel.interpret,
    **options,
  )


def test_every_implementation_has_a_row():
  """But two that no interpreter runs: tests/kernels/mosaic_gpu_test.py."""
  can = {n for n, one in api.IMPLEMENTATIONS.items() if one.interpretable}
  assert {kernel.name for kernel in KERNELS} == can
  assert set(api.IMPLEMENTATIONS) - can == {"mosaic_gpu", "mosaic_gpu_bfloat16"}


@pytest.mark.parametrize(("kernel", "case"), list(pairs()))
def test_a_kernel_computes_what_base_does(kernel, case):
  x, packed, codes, scale, x_scale = draw(case)
  got = run(kernel, case)
  assert got.dtype == jnp.float32
  truth = base.ternary_matmul(x, packed, scale, x_scale=x_scale)
  if case.x == "int8":
    np.testing.assert_array_equal(got, truth)
    exact = (np.asarray(x, np.int64) @ codes).astype(np.float32)
    exact = exact * np.asarray(scale) * np.asarray(x_scale)
    np.testing.assert_array_equal(got, exact)
    return
  # float32 sums in another order: a few of its steps of the largest sum.
  size = np.abs(np.asarray(x, np.float64)) @ np.abs(codes)
  size = size * np.asarray(scale) * np.asarray(x_scale)
  np.testing.assert_array_less(np.abs(got - truth), 1e-6 * size + 1e-7)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_bfloat16_results_are_rounded_once(kernel):
  case = CASES[0]
  got = run(kernel, case, out_dtype=jnp.bfloat16)
  assert got.dtype == jnp.bfloat16
  np.testing.assert_array_equal(got, run(kernel, case).astype(jnp.bfloat16))


def test_leading_axes_are_kept():
  case = CASES[1]
  x, packed, _, scale, _ = draw(case)
  weight = api.prepare(packed, scale, case.rows, implementation="base")
  flat = api.ternary_matmul(x, weight, implementation="base")
  cube = api.ternary_matmul(x[:, None], weight, implementation="base")
  np.testing.assert_array_equal(cube, flat[:, None])


@pytest.mark.parametrize(
  ("kernel", "tiles", "count"),
  [
    (triton_gemv.forward, triton_gemv.Tiles(4, 16, 1), 2),
    (triton_dot.forward, triton_dot.Tiles(16, 16, 32, 2, 2), 20),
  ],
)
def test_a_gpu_kernel_writes_over_all_of_the_poison(kernel, tiles, count):
  case = Case(*TINY["tiny"], count, 1, "int8")
  x, packed, _, scale, x_scale = draw(case)
  words = api.LAYOUTS["signed_words"](packed, case.rows)
  poison = jnp.full((count, case.columns), jnp.nan, jnp.float32)
  got = kernel(
    x, words, scale, x_scale, tiles=tiles, into=poison, interpret=True
  )
  truth = base.ternary_matmul(x, packed, scale, x_scale=x_scale)
  np.testing.assert_array_equal(got, truth)


@pytest.mark.parametrize("case", [CASES[0], CASES[4]], ids=str)
def test_the_tpu_input_gradient_is_g_times_the_transposed_weight(case):
  _, packed, codes, scale, _ = draw(case)
  words = api.LAYOUTS["int2_words"](packed, case.rows)
  rng = np.random.default_rng(1)
  g = rng.normal(size=(case.count, case.columns))
  g = jnp.asarray(g, jnp.bfloat16)
  got = mosaic_tpu.input_gradient(
    g,
    words,
    scale,
    rows=case.rows,
    tiles=mosaic_tpu.Tiles(8, 128, 128),
    interpret=TPU,
  )
  weight = codes * np.asarray(scale, np.float64)
  given = np.asarray(g, np.float64)
  size = np.abs(given) @ np.abs(weight.T)
  # A scale of each column is multiplied into g, which is rounded again.
  step = 2**-8 if case.per_column else 1e-6
  np.testing.assert_array_less(
    np.abs(got - given @ weight.T), step * size + 1e-6
  )
