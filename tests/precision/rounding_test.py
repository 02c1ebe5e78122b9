"""The best gain a byte first, and never more than the budget."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitzero_jax.precision import ledger, rounding

BITS = ledger.BITS[:3]


def rounded(gain, size, budget):
  apply = jax.jit(lambda g: rounding.to_budget(g, np.float32(size), budget))
  return apply(jnp.float32(gain)).tolist()


def test_planes_go_where_a_byte_gains_most():
  gain = [[1, 0.1], [3, 0.1], [2, 0.1]]
  alike = [100, 100, 100]
  one = 2.0625 + 2.4375 / 3  # room for one second plane
  assert rounded(gain, alike, one) == [1, 2, 1]
  less = 2.0625 + 2.4375 / 6
  assert rounded(gain, [100, 400, 100], less) == [1, 1, 2]
  assert rounded(gain, alike, 2.0625) == [1, 1, 1]
  assert rounded(gain, alike, 5.5) == [3, 3, 3]
  assert rounded(gain, alike, 1.0) == [1, 1, 1]


def test_a_cheap_third_plane_takes_the_second_along():
  gain = [[1.0, 9.0], [2.0, 0.0]]
  assert rounded(gain, [100, 100], 2.0625 + 3.4375 / 2) == [3, 1]


def test_a_plane_that_costs_nothing_is_taken():
  gain = [[1, 1, 1, 0.5], [0, 0, 0, 0]]  # 4 and 5 planes are stored alike
  assert rounded(gain, [10, 10], (8.5 + 2.0625) / 2) == [5, 1]


def test_the_budget_is_used_up_though_nothing_is_gained():
  assert rounded([[0, 0], [0, 0]], [10, 10], 5.5) == [3, 3]


@given(
  st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 20), st.integers(0, 20)),
    min_size=1,
    max_size=5,
  ),
  st.floats(2.07, 5.5),
)
@settings(max_examples=60, deadline=None)
def test_it_fits_and_nothing_more_would(rows, budget):
  size = np.float32([row[0] for row in rows])
  gain = [row[1:] for row in rows]
  planes = np.array(rounded(gain, size, budget), int)
  spent = (BITS[planes - 1] * size).sum()
  assert spent <= budget * size.sum() * (1 + 1e-5)
  for i, k in enumerate(planes):
    for more in range(k, 3):
      extra = (BITS[more] - BITS[k - 1]) * size[i]
      assert spent + extra > budget * size.sum() * (1 - 1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_near_the_best(seed):
  random = np.random.default_rng(seed)
  size = random.integers(10, 60, 5)
  gain = random.exponential(size=(5, 2)) * [[1.0, 0.2]]
  total = np.concatenate([np.zeros((5, 1)), gain.cumsum(1)], 1)
  budget = 3.0
  best = max(
    total[range(5), list(planes)].sum()
    for planes in itertools.product(range(3), repeat=5)
    if (BITS[list(planes)] * size).sum() <= budget * size.sum()
  )
  planes = np.array(rounded(gain, size, budget), int)
  assert total[range(5), planes - 1].sum() >= 0.8 * best
