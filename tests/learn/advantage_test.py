"""Six baselines, against a loop over groups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.learn.advantage import normalize


def oracle(reward, counts, group, groups):
  advantage = np.zeros(len(reward))
  flat, filled = 0, 0
  for g in range(groups):
    mine = (group == g) & counts
    if not mine.any():
      continue
    filled += 1
    values = reward[mine].astype(np.float64)
    if values.std() < 1e-4:
      flat += 1
    else:
      advantage[mine] = (values - values.mean()) / values.std()
  return advantage, flat / max(filled, 1)


@pytest.mark.parametrize("seed", range(4))
def test_each_group_is_whitened_by_itself(seed):
  rng = np.random.default_rng(seed)
  group = rng.integers(0, 6, 200)
  reward = rng.normal(size=200).astype(np.float32) + 10 * group
  reward[group == 4] = 0.37
  counts = rng.random(200) < 0.7
  counts[group == 5] = False
  reward = reward.astype(np.float32)
  got, collapsed = jax.jit(normalize, static_argnums=3)(
    reward, counts, group, 6
  )
  expected, share = oracle(reward, counts, group, 6)
  np.testing.assert_allclose(got, expected, atol=1e-3)
  assert float(collapsed) == pytest.approx(share) == pytest.approx(1 / 5)
  assert (np.asarray(got)[~counts | (group == 4)] == 0).all()


def test_rows_that_do_not_count_change_nothing():
  reward = jnp.array([0.0, 1.0, 1.0, 0.0])
  counts = jnp.array([True, True, False, False])
  group = jnp.zeros(4, jnp.int32)
  one, _ = normalize(reward, counts, group, 1)
  other, _ = normalize(
    reward.at[2:].set(jnp.array([9.0, -7.0])), counts, group, 1
  )
  np.testing.assert_array_equal(one, other)
  np.testing.assert_allclose(one, [-1, 1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 0.1, 1 / 3])
def test_equal_rewards_teach_nothing(value):
  reward = jnp.full(97, value, jnp.float32)
  every = jnp.ones(97, bool)
  got, collapsed = normalize(reward, every, jnp.arange(97) % 3, 3)
  np.testing.assert_array_equal(got, 0)
  assert float(collapsed) == 1


def test_no_rows_that_count_is_no_collapse():
  got, collapsed = normalize(
    jnp.ones(4), jnp.zeros(4, bool), jnp.zeros(4, jnp.int32), 2
  )
  np.testing.assert_array_equal(got, 0)
  assert float(collapsed) == 0
