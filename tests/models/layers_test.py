"""Sums with a fixed order, norms, and rotary embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.models import layers
from bitzero_jax.quant.ordered_sum import ordered_sum


def _softmax(x):
  powers = jnp.exp(x - x.max(-1, keepdims=True))
  return powers / powers.sum(-1, keepdims=True)


def _unit(x):
  return x / jnp.sqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + 1e-5)


@pytest.mark.parametrize(
  ("ours", "plain"),
  [
    (lambda x: layers.softmax(x, True), _softmax),
    (lambda x: layers.softmax(x, False), _softmax),
    (lambda x: layers.to_unit_rms(x, 1e-5, True), _unit),
    (lambda x: layers.to_unit_rms(x, 1e-5, False), _unit),
    (ordered_sum, lambda x: x.sum(-1, keepdims=True)),
  ],
  ids=["softmax", "plain softmax", "unit", "plain unit", "ordered_sum"],
)
@pytest.mark.parametrize("size", [1, 7, 65])
def test_written_out_gradients_are_those_of_the_plain_formula(
  ours, plain, size
):
  rng = np.random.default_rng(size)
  x = rng.normal(size=(3, 2, size)).astype(np.float32)
  np.testing.assert_allclose(ours(x), plain(x), rtol=1e-5, atol=1e-6)
  weight = rng.normal(size=ours(x).shape).astype(np.float32)
  got = jax.grad(lambda y: jnp.sum(ours(y) * weight))(x)
  expected = jax.grad(lambda y: jnp.sum(plain(y) * weight))(x)
  np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
  many = jax.vmap(jax.grad(lambda y: jnp.sum(ours(y) * weight[0])))(x)
  one = jax.grad(lambda y: jnp.sum(ours(y) * weight[0]))(x[1])
  np.testing.assert_allclose(many[1], one, rtol=1e-5, atol=1e-6)


def test_hidden_scores_get_no_weight_and_no_gradient():
  x = jnp.array([[0.5, -1e30, 0.1, -1e30]])
  weights, back = jax.vjp(lambda x: layers.softmax(x, True), x)
  (change,) = back(jnp.array([[1.0, 2.0, 3.0, 4.0]]))
  for row in (weights, change):
    np.testing.assert_array_equal(row[:, 1::2], 0)
    assert (np.asarray(row[:, ::2]) != 0).all()


def test_the_norm_works_in_float32_also_on_bfloat16():
  x = jnp.full((1, 300), 1.0, jnp.bfloat16)
  norm = layers.RMSNorm()
  got = norm.apply(norm.init(jax.random.key(0), x), x)
  assert got.dtype == jnp.bfloat16
  # 300 ones added up in bfloat16 would stick at 256.
  np.testing.assert_array_equal(got, np.ones((1, 300)))


def test_a_row_is_normed_to_the_same_bits_whatever_is_beside_it():
  x = np.random.default_rng(0).normal(size=(33, 12, 32)).astype(np.float32)
  norm = jax.jit(lambda x: layers.to_unit_rms(x, 1e-5, True))
  for rows, columns in ((33, 1), (33, 7), (16, 3), (8, 12)):
    part = (slice(rows), slice(columns))
    np.testing.assert_array_equal(norm(x[part]), norm(x)[part])


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
