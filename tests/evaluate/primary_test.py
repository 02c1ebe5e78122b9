"""The declared measure is the number that it says it is."""

import pytest

from bitzero_jax.config_checks import CHOICES
from bitzero_jax.evaluate.primary import PRIMARY, score, value

LINE = {
  "step": 5,
  "eval/deduction": 0.3,
  "eval/abduction": 0.6,
  "eval/induction": 0.3,
  "eval/deduction/long 9-14": 0.1,
  "eval/abduction/long 9-14": 0.2,
  "eval/induction/long 9-14": 0.0,
  "eval/nll/deduction": 1.0,
  "eval/nll/abduction": 1.5,
  "eval/nll/induction": 2.0,
}


def test_every_name_has_its_words():
  assert set(CHOICES["heldout.primary"]) == set(PRIMARY)


@pytest.mark.parametrize(
  ("name", "number"),
  [("accuracy", 0.4), ("accuracy_longer", 0.1), ("log_loss", 1.5)],
)
def test_a_measure_is_a_mean_of_three(name, number):
  assert value(name, LINE) == pytest.approx(number)
  sign = -1 if name == "log_loss" else 1
  assert score(name, LINE) == pytest.approx(sign * number)
  assert value(name, {"step": 5}) is score(name, {"step": 5}) is None
  without = {k: None if "induction" in k else v for k, v in LINE.items()}
  assert score(name, without) is None
