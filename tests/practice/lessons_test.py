"""Weights and shapes of lessons, and what one update makes of them."""

import jax
import numpy as np
import pytest

from bitzero_jax import config_checks
from bitzero_jax.build import practice as build_practice
from bitzero_jax.language import automaton, layout, render
from bitzero_jax.models.policy import chosen, log_policy
from bitzero_jax.practice.lessons import LESSONS, learning, tasks
from bitzero_jax.state import INDUCTION

KEPT = 4


def test_names_here_are_those_of_the_config():
  assert tuple(LESSONS) == config_checks.CHOICES["practice.lessons"]
  assert (
    tuple(build_practice.WRITERS) == config_checks.CHOICES["practice.writer"]
  )


@pytest.fixture
def some(archives, missed):
  """Three misses at the first question, one of them near."""
  missed(archives[0], "x[1:]", "[1, 2]", "[4, 5]")
  missed(archives[0], "x[2:]", "[2]", "[]")
  missed(archives[0], "x[:1]", "[3]", "[5]")
  return archives


@pytest.mark.parametrize("sharpness", [0.0, 8.0, 100.0])
def test_every_question_with_a_miss_weighs_alike(some, missed, desk, sharpness):
  missed(some[1], "x[1:]", "[1, 2]", "[]", "[3]")
  _, weight = tasks(some, KEPT, sharpness, desk.sizes)
  assert weight.dtype == np.float32
  assert weight.shape == (2 * KEPT,)
  assert np.isfinite(weight).all()
  np.testing.assert_allclose(weight.reshape(2, KEPT).sum(1), 1, rtol=1e-5)
  near = np.array([attempt.closeness for attempt in some[0].first()])
  assert near[0] > near[1]
  wanted = np.exp(sharpness * (near - near[0]))
  np.testing.assert_allclose(weight[:3], wanted / wanted.sum(), atol=1e-6)
  assert weight[3] == 0


def test_a_row_is_the_attempt_with_the_questions_inputs(some, desk):
  made, weight = tasks(some, KEPT, 8.0, desk.sizes)
  for row, attempt in enumerate(some[0].first()):
    assert render.strip(made.program[row]) == attempt.program
    np.testing.assert_array_equal(made.inputs[row], some[0].question.inputs)
    np.testing.assert_array_equal(made.outputs[row], attempt.outputs)
  assert (made.kind == INDUCTION).all()
  assert made.program.shape == (2 * KEPT, desk.sizes.program)
  assert made.inputs.shape == (2 * KEPT, *some[0].question.inputs.shape)
  assert weight[KEPT:].sum() == 0  # nothing was tried at the second


def test_without_misses_there_is_no_weight(archives, desk):
  _, weight = tasks(archives, KEPT, 8.0, desk.sizes)
  assert not weight.any()


def test_an_update_makes_the_lesson_likelier(some, desk, config, params):
  lesson, weight = tasks(some, KEPT, 8.0, desk.sizes)
  learner = build_practice._learner(config, desk.network)
  state, update = learning(learner, params, lesson)
  before = jax.tree.map(np.array, params)
  after = params
  for number in range(5):
    key = np.array([0, number], np.uint32)
    after, state = update(after, state, lesson, weight, key)
  jax.tree.map(np.testing.assert_array_equal, params, before)
  first = some[0].first()[0]
  old, new = (log_prob(desk, some[0], first, p) for p in (params, after))
  assert new > old + 0.1


def log_prob(desk, archive, attempt, params):
  """Of an attempt's program, given its first pairs."""
  shown = slice(None, desk.sizes.shown)
  prompt = layout.induction(
    archive.question.inputs[None, shown], attempt.outputs[None, shown]
  )
  length = desk.sizes.program
  answer = np.array([render.pad(attempt.program, length)], np.int32)
  tokens = np.concatenate([prompt, answer], axis=1)[:, :-1]

  @jax.jit
  def score(params):
    plan = layout.program_plan(desk.tables, 1)
    bias = jax.vmap(
      lambda p, row: automaton.bias_along(
        desk.tables, p, row, desk.sizes.slots, 0.0
      )
    )(plan, answer)
    weights = desk.network.weights(params)
    logits = desk.network.logits(weights, tokens, length)
    return chosen(log_policy(logits, bias, 1.0), answer).sum()

  return float(score(params))
