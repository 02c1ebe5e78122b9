"""What is remembered of progress, and what it makes the proposer copy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.curriculum.base import Judged
from bitzero_jax.curriculum.progress import progress
from bitzero_jax.state import REASON

MADE = progress(decay=0.5)
# Length 2 with root 20 twice, length 3 with root 20, length 2 with root 21.
PROGRAMS = jnp.array(
  [[20, 9, 0, 0], [20, 8, 0, 0], [20, 9, 9, 0], [21, 9, 0, 0]], jnp.int32
)
RISE = jnp.array([0.3, 0.5, -0.2, 0.1])
EVERY = jnp.ones(4, bool)


@pytest.fixture
def memory():
  assert MADE.memory is not None
  return MADE.memory


def test_nothing_is_expected_before_the_first_round(memory):
  np.testing.assert_array_equal(memory.recall(memory.start(4), PROGRAMS), 0)


def test_a_group_is_a_length_and_a_first_production(memory):
  groups = jax.jit(memory.update)(memory.start(4), PROGRAMS, EVERY, RISE)
  got = jax.jit(memory.recall)(groups, PROGRAMS)
  every = 0.7 / 4
  expected = [
    (0.8 + 4 * every) / 6,
    (0.8 + 4 * every) / 6,
    (-0.2 + 4 * every) / 5,
    (0.1 + 4 * every) / 5,
  ]
  np.testing.assert_allclose(got, expected, rtol=1e-5)
  unseen = jnp.array([[30, 9, 9, 9]], jnp.int32)
  np.testing.assert_allclose(memory.recall(groups, unseen), every, rtol=1e-5)


def test_what_is_not_sound_is_not_remembered(memory):
  sound = jnp.array([True, False, False, False])
  groups = memory.update(memory.start(4), PROGRAMS, sound, RISE)
  assert float(groups.tasks.sum()) == 1
  assert float(groups.rise.sum()) == pytest.approx(0.3)


def test_old_rounds_fade(memory):
  groups = memory.start(4)
  for rise in (RISE, -RISE):
    groups = memory.update(groups, PROGRAMS, EVERY, rise)
  np.testing.assert_allclose(groups.rise[2, 20], -0.4, rtol=1e-5)
  np.testing.assert_allclose(groups.tasks[2, 20], 3.0, rtol=1e-5)


def test_copies_go_by_progress_and_not_by_difficulty():
  reason = jnp.full(4, REASON["accepted"]).at[1].set(REASON["known"])
  rates = jnp.array([0.5, 0.5, 0.01, 0.5])
  judged = Judged(reason, EVERY, rates, jnp.full(4, 2), progress=RISE)
  assert MADE.imitate is not None
  np.testing.assert_allclose(MADE.imitate(judged), [0.3, 0, 0, 0.1])
