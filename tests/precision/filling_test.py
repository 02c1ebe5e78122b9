"""Chances that spend a budget, on what is likeliest first."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.precision import ledger
from bitzero_jax.precision.filling import fill
from bitzero_jax.quant import adaptive

SIZE = np.float32([100, 300, 50, 50])
LOGITS = jnp.float32([[3, 1], [0.5, 0.2], [-1, -1], [2, 0]])


def bits_of(reach):
  return float(ledger.expected_bits(adaptive.chances(reach), SIZE))


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 8.0, 100.0])
@pytest.mark.parametrize("bits", [2.1, 2.6, 3.5, 5.4])
def test_what_is_expected_is_the_budget(bits, sharpness):
  reach = jax.jit(fill)(sharpness * LOGITS, SIZE, bits)
  np.testing.assert_allclose(bits_of(reach), bits, rtol=1e-4)
  assert (reach[:, 1] <= reach[:, 0]).all()
  assert ((reach >= 0) & (reach <= 1)).all()


def test_a_higher_logit_is_likelier():
  reach = fill(LOGITS, SIZE, 3.0)
  order = np.argsort(LOGITS[:, 0])
  assert (np.diff(reach[order, 0]) > 0).all()


def test_sharp_chances_are_all_or_nothing():
  reach = fill(1e3 * LOGITS, SIZE, 2.0625 + 100 / 500 * 2.4375)
  np.testing.assert_allclose(reach[:, 0], [1, 0, 0, 0], atol=1e-3)


def test_of_what_is_all_alike_all_get_the_same():
  reach = fill(jnp.zeros((4, 2)), SIZE, 3.0)
  assert (reach == reach[0]).all()
