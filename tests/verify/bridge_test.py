"""Compiled code and the host hand each other the very same arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from bitzero_jax.language import render
from bitzero_jax.state import DEDUCTION, RIGHT, WRONG, Answers, Candidates
from bitzero_jax.verify import bridge
from bitzero_jax.verify.judge import Bounds, Judge

BOUNDS = Bounds(*map(np.int32, (5, 0, 20)))
PAIRS, WIDTH = 2, 7
PROGRAMS = ("sorted(x)", "len(x)", "x[3]", "sum(x) * 9", "[4]")
INPUTS = ("[3, 1, 2]", "[5, 5]", "[4]")


@pytest.fixture(scope="module")
def mesh():
  return Mesh(np.array(jax.devices()[:1]), ("data",))


@pytest.fixture(scope="module")
def candidates():
  rows = len(PROGRAMS)
  inputs = [render.pad(render.value_tokens(t), WIDTH) for t in INPUTS]
  programs = [render.pad(render.parse(p), 8) for p in PROGRAMS]
  zeros = np.zeros(rows, np.int32)
  return Candidates(
    np.array(programs, np.int32),
    np.array([inputs] * rows, np.int32),
    zeros,
    zeros,
  )


def same(one, two):
  def equal(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    np.testing.assert_array_equal(a, b)

  jax.tree.map(equal, one, two)


def test_a_check_gives_what_the_host_gives(executor, mesh, candidates):
  judge = Judge(executor, PAIRS)
  due = judge.check(candidates, BOUNDS)
  check = jax.jit(bridge.check_callback(judge, PAIRS, mesh))
  on_device = jax.tree.map(jnp.asarray, (candidates, BOUNDS))
  same(jax.device_get(check(*on_device)), due)
  assert judge.failure is None
  assert len(set(due.reason.tolist())) == 3


def test_the_declared_shapes_are_those_that_come(executor, candidates):
  shapes = bridge.outcome_shape(candidates, PAIRS)
  due = Judge(executor, PAIRS).check(candidates, BOUNDS)
  assert jax.tree.map(lambda s: (s.shape, s.dtype), shapes) == jax.tree.map(
    lambda a: (a.shape, a.dtype), due
  )


def test_grades_come_back_row_by_row(executor, mesh, candidates):
  rows = len(PROGRAMS)
  said = ["[1, 2, 3]", "3", "7", "[1]", "[4]"]
  answers = Answers(
    kind=np.full(rows, DEDUCTION, np.int32),
    program=candidates.program,
    inputs=candidates.inputs,
    outputs=candidates.inputs,
    pair=np.array([0, 0, 0, 0, 2], np.int32),
    answer=np.array(
      [render.pad(render.value_tokens(t), WIDTH) for t in said], np.int32
    ),
    asked=np.array([True, True, False, True, True]),
  )
  judge = Judge(executor, PAIRS)
  grade = jax.jit(bridge.grade_callback(judge, mesh))
  graded = jax.device_get(grade(jax.tree.map(jnp.asarray, answers)))
  np.testing.assert_array_equal(graded, [WRONG, WRONG, WRONG, WRONG, RIGHT])
  same(graded, judge.grade(answers))


class Recording:
  """Keeps what it is handed."""

  def __init__(self):
    self.seen = []

  def grade(self, answers):
    self.seen.append(answers)
    return np.arange(answers.kind.shape[0], dtype=np.int32)


def test_the_host_gets_plain_numpy_once_a_call(mesh):
  host = Recording()
  grade = jax.jit(bridge.grade_callback(host, mesh))
  rows = 6
  column = jnp.arange(rows, dtype=jnp.int32)
  answers = Answers(
    kind=column,
    program=column[:, None],
    inputs=column[:, None, None],
    outputs=column[:, None, None],
    pair=column,
    answer=column[:, None],
    asked=column > 2,
  )
  np.testing.assert_array_equal(grade(answers), np.arange(rows))
  jax.block_until_ready(grade(answers))
  assert len(host.seen) == 2
  for leaf in jax.tree.leaves(host.seen[0]):
    assert type(leaf) is np.ndarray
  same(host.seen[0], jax.device_get(answers))
