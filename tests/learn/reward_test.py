"""What verdicts are worth, case by case."""

import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.learn import reward
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG

RATES = np.array([0.0, 0.125, 0.3, 0.5, 0.8, 0.875, 1.0], np.float32)


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    # Absolute Zero, eq. 4: nothing for the trivial and for the unsolvable.
    ("one_minus", [0, 0.875, 0.7, 0.5, 0.2, 0.125, 0]),
    ("variance", [0, 0.109375, 0.21, 0.25, 0.16, 0.109375, 0]),
    ("tent", [0, 0.125, 0.3, 0.5, 0.2, 0.125, 0]),
    ("band", [0, 0, 1, 1, 1, 0, 0]),
  ],
)
def test_learnability_of_a_solve_rate(name, expected):
  got = reward.LEARNABILITY[name](jnp.asarray(RATES))
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, expected, atol=1e-6)


def test_every_learnability_is_in_the_table():
  assert set(reward.LEARNABILITY) == {"one_minus", "variance", "tent", "band"}


def test_an_answer_earns_by_its_grade():
  graded = jnp.array([RIGHT, WRONG, UNKNOWN, WRONG, RIGHT])
  asked = jnp.array([True, True, True, False, False])
  earned, counts = reward.solver_reward(-0.25, graded, asked)
  np.testing.assert_allclose(earned[:2], [1.0, -0.25])
  np.testing.assert_array_equal(counts, [True, True, False, False, False])
