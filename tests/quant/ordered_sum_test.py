"""Sums with a fixed order, and maxima that nothing is fused with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.quant.ordered_sum import ordered_max, ordered_sum


@pytest.mark.parametrize("size", [1, 2, 3, 7, 24, 32, 33, 66, 96])
def test_ordered_sum_is_the_sum(size):
  x = np.random.default_rng(size).normal(size=(5, size)).astype(np.float32)
  expected = x.astype(np.float64).sum(-1, keepdims=True)
  got = jax.jit(ordered_sum)(x)
  np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_ordered_sum_does_not_depend_on_the_other_axes():
  x = np.random.default_rng(0).normal(size=(1536, 24)).astype(np.float32)
  add = jax.jit(ordered_sum)
  for rows in (1, 3, 64):
    np.testing.assert_array_equal(add(x[:rows]), add(x)[:rows])


def test_any_axis_can_be_added_up():
  x = np.random.default_rng(1).normal(size=(40, 7)).astype(np.float32)
  along = ordered_sum(x, 0)
  assert along.shape == (1, 7)
  np.testing.assert_array_equal(along[0], ordered_sum(x.T)[:, 0])


@pytest.mark.parametrize("size", [1, 2, 3, 31, 33, 66, 96])
def test_ordered_max_is_the_largest(size):
  x = np.random.default_rng(size).normal(size=(5, size)).astype(np.float32)
  np.testing.assert_array_equal(ordered_max(x - 9), (x - 9).max(-1)[:, None])
  np.testing.assert_array_equal(ordered_max(x, 0)[0], x.max(0))
  np.testing.assert_array_equal(
    jax.grad(lambda x: ordered_max(x).sum())(x), np.zeros_like(x)
  )


@pytest.mark.parametrize("rows", [1, 15, 16])
def test_powers_over_the_largest_do_not_depend_on_the_number_of_rows(rows):
  """XLA's CPU compiler has two exponentials, and 4096 numbers part them."""
  x = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
  powers = jax.jit(lambda x: jnp.exp(x - ordered_max(x)))
  np.testing.assert_array_equal(powers(x[:rows]), powers(x)[:rows])
