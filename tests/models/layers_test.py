"""Sums with a fixed order, norms, and rotary embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models import layers


@pytest.mark.parametrize("size", [1, 2, 3, 7, 24, 66, 96])
def test_pairwise_sum_is_the_sum(size):
  x = np.random.default_rng(size).normal(size=(5, size)).astype(np.float32)
  expected = x.astype(np.float64).sum(-1, keepdims=True)
  got = jax.jit(layers.pairwise_sum)(x)
  np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_pairwise_sum_does_not_depend_on_the_other_axes():
  x = np.random.default_rng(0).normal(size=(1536, 24)).astype(np.float32)
  add = jax.jit(layers.pairwise_sum)
  for rows in (1, 3, 64):
    np.testing.assert_array_equal(add(x[:rows]), add(x)[:rows])


def test_the_norm_works_in_float32_also_on_bfloat16():
  x = jnp.full((1, 300), 1.0, jnp.bfloat16)
  norm = layers.RMSNorm()
  got = norm.apply(norm.init(jax.random.key(0), x), x)
  assert got.dtype == jnp.bfloat16
  # 300 ones added up in bfloat16 would stick at 256.
  np.testing.assert_array_equal(got, np.ones((1, 300)))


def test_rotated_products_depend_on_the_distance_alone():
  rng = np.random.default_rng(1)
  q, k = rng.normal(size=(2, 1, 1, 1, 8)).astype(np.float32)

  def product(a, b):
    angles = [
      layers.rotary_angles(jnp.array([[p]], jnp.int32), 8, 100.0)
      for p in (a, b)
    ]
    return jnp.sum(layers.rotate(q, *angles[0]) * layers.rotate(k, *angles[1]))

  np.testing.assert_allclose(product(3, 1), product(9, 7), rtol=1e-5)
  assert abs(float(product(3, 1) - product(9, 1))) > 1e-2


def test_kernels_start_at_one_over_root_fan_in():
  kernel = layers.Kernel(400, 300, gain=0.5)
  w = kernel.init(jax.random.key(0))["params"]["kernel"]
  np.testing.assert_allclose(np.std(w), 0.5 / 20, rtol=0.02)
