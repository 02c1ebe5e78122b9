"""Gradients of the ternary product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from pallas_kernels.ternary_matmul import api, custom_vjp, layout
from pallas_kernels.ternary_matmul.custom_vjp import Integers

ROWS, COLUMNS = 40, 24


def draw(planes=1, dtype=jnp.float32):
  rng = np.random.default_rng(planes)
  trits = rng.integers(-1, 2, (planes, ROWS, COLUMNS), dtype=np.int8)
  codes = np.tensordot(3 ** np.arange(planes - 1, -1, -1), trits, 1)
  scale = jnp.float32(0.25)
  x = rng.integers(-127, 128, (2, 3, ROWS))
  given = Integers(jnp.asarray(x, jnp.int8), jnp.full((2, 3, 1), 0.5))
  weight = Integers(jnp.asarray(codes, jnp.int8), scale)
  packed = api.prepare(
    layout.pack(jnp.asarray(trits)), scale, ROWS, implementation="base"
  )
  return jnp.asarray(x * 0.5, dtype), codes * 0.25, given, weight, packed


@pytest.mark.parametrize("planes", [1, 3])
def test_unpacked_integers_give_the_bits_of_packed_ones(planes):
  _, _, x, w, packed = draw(planes)
  got = jax.jit(custom_vjp.integer_product, static_argnums=2)(x, w, jnp.float32)
  wanted = api.ternary_matmul(x.codes, packed, x_scale=x.scale)
  np.testing.assert_array_equal(got, wanted)


def test_training_multiplies_integers_and_differentiates_values():
  x, w, x_codes, w_codes, _ = draw()
  w = jnp.asarray(w, jnp.float32)

  def loss(x, w):
    return jnp.sum(jnp.sin(custom_vjp.trained(x, w, x_codes, w_codes)))

  def plain(x, w):
    return jnp.sum(jnp.sin(x @ w))

  got, wanted = jax.grad(loss, (0, 1))(x, w), jax.grad(plain, (0, 1))(x, w)
  for one, other in zip(got, wanted, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
  # The value is that of the integers, not of the floats beside them.
  still = custom_vjp.trained(x + 1, w + 1, x_codes, w_codes)
  np.testing.assert_array_equal(
    still, custom_vjp.integer_product(x_codes, w_codes, x.dtype)
  )


@pytest.mark.parametrize("planes", [2])
@pytest.mark.parametrize("implementation", ["base", "triton_dot", "mosaic_tpu"])
def test_a_frozen_weight_passes_the_gradient_on_to_x(planes, implementation):
  kind = jnp.float32 if implementation == "base" else jnp.bfloat16
  x, w, _, _, packed = draw(planes, kind)
  # 16 divides no number of columns here, so the Triton path gets two thirds.
  weight = api.prepare(
    api.canonical(packed)[:, :16],
    packed.scale,
    ROWS,
    implementation=implementation,
  )
  w = w[:, :16]
  interpret = {"base": False, "triton_dot": True}.get(
    implementation, pltpu.InterpretParams()
  )
  g = jnp.asarray(np.random.default_rng(9).normal(size=(2, 3, 16)), kind)
  y, back = jax.vjp(
    lambda x: custom_vjp.frozen(x, weight, implementation, interpret), x
  )
  assert y.dtype == kind
  (to_x,) = back(g)
  wanted = np.asarray(g, np.float64) @ w.T
  assert to_x.dtype == kind and to_x.shape == x.shape
  step = 2**-8 if kind == jnp.bfloat16 else 1e-6
  size = np.abs(np.asarray(g, np.float64)) @ np.abs(w.T)
  np.testing.assert_array_less(
    np.abs(np.asarray(to_x, np.float64) - wanted), step * size + 1e-6
  )


def test_canonical_bytes_come_back_from_every_layout():
  *_, packed = draw(2)
  bytes_ = api.canonical(packed)
  for name in api.IMPLEMENTATIONS:
    weight = api.prepare(bytes_, packed.scale, ROWS, implementation=name)
    np.testing.assert_array_equal(api.canonical(weight), bytes_)
