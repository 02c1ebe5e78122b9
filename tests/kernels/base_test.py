"""The plain XLA product against integer arithmetic in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_kernels.ternary_matmul import base, layout

_accumulate = jax.jit(base.accumulate)


def _weight(planes: int, rows: int, columns: int):
  trits = jax.random.randint(
    jax.random.key(planes), (planes, rows, columns), -1, 2, jnp.int8
  )
  powers = 3 ** np.arange(planes - 1, -1, -1)
  codes = np.tensordot(powers, np.asarray(trits, np.int64), 1)  # [I, O]
  return jax.jit(layout.pack)(trits), codes


@pytest.mark.parametrize(
  ("planes", "lead"), [(1, (3,)), (2, ()), (3, (2, 3)), (4, (3,)), (5, (3,))]
)
def test_int8_is_exact(planes, lead):
  packed, codes = _weight(planes, 37, 6)
  x = jax.random.randint(jax.random.key(0), (*lead, 37), -128, 128, jnp.int8)
  total = _accumulate(x, packed)
  assert total.dtype == jnp.int32
  np.testing.assert_array_equal(total, np.asarray(x, np.int64) @ codes)


@pytest.mark.parametrize("planes", [1, 5])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_float_agrees_with_float64(planes, dtype):
  packed, codes = _weight(planes, 64, 8)
  x = jax.random.normal(jax.random.key(0), (5, 64)).astype(dtype)
  truth = np.asarray(x, np.float64) @ codes
  total = _accumulate(x, packed)
  assert total.dtype == jnp.float32
  size = np.abs(np.asarray(x, np.float64)) @ np.abs(codes)
  np.testing.assert_array_less(
    np.abs(np.asarray(total) - truth), 1e-6 * size + 1e-6
  )


@pytest.mark.parametrize("per_column", [False, True])
def test_both_scales_are_applied_in_float32(per_column):
  packed, codes = _weight(2, 16, 4)
  x = jax.random.randint(jax.random.key(0), (3, 16), -128, 128, jnp.int8)
  shape = (1, 4) if per_column else ()
  scale = jax.random.uniform(jax.random.key(1), shape, minval=0.1)
  x_scale = jax.random.uniform(jax.random.key(2), (3, 1), minval=0.1)
  y = base.ternary_matmul(
    x, packed, scale, x_scale=x_scale, out_dtype=jnp.bfloat16
  )
  truth = (np.asarray(x, np.int64) @ codes) * np.asarray(scale, np.float64)
  truth = truth * np.asarray(x_scale, np.float64)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.asarray(y, np.float32), truth, rtol=2**-8)


def test_result_is_float32_unless_told_otherwise():
  packed, codes = _weight(1, 16, 4)
  x = jax.random.normal(jax.random.key(0), (3, 16), jnp.bfloat16)
  y = base.ternary_matmul(x, packed, jnp.float32(0.5))
  assert y.dtype == jnp.float32
  truth = np.asarray(x, np.float64) @ codes * 0.5
  np.testing.assert_allclose(y, truth, rtol=1e-5, atol=1e-5)


def test_jit_and_vmap_give_the_same_integers():
  packed, _ = _weight(3, 10, 4)
  x = jax.random.randint(jax.random.key(0), (3, 10), -128, 128, jnp.int8)
  expected = base.accumulate(x, packed)
  np.testing.assert_array_equal(_accumulate(x, packed), expected)
  rowwise = jax.vmap(base.accumulate, in_axes=(0, None))(x, packed)
  np.testing.assert_array_equal(rowwise, expected)


def test_errors_name_what_is_allowed():
  packed, _ = _weight(1, 8, 4)
  x = jnp.ones((2, 8), jnp.int8)
  scale = jnp.float32(1)
  with pytest.raises(TypeError, match="int8, bfloat16 or float32"):
    base.ternary_matmul(x.astype(jnp.int32), packed, scale)
  with pytest.raises(ValueError, match="x must be"):
    base.ternary_matmul(jnp.int8(1), packed, scale)
  with pytest.raises(ValueError, match=r"\[P, O, R\]"):
    base.ternary_matmul(x, packed[0], scale)
  with pytest.raises(ValueError, match="rows=12"):
    base.ternary_matmul(jnp.ones((2, 12), jnp.int8), packed, scale)
  with pytest.raises(ValueError, match="scale must be"):
    base.ternary_matmul(x, packed, jnp.ones((4,)))
  with pytest.raises(TypeError, match="scale must be float32"):
    base.ternary_matmul(x, packed, jnp.bfloat16(1))
  with pytest.raises(ValueError, match="x_scale must be"):
    base.ternary_matmul(x, packed, scale, x_scale=jnp.ones((2,)))
  with pytest.raises(TypeError, match="x_scale must be float32"):
    base.ternary_matmul(
      x, packed, scale, x_scale=jnp.ones((2, 1), jnp.bfloat16)
    )


def test_int32_overflow_is_refused():
  rows = 2**18
  packed = jax.ShapeDtypeStruct((5, 1, rows // 4), jnp.uint8)
  x = jax.ShapeDtypeStruct((1, rows), jnp.int8)
  with pytest.raises(ValueError, match="overflow int32"):
    jax.eval_shape(base.accumulate, x, packed)
