"""Planes by the task: what each rule answers, and what it reads for that."""

import numpy as np
import pytest

from bitzero_jax.evaluate import dynamic
from bitzero_jax.evaluate.dynamic_chart import dynamic_charts
from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.language.grammar import FIRST_INT, PAD
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG

DEPTHS = dynamic.Depths((1, 3), (0.001, 0.002))
LENGTHS = np.array([2, 3, 9, 9, 30])
PROGRAM = np.where(np.arange(30) < LENGTHS[:, None], FIRST_INT, PAD)
BUCKET = np.array([0, 0, 0, 0, 1])  # the last lies beyond training
R, W = RIGHT, WRONG
SHALLOW = ([R, W, W, R, R], [0.9, 0.2, 0.4, 0.3, 0.0])
DEEP = ([R, R, R, W, W], [0.9, 0.9, 0.9, 0.9, 0.0])


def graded(grade, sure):
  return Graded(
    exam="e",
    names=("short", "long 3"),
    bucket=BUCKET,
    program=np.arange(5),
    grade={"deduction": np.array(grade)},
    nats={},
    tokens={},
    probability={"deduction": np.array(sure)},
    agreement={},
  )


@pytest.fixture
def points():
  sittings = [graded(*SHALLOW), graded(*DEEP)]
  return dynamic.points(sittings, DEPTHS, PROGRAM)


@pytest.fixture
def found(points):
  return {(p.rule, p.share): (p.bits, p.accuracy) for p in points}


def test_static_points_are_the_sittings_at_the_trained_lengths(found):
  assert found["static", 1] == (2.0625, 0.5)
  assert found["static", 3] == (5.5, 0.75)


def test_the_least_sure_are_asked_again_and_both_attempts_count(found):
  bits, accuracy = found["confidence", 0.5]  # the second and the fourth
  assert bits == pytest.approx(2.0625 + 5.5 / 2)
  assert accuracy == 0.5  # one is gained and one is lost
  assert found["confidence", 0.0] == found["static", 1]
  assert found["confidence", 1.0] == (pytest.approx(2.0625 + 5.5), 0.75)


def test_the_longest_begin_with_most_planes_and_pay_for_them_alone(found):
  bits, accuracy = found["length", 0.5]
  assert bits == pytest.approx((2.0625 + 5.5) / 2)
  assert accuracy == 0.5
  assert found["length", 1.0] == found["static", 3]


@pytest.mark.parametrize("rule", ["length", "nesting", "failures", "gains"])
def test_every_measure_goes_from_fewest_to_most_planes(found, rule):
  assert found[rule, 0.0] == found["static", 1]
  assert found[rule, 1.0] == found["static", 3]


def test_the_oracle_takes_fewest_planes_that_are_right(found):
  bits, accuracy = found["oracle", 1.0]
  assert accuracy == 1.0
  assert bits == pytest.approx((2 * 2.0625 + 2 * 5.5) / 4)


def test_unknown_grades_leave_the_accuracy():
  grade = [R, UNKNOWN, W, R, R]
  one = dynamic.Depths((1,), (0.001,))
  points = dynamic.points([graded(grade, DEEP[1])], one, PROGRAM)
  assert points[0].accuracy == pytest.approx(2 / 3)


def test_types_are_averaged():
  one = graded(*SHALLOW)
  both = one._replace(
    grade=one.grade | {"induction": np.array([R, R, R, R, W])},
    probability=one.probability | {"induction": np.ones(5)},
  )
  depths = dynamic.Depths((1,), (0.001,))
  points = dynamic.points([both], depths, PROGRAM)
  assert points[0].accuracy == 0.75


def test_every_attempt_takes_its_time(points):
  seconds = {(p.rule, p.share): p.seconds for p in points}
  assert seconds["static", 1] == 0.001
  assert seconds["static", 3] == 0.002
  assert seconds["confidence", 0.5] == pytest.approx(0.001 + 0.002 / 2)
  assert seconds["length", 0.5] == pytest.approx((0.001 + 0.002) / 2)
  assert seconds["oracle", 1.0] == pytest.approx((0.001 + 0.002) / 2)


def test_the_table_has_a_line_a_point(points):
  table = dynamic.lines([point._asdict() for point in points])
  assert len(table) == 1 + len(points)
  assert table[1].split() == ["static", "1", "2.06", "1000.0", "0.500"]


def test_the_charts_draw_every_point(points):
  record = {"scores": {"points": [point._asdict() for point in points]}}
  in_bits, in_time = dynamic_charts(record)
  for drawn in (in_bits, in_time):
    assert drawn.count("<circle") == len(points)
  assert "static 3: 75 % at 5.50 bits" in in_bits
  assert "static 3: 75 % at 2000.0 us" in in_time
  assert dynamic_charts({}) == []


def test_an_evaluation_of_before_times_has_one_chart(points):
  old = [point._asdict() for point in points]
  for point in old:
    del point["seconds"]
  assert len(dynamic_charts({"scores": {"points": old}})) == 1
