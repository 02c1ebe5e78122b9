"""Calibration by task type, and the table that is printed."""

import numpy as np
import pytest

from bitzero_jax.evaluate import calibration
from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG

NOTHING = {"nats": {}, "tokens": {}}
GRADED = Graded(
  exam="e",
  names=("2-3", "4-5", "long 9-14"),
  bucket=np.array([0, 1, 1, 2, 2]),
  program=np.arange(5),
  grade={
    "deduction": np.array([RIGHT, WRONG, UNKNOWN, WRONG, RIGHT]),
    "induction": np.array([RIGHT, RIGHT, WRONG, UNKNOWN, UNKNOWN]),
  },
  probability={
    "deduction": np.array([0.75, 0.25, 0.5, 1.0, 0.5]),
    "induction": np.array([0.5, 0.5, 0.5, 0.5, 0.5]),
  },
  agreement={"deduction": np.array([1.0, 0.0, 0.0, 0.0, 1.0])},
  **NOTHING,
)


def test_trained_lengths_and_what_is_beyond_are_apart():
  found = calibration.scores(GRADED)
  assert found["eval/ece/deduction"] == pytest.approx(0.25)
  assert found["eval/brier/deduction"] == pytest.approx(0.0625)
  assert found["eval/coverage_95/deduction"] == 0.5
  assert found["eval/ece/deduction/long 9-14"] == pytest.approx(0.75)
  assert found["eval/coverage_95/deduction/long 9-14"] == 0
  assert found["eval/agreement/brier/deduction"] == 0
  assert found["eval/agreement/coverage_95/deduction/long 9-14"] == 0.5


def test_what_has_no_known_grade_or_no_confidence_is_left_out():
  found = calibration.scores(GRADED)
  induction = {name for name in found if "induction" in name}
  assert induction == {
    f"eval/{measure}/induction" for measure in calibration.MEASURES
  }
  bare = GRADED._replace(probability={}, agreement={})
  assert calibration.scores(bare) == {}


def test_the_table_has_a_row_a_type_and_confidence():
  scores = {
    name.removeprefix("eval/"): value
    for name, value in calibration.scores(GRADED).items()
  }
  accuracy = {"deduction": 0.5, "deduction/long 9-14": 0.5, "induction": 2 / 3}
  head, *rows = calibration.table(accuracy | scores)
  assert head.split() == [
    *("calibration", "confidence", "accuracy", "ECE", "Brier"),
    *("coverage", "at", "95", "%"),
  ]
  long = ("deduction,", "long", "9-14")
  assert [row.split() for row in rows] == [
    ["deduction", "probability", "0.500", "0.250", "0.062", "0.500"],
    ["deduction", "agreement", "0.500", "0.000", "0.000", "0.500"],
    [*long, "probability", "0.500", "0.750", "0.625", "0.000"],
    [*long, "agreement", "0.500", "0.000", "0.000", "0.500"],
    ["induction", "probability", "0.667", "0.167", "0.250", "0.000"],
  ]
  assert calibration.table(accuracy) == []


def test_measures_are_told_from_other_scores():
  names = {name.removeprefix("eval/") for name in calibration.scores(GRADED)}
  assert all(map(calibration.is_measure, names))
  for name in ("deduction", "nll/deduction", "deduction/2-3", "tasks"):
    assert not calibration.is_measure(name)
