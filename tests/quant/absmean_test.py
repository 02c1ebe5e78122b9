"""Absmean is the ternary quantizer of BitNet b1.58."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import absmean


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_it_is_the_published_definition(dtype):
  w = (jax.random.normal(jax.random.key(0), (64, 48)) * 0.02).astype(dtype)
  codes, scale = jax.jit(absmean.quantizer().quantize)(w, {})
  wide = np.asarray(w, np.float64)
  s = max(np.abs(wide).mean(), 1e-5)
  np.testing.assert_allclose(scale, s, rtol=1e-6)
  np.testing.assert_array_equal(codes, np.clip(np.round(wide / s), -1, 1))


def test_ties_round_to_zero():
  w = jnp.array([[0.5, -0.5, 1.0, 2.0]])  # s is 1
  codes, scale = absmean.quantizer().quantize(w, {})
  assert float(scale) == 1.0
  np.testing.assert_array_equal(codes, [[0, 0, 1, 1]])


def test_the_scale_has_a_floor():
  codes, scale = absmean.quantizer().quantize(jnp.full((4, 4), 4e-6), {})
  np.testing.assert_allclose(scale, 1e-5, rtol=1e-6)
  np.testing.assert_array_equal(codes, 0)


def test_the_scale_of_bfloat16_weights_is_not_rounded_to_bfloat16():
  w = jnp.array([[1.0, 1.0, 1.0, 1.0078125]], jnp.bfloat16)
  _, scale = absmean.quantizer().quantize(w, {})
  assert float(scale) == 1.001953125


def test_gaussian_error_and_share_of_zeros():
  w = jax.random.normal(jax.random.key(0), (256, 256))
  q = absmean.quantizer()
  error = jnp.mean((q.fake_quant(w, {}) - w) ** 2)
  codes, _ = q.quantize(w, {})
  np.testing.assert_allclose(error, 0.263, atol=0.01)
  np.testing.assert_allclose(jnp.mean(jnp.abs(codes)), 0.69, atol=0.01)
