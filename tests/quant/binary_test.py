"""The sign about the mean, scaled by the mean magnitude."""

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.quant import binary


def test_it_is_the_published_definition():
  w = jax.random.normal(jax.random.key(0), (32, 24)) + 0.3
  codes, scale = jax.jit(binary.quantizer().quantize)(w, {})
  wide = np.asarray(w, np.float64)
  np.testing.assert_allclose(scale, np.abs(wide).mean(), rtol=1e-6)
  np.testing.assert_array_equal(codes, np.where(wide > wide.mean(), 1, -1))


def test_a_weight_at_the_mean_becomes_plus_one():
  codes, scale = binary.quantizer().quantize(jnp.array([[1.0, 2.0, 3.0]]), {})
  np.testing.assert_array_equal(codes, [[-1, 1, 1]])
  assert float(scale) == 2.0
