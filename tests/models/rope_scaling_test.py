"""Slow pairs are stretched, fast ones are kept."""

import numpy as np

from bitzero_jax.models import layers
from bitzero_jax.models.rope_scaling import Linear, Llama3

RATES = (10000.0 ** -(np.arange(0, 64, 2) / 64)).astype(np.float32)


def test_linear_divides_every_rate():
  np.testing.assert_array_equal(Linear(4.0)(RATES), RATES / 4)


def test_llama3_keeps_fast_pairs_and_divides_slow_ones():
  got = Llama3(8.0, 1.0, 4.0, 512)(RATES)
  assert got.dtype == np.float32
  turns = 512 * RATES / (2 * np.pi)
  fast, slow = turns > 4, turns < 1
  assert fast.any()
  assert slow.any()
  np.testing.assert_array_equal(got[fast], RATES[fast])
  np.testing.assert_allclose(got[slow], RATES[slow] / 8, rtol=1e-6)
  between = ~(fast | slow)
  assert np.all(got[between] < RATES[between])
  assert np.all(got[between] > RATES[between] / 8)
  assert np.all(np.diff(got) < 0)


def test_angles_are_those_of_the_scaled_rates():
  positions = np.array([[0, 4, 8]], np.int32)
  scaled = layers.rotary_angles(positions, 64, 10000.0, Linear(4.0))
  plain = layers.rotary_angles(positions // 4, 64, 10000.0)
  for got, wanted in zip(scaled, plain, strict=True):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6)
