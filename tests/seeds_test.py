"""Several seeds are one record, and one batch for the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax import seeds
from bitzero_jax.state import Answers, Candidates, Outcome

ROWS = 3


def candidates(first):
  """Three rows that are told apart by their first token."""
  program = np.zeros((ROWS, 4), np.int32)
  program[:, 0] = first + np.arange(ROWS)
  inputs = np.zeros((ROWS, 2, 5), np.int32)
  zeros = np.zeros(ROWS, np.int32)
  return Candidates(program, inputs, zeros, zeros)


def check(asked, bounds):
  """An outcome that says what was asked, within which bounds."""
  rows = len(asked.program)
  low, high = (np.broadcast_to(bound, rows) for bound in bounds)
  return Outcome(
    reason=asked.program[:, 0],
    inputs=asked.inputs,
    outputs=asked.inputs,
    behaviour=np.stack([low, high], axis=1),
    constant=np.zeros(rows, bool),
    identity=np.zeros(rows, bool),
  )


def grade(answers):
  return answers.program[:, 0] + 100 * answers.kind


def answers(first):
  asked = candidates(first)
  return Answers(
    kind=np.arange(ROWS),
    program=asked.program,
    inputs=asked.inputs,
    outputs=asked.inputs,
    pair=asked.kind,
    answer=asked.program,
    asked=np.ones(ROWS, bool),
  )


def stack(*records):
  return jax.tree.map(lambda *leaves: np.stack(leaves), *records)


def same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_the_host_answers_all_seeds_at_once_as_each_alone():
  judge = seeds.host(check, grade, 2)
  bounds = [(np.int32(0), np.int32(9)), (np.int32(-5), np.int32(99))]
  asked = [candidates(10), candidates(20)]
  got = judge.check(stack(*asked), stack(*bounds))
  same(got, stack(*map(check, asked, bounds)))
  asked = [answers(1), answers(2)]
  same(judge.grade(stack(*asked)), stack(*map(grade, asked)))


def test_one_seed_is_handed_through():
  judge = seeds.host(check, grade, 1)
  assert (judge.check, judge.grade) == (check, grade)
  assert seeds.each(check, 1) is check
  state = {"a": jnp.ones(2)}
  assert seeds.together([state]) is state
  assert seeds.apart(state, 1) == [state]


@pytest.mark.parametrize("count", [2, 3])
def test_together_and_apart(count):
  states = [{"a": jnp.arange(4) + i, "b": jnp.float32(i)} for i in range(count)]
  whole = seeds.together(states)
  assert whole["a"].shape == (count, 4)
  for got, due in zip(seeds.apart(whole, count), states, strict=True):
    same(got, due)
  sums = seeds.each(lambda state: state["a"].sum() + state["b"], count)(whole)
  np.testing.assert_array_equal(sums, [6 + 5 * i for i in range(count)])
