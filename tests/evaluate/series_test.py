"""Smoothing calms a curve and moves nothing."""

import numpy as np

from bitzero_jax.evaluate.series import smooth


def test_smooth_keeps_length_and_mean_of_a_flat_curve():
  flat = np.full(200, 0.25)
  np.testing.assert_allclose(smooth(flat), flat)
  noisy = np.tile([0.0, 1.0], 100)
  assert np.ptp(smooth(noisy)) < 0.2
