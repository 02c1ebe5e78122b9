"""Norm and rounding in one kernel, against the model's own two steps."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from bitzero_jax.models.layers import RMSNorm
from bitzero_jax.quant import activations
from pallas_kernels.decode_attention import Partial
from pallas_kernels.ternary_matmul import norm_quantize


def draw(dtype, count=5, size=130):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(count, size)) * 3, dtype)
  return x, jnp.asarray(rng.uniform(0.5, 2, size), jnp.float32)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
  "kernel",
  [
    norm_quantize.base,
    lambda *args: norm_quantize.triton(*args, interpret=True),
    lambda *args: norm_quantize.mosaic_tpu(
      *args, interpret=pltpu.InterpretParams()
    ),
  ],
  ids=["base", "triton", "mosaic_tpu"],
)
def test_codes_are_the_models_but_for_ties(kernel, dtype):
  x, gain = draw(dtype)
  normed = RMSNorm(1e-5).apply({"params": {"scale": gain}}, x)
  wanted, step = activations.quantize(normed)
  codes, scale = kernel(x, gain)
  assert codes.dtype == jnp.int8 and codes.shape == x.shape
  assert scale.dtype == jnp.float32 and scale.shape == (5, 1)
  # A last bit of the mean square may turn a rounding over; and XLA may leave
  # out that of the norm to bfloat16, in one program and not in another.
  off = np.abs(np.asarray(codes, int) - np.asarray(wanted, int))
  assert off.max() <= 1
  assert np.mean(off != 0) < (0.1 if dtype == jnp.bfloat16 else 0.01)
  loose = 2**-8 if dtype == jnp.bfloat16 else 1e-6
  np.testing.assert_allclose(scale, step, rtol=loose)
  assert np.abs(np.asarray(codes, int)).max(axis=1).tolist() == [127] * 5


def test_a_row_of_zeros_stays_zero():
  x = jnp.zeros((2, 64))
  codes, scale = norm_quantize.base(x, jnp.ones(64))
  np.testing.assert_array_equal(codes, 0)
  assert np.isfinite(scale).all() and (np.asarray(scale) > 0).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_parts_of_attention_are_merged_in_front_of_the_norm(dtype):
  rng = np.random.default_rng(0)
  read = jnp.asarray(rng.normal(size=(5, 3, 5, 16)), jnp.float32)
  level = jnp.asarray(rng.normal(size=(5, 3, 5)) * 4, jnp.float32)
  gain = jnp.asarray(rng.uniform(0.5, 2, 80), jnp.float32)
  whole = Partial(read, level).merged(dtype).reshape(5, 80)
  wanted, step = norm_quantize.base(whole, gain)
  codes, scale = norm_quantize.merging(
    read, level, gain, dtype=dtype, interpret=True
  )
  off = np.abs(np.asarray(codes, int) - np.asarray(wanted, int))
  assert off.max() <= 1
  assert np.mean(off != 0) < (0.1 if dtype == jnp.bfloat16 else 0.01)
  loose = 2**-7 if dtype == jnp.bfloat16 else 1e-6
  np.testing.assert_allclose(scale, step, rtol=loose)
