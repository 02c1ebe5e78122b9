"""Ticks are few, round, and enclose the range."""

import pytest

from bitzero_jax.evaluate.axes import ticks


@pytest.mark.parametrize(
  ("low", "high"),
  [(0, 1), (0, 0.0013), (-3, 7), (0.2, 0.21), (5, 5), (0, 123456)],
)
def test_ticks_enclose_the_range_with_few_round_numbers(low, high):
  found = ticks(low, high)
  assert 2 <= len(found) <= 7
  assert found[0] <= low + 1e-9
  assert found[-1] >= high - 1e-9
