"""Differences against hand-made ones, and the interval against known truth."""

import numpy as np
import pytest

from bitzero_jax.evaluate.graded import Graded
from bitzero_jax.evaluate.paired import Difference, Paired, difference, pair
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG


def graded(grade, nats=(1.0, 2.0, 3.0, 4.0), exam="e", program=(0, 1, 2, 2)):
  each = {"deduction": np.array(grade)}
  return Graded(
    exam=exam,
    names=("2-3", "long 9-14"),
    bucket=np.zeros(4, int),
    program=np.array(program),
    grade=each,
    nats={"deduction": np.array(nats)},
    tokens={"deduction": np.array([1, 2, 3, 4])},
    probability={},
    agreement={},
  )


EVERY = np.ones(4, bool)
ARM = graded([RIGHT, RIGHT, WRONG, UNKNOWN])
CONTROL = graded([WRONG, RIGHT, RIGHT, RIGHT], nats=(2.0, 2.0, 3.0, 3.0))


def test_a_pair_sums_over_the_tasks_of_a_program():
  accuracy = pair(ARM, CONTROL, EVERY, ["deduction"], False)
  np.testing.assert_array_equal(accuracy.gain, [[1, 0, -1]])
  np.testing.assert_array_equal(accuracy.size, [[1, 1, 1]])
  assert accuracy.mean == 0
  nats = pair(ARM, CONTROL, EVERY, ["deduction"], True)
  np.testing.assert_array_equal(nats.gain, [[-1, 0, 1]])
  np.testing.assert_array_equal(nats.size, [[1, 2, 7]])
  some = pair(ARM, CONTROL, np.arange(4) < 2, ["deduction"], False)
  assert some.gain.shape == (1, 2)
  assert some.mean == 0.5


def test_another_exam_is_refused():
  with pytest.raises(ValueError, match="exams e and f are not the same"):
    pair(ARM, CONTROL._replace(exam="f"), EVERY, ["deduction"], False)


def made_up(rng, truth, scatter, tasks, seeds=3):
  rows = []
  for _ in range(seeds):
    centre = truth + scatter * rng.normal()
    gain = rng.normal(centre, 0.4, (1, tasks))
    rows.append(Paired(gain, np.ones((1, tasks))))
  return rows


@pytest.mark.parametrize("shared", [False, True])
def test_the_interval_finds_what_is_there_and_nothing_else(shared):
  rng = np.random.default_rng(0)
  for truth, word in ((0.1, "better"), (-0.1, "worse")):
    found = difference(made_up(rng, truth, 0.01, 500), shared)
    assert found.verdict(less_is_better=False) == word
    assert found.mean == pytest.approx(np.mean(found.by_seed))
  level = [
    difference(made_up(rng, 0.0, 0.01, 200), shared).verdict(False)
    for _ in range(40)
  ]
  assert level.count("level") >= 36


def test_less_log_loss_is_better():
  found = Difference(-0.2, -0.3, -0.1, (-0.2,))
  assert found.verdict(less_is_better=True) == "better"
  assert found.verdict(less_is_better=False) == "worse"
  assert Difference(0.1, 0.0, 0.2, (0.1,)).verdict(False) == "level"


def test_seeds_that_scatter_widen_the_interval():
  rng = np.random.default_rng(1)
  near, far = (
    difference(made_up(rng, 0.0, scatter, 500), False) for scatter in (0, 0.2)
  )
  assert far.high - far.low > 3 * (near.high - near.low)


def test_the_same_table_every_time_and_one_seed_will_do():
  one = made_up(np.random.default_rng(2), 0.0, 0.0, 300, seeds=1)
  assert difference(one, False) == difference(one, False)
  spread = difference(one, False).high - difference(one, False).low
  assert spread == pytest.approx(2 * 1.96 * 0.4 / np.sqrt(300), rel=0.15)
