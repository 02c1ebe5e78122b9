"""Samples agree with an answer where they mean the same."""

import numpy as np
import pytest

from bitzero_jax.evaluate.agreement import agreement
from bitzero_jax.language import render
from bitzero_jax.state import ABDUCTION, DEDUCTION, INDUCTION, Answers
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.verdict import UNKNOWN, Verdict

WIDTH = 12


@pytest.fixture(scope="module")
def executor():
  with Executor() as shared:
    yield shared


def row(tokens):
  return render.pad(tokens, WIDTH)


def answers(kind, said, programs):
  """One answer a task; what agreement does not look at is zero."""
  rows = len(said)
  zeros = np.zeros((rows, 6, WIDTH), np.int32)
  return Answers(
    kind=np.full(rows, kind),
    program=np.array([row(render.parse(p)) for p in programs]),
    inputs=zeros,
    outputs=zeros,
    pair=np.zeros(rows, np.int32),
    answer=np.array([row(tokens) for tokens in said]),
    asked=np.ones(rows, bool),
  )


def values(*texts):
  return [render.value_tokens(text) for text in texts]


def test_outputs_mean_the_same_if_they_are_equal(executor):
  asked = answers(DEDUCTION, values("[1, 2]", "3"), ["x[1:]", "x[1:]"])
  drawn = np.array(
    [
      [row(v) for v in values("[1, 2]", "[2, 1]", "[1]", "[1, 2]")],
      [row(v) for v in values("[3]", "4", "3", "0")],
    ]
  )
  found = agreement(executor, asked, drawn)
  assert found.tolist() == [0.5, 0.25]


def test_inputs_mean_the_same_if_the_program_says_so(executor):
  asked = answers(
    ABDUCTION, values("[3, 1]", "[3, 1]"), ["sorted(x)", "x[::-1]"]
  )
  same = [row(v) for v in values("[1, 3]", "[3, 1]", "[1]", "[1, 1]")]
  found = agreement(executor, asked, np.array([same, same]))
  assert found.tolist() == [0.5, 0.25]


def test_programs_mean_the_same_if_they_behave_alike(executor):
  programs = [
    render.parse(p)
    for p in ("sorted(x)", "sorted(x[::-1])", "x[1:]", "x[::-1]")
  ]
  asked = answers(INDUCTION, [render.parse("sorted(x)")], ["x[1:]"])
  drawn = np.array([[row(p) for p in programs]])
  assert agreement(executor, asked, drawn).tolist() == [0.5]


class Unsure:
  """An executor that never knows."""

  def run(self, jobs):
    nothing = Verdict(UNKNOWN, "", "", 0, 0, None)
    return [[nothing] * len(job.inputs) for job in jobs]


def test_what_the_executor_cannot_tell_is_compared_token_by_token():
  asked = answers(ABDUCTION, values("[3, 1]"), ["sorted(x)"])
  drawn = np.array([[row(v) for v in values("[1, 3]", "[3, 1]")]])
  assert agreement(Unsure(), asked, drawn).tolist() == [0.5]
