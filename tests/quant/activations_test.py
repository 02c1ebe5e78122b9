"""Per-token int8 activations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import activations


def _rows(dtype) -> jax.Array:
  x = np.random.default_rng(0).normal(size=(2, 5, 33))
  x[0, 0] = 0
  return jnp.asarray(x, dtype)


every_dtype = pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])


@every_dtype
def test_each_row_uses_the_whole_range(dtype):
  x = _rows(dtype)
  codes, scale = jax.jit(activations.quantize)(x)
  assert codes.dtype == jnp.int8
  assert codes.shape == x.shape
  assert scale.dtype == jnp.float32
  assert scale.shape == (2, 5, 1)
  largest = np.abs(np.asarray(codes, np.int32)).max(axis=-1)
  np.testing.assert_array_equal(largest, [[0] + [127] * 4, [127] * 5])
  wide = np.asarray(x, np.float64)
  s = np.maximum(np.abs(wide).max(axis=-1, keepdims=True), 1e-5) / 127
  np.testing.assert_allclose(scale, s, rtol=1e-6)
  error = np.abs(np.asarray(codes) * s - wide)
  np.testing.assert_array_less(error, 0.5001 * s + np.zeros_like(error))


@every_dtype
def test_fake_quant_is_codes_times_scale_in_every_program(dtype):
  x = _rows(dtype)
  codes, scale = activations.quantize(x)
  product = np.asarray(codes, np.float32) * np.asarray(scale)
  wanted = np.asarray(jnp.asarray(product, dtype)).tobytes()
  by_row = jax.vmap(jax.vmap(activations.fake_quant))
  for call in (activations.fake_quant, jax.jit(activations.fake_quant), by_row):
    seen = call(x)
    assert seen.dtype == dtype
    assert np.asarray(seen).tobytes() == wanted


@every_dtype
def test_the_gradient_is_the_identity(dtype):
  x, g = _rows(dtype), _rows(dtype)[::-1]
  _, pull = jax.vjp(activations.fake_quant, x)
  np.testing.assert_array_equal(pull(g)[0], g)


def test_errors_name_what_is_allowed():
  with pytest.raises(ValueError, match=r"x must be \[..., D\]"):
    activations.fake_quant(jnp.float32(1))
  with pytest.raises(ValueError, match="D >= 1"):
    activations.fake_quant(jnp.ones((3, 0)))
  with pytest.raises(TypeError, match="bfloat16 or float32"):
    activations.fake_quant(jnp.ones((3,), jnp.int8))
