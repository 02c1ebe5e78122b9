"""Nobody has two turns more than anybody else."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bitzero_jax.practice.turns import Turns


@given(
  st.sets(st.integers(0, 30), min_size=1),
  st.lists(st.integers(0, 40), min_size=1, max_size=6),
  st.integers(0, 99),
)
def test_everyone_has_a_turn_before_anyone_has_the_next(left, counts, seed):
  random, turns, had = np.random.default_rng(seed), Turns(), Counter()
  left = sorted(left)
  for count in counts:
    owners = turns.take(left, count, random)
    assert len(owners) == count
    had.update(owners)
    assert set(had) <= set(left)
    times = [had[number] for number in left]
    assert max(times) - min(times) <= 1


def test_who_has_left_is_passed_over():
  random, turns = np.random.default_rng(0), Turns()
  first = turns.take(range(6), 3, random)
  left = [number for number in range(6) if number % 2]
  owners = turns.take(left, 30, random)
  assert set(owners) == set(left)
  waiting = [number for number in left if number not in first]
  assert sorted(owners[: len(waiting)]) == waiting


def test_the_order_is_random():
  orders = {
    tuple(Turns().take(range(4), 4, np.random.default_rng(seed)))
    for seed in range(20)
  }
  assert len(orders) > 5
