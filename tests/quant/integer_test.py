"""Symmetric integers, one scale for each output column."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import integer


@pytest.mark.parametrize(("bits", "top"), [(4, 7), (8, 127)])
def test_the_largest_weight_of_a_column_gets_the_largest_code(bits, top):
  w = (
    jax.random.normal(jax.random.key(0), (50, 9))
    * jnp.logspace(-4, 2, 9)[None, :]
  )
  codes, scale = jax.jit(integer.quantizer(bits).quantize)(w, {})
  np.testing.assert_array_equal(jnp.max(jnp.abs(codes), axis=0), top)
  largest = np.abs(np.asarray(w)).max(axis=0, keepdims=True)
  np.testing.assert_allclose(scale, largest / top, rtol=1e-6)
  error = np.abs(np.asarray(codes) * np.asarray(scale) - np.asarray(w))
  np.testing.assert_array_less(error, 0.5001 * scale + np.zeros((50, 1)))


def test_int4_puts_the_first_half_of_the_rows_in_the_low_bits():
  q = integer.quantizer(4)
  codes = jnp.array([[-7], [0], [7], [1]], jnp.int8)
  packed = q.pack(codes, jnp.ones((1, 1)))
  np.testing.assert_array_equal(packed.planes, [[[0 | 14 << 4, 7 | 8 << 4]]])


def test_other_widths_are_refused():
  with pytest.raises(ValueError, match="bits must be 4 or 8, got 5"):
    integer.quantizer(5)
