"""What verdicts are worth, case by case."""

import jax
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
  unread = jnp.full((5, 3), jnp.nan)  # the default looks at no confidence
  earned, counts = reward.solver_reward(-0.25, 0.0, graded, asked, unread)
  np.testing.assert_array_equal(earned, [1.0, -0.25, -0.25, -0.25, 1.0])
  np.testing.assert_array_equal(counts, [True, True, False, False, False])


def weighted(weight, confidence, grade):
  """Reward of answers with these confidences, spread over two tokens."""
  rows = len(confidence)
  log_prob = jnp.log(jnp.asarray(confidence))[:, None] * jnp.array([0.25, 0.75])
  grades, asked = jnp.full(rows, grade), jnp.ones(rows, bool)
  return reward.solver_reward(0.0, weight, grades, asked, log_prob)[0]


def test_a_confidence_weight_takes_the_brier_score():
  confidence = [0.25, 0.5, 1.0]
  right = weighted(0.5, confidence, RIGHT)
  np.testing.assert_allclose(right, [0.71875, 0.875, 1.0], atol=1e-6)
  wrong = weighted(0.5, confidence, WRONG)
  np.testing.assert_allclose(wrong, [-0.03125, -0.125, -0.5], atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_right_answer_earns_no_less_than_any_wrong_one(weight):
  confidence = np.linspace(0.001, 1, 50)
  right, wrong = (weighted(weight, confidence, g) for g in (RIGHT, WRONG))
  assert right.min() >= wrong.max()
  assert (np.diff(right) >= 0).all() and (np.diff(wrong) <= 0).all()


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.85])
def test_an_answer_earns_most_with_the_confidence_that_it_deserves(chance):
  confidence = np.linspace(0.01, 1, 100)
  right, wrong = (weighted(1.0, confidence, g) for g in (RIGHT, WRONG))
  expected = chance * right + (1 - chance) * wrong
  assert confidence[np.argmax(expected)] == pytest.approx(chance, abs=0.011)


def test_no_gradient_flows_through_the_confidence():
  def total(log_prob):
    grades, asked = jnp.array([RIGHT, WRONG]), jnp.ones(2, bool)
    return reward.solver_reward(0.0, 1.0, grades, asked, log_prob)[0].sum()

  gradient = jax.grad(total)(jnp.full((2, 3), -0.5))
  np.testing.assert_array_equal(gradient, 0.0)
