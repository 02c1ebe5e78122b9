"""How hard tasks look."""

import numpy as np

from bitzero_jax.language import grammar as g
from bitzero_jax.precision import complexity
from bitzero_jax.state import RIGHT, UNKNOWN, WRONG

X, SORTED, CONCAT = (g.TOKEN_OF[name] for name in ("x", "sorted", "concat"))
PROGRAM = np.array(
  [
    [X, 0, 0, 0],
    [SORTED, X, 0, 0],
    [CONCAT, X, X, 0],
    [CONCAT, SORTED, X, X],
  ]
)


def test_length_and_nesting_are_read_off_the_program():
  grade = np.full((1, 4), WRONG)
  assert complexity.length(PROGRAM, grade).tolist() == [1, 2, 3, 4]
  assert complexity.nesting(PROGRAM, grade).tolist() == [1, 2, 2, 3]


def test_failures_are_those_of_the_others_of_a_class():
  program = PROGRAM[[0, 0, 0, 1]]  # three of one class, one alone
  grade = np.array([WRONG, WRONG, RIGHT, RIGHT])
  found = complexity.failures(program, grade[None])
  np.testing.assert_allclose(found, [1.5 / 3, 1.5 / 3, 2.5 / 3, 0.5])


def test_no_tasks_own_grade_tells_of_its_class():
  program = PROGRAM[[1, 1, 1, 2, 2]]
  one = np.array([WRONG, RIGHT, WRONG, RIGHT, WRONG])
  other = np.array([RIGHT, WRONG, WRONG, RIGHT, WRONG])  # the mean is the same
  assert (
    complexity.failures(program, one[None])[2]
    == (complexity.failures(program, other[None])[2])
  )
  assert (
    complexity.failures(program, one[None])[0]
    < (complexity.failures(program, other[None])[0])
  )


def test_unknown_grades_do_not_count():
  program = PROGRAM[[1, 1, 1]]
  grade = np.array([UNKNOWN, WRONG, RIGHT])
  np.testing.assert_allclose(
    complexity.failures(program, grade[None]), [1.5 / 3, 0.5 / 2, 1.5 / 2]
  )


def test_gains_are_those_of_the_others_of_a_class():
  program = PROGRAM[[0, 0, 0, 1]]
  fewest = np.array([WRONG, WRONG, RIGHT, UNKNOWN])
  most = np.array([RIGHT, WRONG, WRONG, RIGHT])  # gained 1, 0 and -1; unknown
  found = complexity.gains(program, np.stack([fewest, most]))
  np.testing.assert_allclose(found, [-1 / 3, 0, 1 / 3, 0])


def test_every_measure_has_its_name():
  for name, measure in complexity.MEASURES.items():
    assert measure.__name__ == name
    grade = np.full((2, len(PROGRAM)), RIGHT)
    assert measure(PROGRAM, grade).shape == (len(PROGRAM),)
