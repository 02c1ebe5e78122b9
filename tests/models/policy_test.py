"""The masked policy gives sampler and learner the same bits."""

import jax
import numpy as np
import pytest

from bitzero_jax.models.policy import log_policy


@pytest.mark.parametrize("rows", [1, 16])
def test_the_policy_does_not_depend_on_the_number_of_rows(rows):
  """A sampler asks for one column of few rows, a learner for all at once."""
  rng = np.random.default_rng(0)
  logits, bias = rng.normal(size=(2, 64, 10, 250)).astype(np.float32)
  bias[rng.random(bias.shape) < 0.5] = -np.inf
  policy = jax.jit(lambda x, b: log_policy(x, b, 0.7))
  np.testing.assert_array_equal(
    policy(logits[:rows, 3], bias[:rows, 3]), policy(logits, bias)[:rows, 3]
  )
  powers = np.exp(np.asarray(policy(logits, bias)))
  np.testing.assert_allclose(powers.sum(-1), 1.0, rtol=1e-5)
