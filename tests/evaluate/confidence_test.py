"""Calibration of made-up answers, whose scores are known."""

import math

import numpy as np
import pytest

from bitzero_jax.evaluate.confidence import (
  brier,
  coverage,
  expected_calibration_error,
  reliability,
)
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG


def grades(text):
  """ "+-?" -> right, wrong, unknown."""
  return np.array([{"+": RIGHT, "-": WRONG, "?": UNKNOWN}[c] for c in text])


def test_a_bin_holds_its_upper_edge_and_the_first_one_zero():
  confidence = np.array([0.0, 0.1, 0.1000001, 0.5, 0.55, 1.0])
  found = reliability(confidence, grades("-+-+-+"))
  assert found.count.tolist() == [2, 1, 0, 0, 1, 1, 0, 0, 0, 1]
  assert found.confidence[0] == pytest.approx(0.05)
  assert found.accuracy[[0, 1, 4, 5, 9]].tolist() == [0.5, 0, 1, 0, 1]
  assert np.isnan(found.accuracy[2]) and np.isnan(found.confidence[2])


def test_answers_as_often_right_as_they_are_confident_have_no_error():
  confidence = np.repeat([0.2, 0.5, 0.9], 10)
  grade = grades("++--------" + "+++++-----" + "+++++++++-")
  assert expected_calibration_error(confidence, grade) == pytest.approx(0)
  expected = (0.2 * 0.8 + 0.5 * 0.5 + 0.9 * 0.1) / 3
  assert brier(confidence, grade) == pytest.approx(expected)


def test_a_long_calibrated_stream_has_almost_no_error():
  rng = np.random.default_rng(0)
  confidence = rng.random(200_000)
  grade = np.where(rng.random(200_000) < confidence, RIGHT, WRONG)
  assert expected_calibration_error(confidence, grade) < 0.005
  assert brier(confidence, grade) == pytest.approx(1 / 6, abs=0.005)


def test_over_confidence_is_its_own_size():
  confidence = np.full(10, 0.9)
  grade = grades("++++------")
  assert expected_calibration_error(confidence, grade) == pytest.approx(0.5)
  assert brier(confidence, grade) == pytest.approx(0.4 * 0.01 + 0.6 * 0.81)
  assert coverage(confidence, grade) == 0


def test_the_error_weighs_bins_by_their_answers():
  confidence = np.array([0.05, 0.05, 0.05, 0.75])
  found = expected_calibration_error(confidence, grades("---+"))
  assert found == pytest.approx((3 * 0.05 + 0.25) / 4)
  assert expected_calibration_error(
    confidence, grades("---+"), bins=1
  ) == pytest.approx(abs(0.25 - 0.225))


@pytest.mark.parametrize(
  ("confidence", "grade", "precision", "expected"),
  [
    ([0.9, 0.8, 0.7, 0.6], "++-+", 0.95, 0.5),
    ([0.9, 0.8, 0.7, 0.6], "++-+", 0.75, 1.0),  # the largest, past a dip
    ([0.6, 0.7, 0.8, 0.9], "+-++", 0.95, 0.5),  # in any order
    ([0.9, 0.8, 0.7], "-++", 0.95, 0.0),  # the surest is wrong
    ([0.9, 0.9, 0.5], "+-+", 0.95, 0.0),  # a tie is kept or dropped whole
    ([0.9, 0.9, 0.5, 0.5], "+++-", 0.95, 0.5),
    ([0.5] * 20, "+" * 19 + "-", 0.95, 1.0),  # exactly at the precision
    ([0.5] * 60, "+" * 57 + "---", 0.95, 1.0),
    ([0.5] * 19, "+" * 18 + "-", 0.95, 0.0),
    ([1.0], "+", 1.0, 1.0),
    ([0.9, 0.8], "--", 0.95, 0.0),
  ],
)
def test_coverage_is_the_largest_share_at_a_precision(
  confidence, grade, precision, expected
):
  assert coverage(np.array(confidence), grades(grade), precision) == expected


def test_unknown_grades_are_left_out():
  confidence, grade = np.array([0.9, 0.4, 0.2]), grades("+-?")
  for measure in (expected_calibration_error, brier, coverage):
    assert measure(confidence, grade) == measure(confidence[:2], grade[:2])
  assert reliability(confidence, grade).count.sum() == 2


@pytest.mark.parametrize("grade", ["", "??"])
def test_nothing_known_has_no_error_and_no_coverage(grade):
  confidence = np.full(len(grade), 0.5)
  assert math.isnan(expected_calibration_error(confidence, grades(grade)))
  assert math.isnan(brier(confidence, grades(grade)))
  assert coverage(confidence, grades(grade)) == 0
  assert reliability(confidence, grades(grade)).count.sum() == 0


@pytest.mark.parametrize("bad", [1.5, -0.1, math.nan])
def test_what_is_no_confidence_is_refused(bad):
  with pytest.raises(
    ValueError, match=rf"confidence={bad} must be in \[0, 1\]"
  ):
    coverage(np.array([0.5, bad]), grades("+-"))
