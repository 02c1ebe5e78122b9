"""Balanced ternary digits and their learned step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant import digits
from pallas_kernels.ternary_matmul import base as matmul

LEVELS = {1: 3, 2: 9, 3: 27, 4: 81, 5: 243}
# Relative squared error of the best step on Gaussian weights.
GAUSSIAN_ERROR = {1: 0.190, 2: 0.0307, 3: 0.0047, 4: 0.00069, 5: 0.000096}

every_depth = pytest.mark.parametrize("planes", LEVELS)


@every_depth
def test_all_levels_occur_and_no_other(planes):
  q = digits.quantizer(planes)
  top = digits.max_code(planes)
  w = 0.5 * jnp.arange(-top - 3, top + 4, dtype=jnp.float32)[:, None]
  codes, scale = q.quantize(w, {"step": jnp.float32(0.5)})
  assert len(np.unique(codes)) == LEVELS[planes] == 2 * top + 1
  assert codes.min() == -top
  assert codes.max() == top
  assert float(scale) == 0.5


@every_depth
def test_digits_are_balanced_ternary(planes):
  top = digits.max_code(planes)
  codes = jnp.arange(-top, top + 1, dtype=jnp.int8)[:, None]
  trits = np.asarray(digits.split(codes, planes), np.int64)
  assert set(np.unique(trits)) == {-1, 0, 1}
  powers = 3 ** np.arange(planes - 1, -1, -1)
  np.testing.assert_array_equal(np.tensordot(powers, trits, 1), codes)
  np.testing.assert_array_equal(digits.join(jnp.int8(trits)), codes)


@every_depth
def test_the_packed_planes_feed_the_ternary_product(planes):
  q = digits.quantizer(planes)
  rng = np.random.default_rng(0)
  w = jnp.float32(rng.normal(size=(13, 6)))
  x = jnp.int8(rng.integers(-127, 128, size=(3, 13)))
  codes, scale = q.quantize(w, q.init(w))
  total = jax.jit(matmul.accumulate)(x, q.pack(codes, scale).planes)
  np.testing.assert_array_equal(
    total, np.asarray(x, np.int64) @ np.asarray(codes, np.int64)
  )


@every_depth
def test_the_initial_step_is_near_the_best_one(planes):
  q = digits.quantizer(planes)
  w = jax.random.normal(jax.random.key(0), (256, 256))

  @jax.jit
  def error(step):
    return jnp.mean((q.fake_quant(w, {"step": step}) - w) ** 2)

  step = q.init(w)["step"]
  best = error(step)
  np.testing.assert_allclose(best, GAUSSIAN_ERROR[planes], rtol=0.1)
  assert best < error(0.85 * step)
  assert best < error(1.15 * step)


@every_depth
def test_the_step_gradient_is_that_of_lsq(planes):
  q = digits.quantizer(planes)
  top = digits.max_code(planes)
  rng = np.random.default_rng(0)
  w = rng.normal(size=(16, 12)) * top
  g = rng.normal(size=(16, 12))
  step = 0.7
  ratio = w / step
  slope = np.where(
    np.abs(ratio) <= top, np.round(ratio) - ratio, np.sign(ratio) * top
  )
  wanted = np.sum(g * slope) / np.sqrt(w.size * top)

  @jax.jit
  def pull_back(params):
    return jax.vjp(lambda p: q.fake_quant(jnp.float32(w), p), params)[1](
      jnp.float32(g)
    )[0]

  got = pull_back({"step": jnp.float32(step)})["step"]
  np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_following_the_step_gradient_lowers_the_error():
  q = digits.quantizer(2)
  w = jax.random.normal(jax.random.key(0), (64, 64))

  @jax.jit
  def loss(params):
    return jnp.mean((q.fake_quant(w, params) - w) ** 2)

  params = {"step": 2 * q.init(w)["step"]}
  start = loss(params)
  for _ in range(50):
    slope = jax.jit(jax.grad(loss))(params)["step"]
    params = {"step": params["step"] - 0.02 * jnp.sign(slope)}
  assert loss(params) < 0.5 * start


def test_a_step_below_the_floor_is_safe_and_still_learns():
  q = digits.quantizer(1)
  w = jnp.array([[1.0, -1.0, 0.5, 0.0]])
  params = {"step": jnp.float32(-3.0)}
  _, scale = q.quantize(w, params)
  np.testing.assert_allclose(scale, 1e-5, rtol=1e-6)
  loss = jax.grad(lambda p: jnp.sum((q.fake_quant(w, p) - w) ** 2))
  assert float(loss(params)["step"]) < 0  # descent makes the step larger


def test_errors_name_what_is_allowed():
  with pytest.raises(ValueError, match="planes must be 1 to 5, got 6"):
    digits.quantizer(6)
  q = digits.quantizer(2)
  with pytest.raises(ValueError, match="params must hold 'step'"):
    q.quantize(jnp.ones((4, 4)), {})
  with pytest.raises(ValueError, match="params must hold 'step'"):
    q.fake_quant(jnp.ones((4, 4)), {})
