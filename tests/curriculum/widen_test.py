"""The language widens when it should, and never back."""

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.curriculum import widen


def walk(rule, state, rates, updates_a_round=10):
  """Levels after each round."""
  seen = []
  rule = jax.jit(rule)
  for number, rate in enumerate(rates, start=1):
    updates = jnp.int32(number * updates_a_round)
    state = rule(state, updates, jnp.float32(rate))
    assert state.level.dtype == jnp.int32
    seen.append(int(state.level))
  return seen, state


def test_by_updates_rates_do_not_matter():
  rule = widen.by_updates((20, 40))
  seen, state = walk(rule, widen.start(3, (20, 40)), [0.9, 0.9, 0, 0.5, 0.1])
  assert seen == [0, 1, 1, 2, 2]
  np.testing.assert_allclose(state.recent, [0, 0.5, 0.1])
  assert int(widen.start(3, (0, 5)).level) == 1
  assert walk(widen.by_updates(()), widen.start(3, ()), [1.0])[0] == [0]


def test_by_rate_the_mean_of_the_last_rounds_decides():
  rule = widen.by_rate(0.5, 3)
  seen, state = walk(rule, widen.start(4, ()), [1.0, 0.5, 0.25, 0.25, 0.5])
  assert seen == [0, 0, 0, 1, 1]  # at 2.0 / 4; then one round of the next
  np.testing.assert_allclose(state.recent, [0, 0, 0, 0.5])
  seen, _ = walk(rule, widen.start(4, ()), [0.49] * 20)
  assert seen == [0] * 20


def test_the_last_level_is_the_last():
  rule = widen.by_rate(0.5, 3)
  seen, state = walk(rule, widen.start(2, ()), [1.0] * 6)
  assert seen == [1, 2, 2, 2, 2, 2]
  np.testing.assert_allclose(state.recent, [1.0, 1.0])


def test_one_round_of_wonders_is_not_enough():
  rule = widen.by_rate(0.5, 2)
  seen, _ = walk(rule, widen.start(4, ()), [1.0, 0, 0, 0, 0])
  assert seen == [0] * 5
