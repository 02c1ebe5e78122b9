"""The count of behaviours is near the truth, and repetition adds nothing."""

import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.curriculum import seen


@pytest.mark.parametrize("many", [0, 10, 5000, 200_000, 1_000_000])
def test_the_estimate_is_near_the_truth(many):
  rng = np.random.default_rng(many)
  draw = rng.integers(0, 1 << 32, (many, 2), dtype=np.uint32)
  hashes = jnp.asarray(np.concatenate([draw, draw[:7]]))
  every = jnp.ones(len(hashes), bool)
  got = float(seen.count(seen.mark(seen.nothing(), hashes, every)))
  assert got == pytest.approx(many, rel=0.01, abs=0.5)


def test_only_sound_ones_are_marked():
  hashes = jnp.array([[1, 2], [3, 4], [5, 6]], jnp.uint32)
  sound = jnp.array([True, False, True])
  marked = seen.mark(seen.nothing(), hashes, sound)
  assert np.flatnonzero(marked).tolist() == [1, 5]
  again = seen.mark(marked, hashes, sound)
  np.testing.assert_array_equal(again, marked)
