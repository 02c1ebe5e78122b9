"""The full-precision control."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import identity


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_32_bits_change_nothing(dtype):
  w = jax.random.normal(jax.random.key(0), (9, 4)).astype(dtype)
  seen = identity.quantizer().fake_quant(w, {})
  assert seen.dtype == dtype
  np.testing.assert_array_equal(seen, w)


def test_16_bits_round_to_bfloat16():
  w = jax.random.normal(jax.random.key(0), (9, 4))
  seen = identity.quantizer(16).fake_quant(w, {})
  assert seen.dtype == jnp.float32
  np.testing.assert_array_equal(seen, w.astype(jnp.bfloat16))
  assert bool(jnp.any(seen != w))


def test_other_widths_are_refused():
  with pytest.raises(ValueError, match="bits must be 16 or 32, got 8"):
    identity.quantizer(8)
