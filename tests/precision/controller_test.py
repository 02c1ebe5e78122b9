"""Which depth answers, and what it costs."""

import numpy as np
import pytest

from bitzero_jax.precision import controller
from bitzero_jax.precision.controller import Route

PLANES = (1, 2, 3)
LENGTH = np.array([2.0, 5.0, 9.0, 14.0])
SURE = np.array(
  [[0.9, 0.2, 0.4, 0.1], [0.9, 0.8, 0.3, 0.2], [0.9, 0.9, 0.9, 0.3]]
)


def ran(chosen, calls=None):
  def ask(depth, tasks):
    if calls is not None:
      calls.append((depth, tasks.tolist()))
    return SURE[depth, tasks]

  return controller.route(chosen, LENGTH, ask, len(PLANES))


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_static_point_runs_once(depth):
  found = ran(controller.always(depth))
  assert (found.stands == depth).all()
  assert found.ran.sum() == 4
  wanted = (2.0625, 4.5, 5.5)[depth]
  assert controller.mean_bits(found, PLANES) == pytest.approx(wanted)


def test_what_is_not_trusted_is_asked_again_with_more_planes():
  calls = []
  found = ran(controller.by_confidence(0.5), calls)
  assert calls == [(0, [0, 1, 2, 3]), (1, [1, 2, 3]), (2, [2, 3])]
  assert found.stands.tolist() == [0, 1, 2, 2]
  bits = (4 * 2.0625 + 3 * 4.5 + 2 * 5.5) / 4
  assert controller.mean_bits(found, PLANES) == pytest.approx(bits)


def test_everything_is_trusted_at_0_and_nothing_above_1():
  assert ran(controller.by_confidence(0.0)).stands.tolist() == [0] * 4
  assert ran(controller.by_confidence(1.1)).ran.all()


def test_long_tasks_begin_deeper():
  calls = []
  found = ran(controller.by_complexity((5, 10), 0.85), calls)
  assert calls == [(0, [0]), (1, [1, 2]), (2, [1, 2, 3])]
  assert found.stands.tolist() == [0, 2, 2, 2]
  assert not found.ran[0, 3]


def test_more_cuts_than_depths_end_at_the_last():
  found = ran(controller.by_complexity((0, 0, 0, 0), 0.0))
  assert found.stands.tolist() == [2] * 4


def test_bits_count_every_attempt():
  both = Route(np.array([[True, False], [True, True]]), np.array([1, 1]))
  assert controller.mean_bits(both, (1, 3)) == pytest.approx(
    (2.0625 + 2 * 5.5) / 2
  )


def test_the_cost_of_every_attempt_is_added_up():
  ran = np.array([[True, True, False], [True, False, True]])
  route = Route(ran, np.array([1, 0, 1]))
  assert controller.mean_cost(route, (2.0, 5.0)) == pytest.approx(14 / 3)
