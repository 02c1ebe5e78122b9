"""A number keeps its size in few signs."""

import pytest

from bitzero_jax.evaluate.number_format import number, percent


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (0.0, "0 %"),
    (0.6, "60 %"),
    (0.345, "34.5 %"),
    (1.0, "100 %"),
    (0.00025, "0.025 %"),
    (2e-7, "~0 %"),
  ],
)
def test_percent(value, text):
  assert percent(value) == text


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (0, "0"),
    (0.01234, "0.0123"),
    (1234.4, "1234"),
    (162_400, "162k"),
    (1_311_000, "1.31M"),
    (-25_000, "-25k"),
    (2.5e9, "2.5G"),
  ],
)
def test_number(value, text):
  assert number(value) == text
