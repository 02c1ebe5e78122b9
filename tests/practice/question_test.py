"""Examples as text and as tokens."""

import numpy as np
import pytest

from bitzero_jax.language import render
from bitzero_jax.practice.question import question
from bitzero_jax.verify.judge import Bounds

BOUNDS = Bounds(3, 0, 20)
SAYABLE = (("[1]", "[2]"), ("[3, 1]", "7"), ("[]", "[20]"))
UNSAYABLE = (("[1, 2, 3, 4]", "[1]"), ("[1]", "21"), ("[-1]", "[1]"))


def texts(rows):
  return [render.value_text(render.strip(row)) for row in rows]


def test_what_can_be_said_is_shown_and_all_is_given():
  mixed = (UNSAYABLE[0], SAYABLE[0], UNSAYABLE[1], *SAYABLE[1:], UNSAYABLE[2])
  made = question(mixed, BOUNDS, 5, 6)
  assert made.given == mixed
  assert made.sayable == (1, 3, 4)
  assert made.inputs.shape == made.outputs.shape == (5, 6)
  assert texts(made.inputs) == ["[1]", "[3, 1]", "[]", "[1]", "[3, 1]"]
  assert texts(made.outputs) == ["[2]", "7", "[20]", "[2]", "7"]


@pytest.mark.parametrize("given", [UNSAYABLE, ()])
def test_there_is_no_question_where_nothing_can_be_said(given):
  assert question(given, BOUNDS, 5, 6) is None


@pytest.mark.parametrize("pairs", [2, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_some_pairs_stay_pairs_and_differ_while_they_can(pairs, count):
  made = question(SAYABLE, BOUNDS, pairs, 6)
  seen = set()
  for seed in range(40):
    inputs, outputs = made.some(count, np.random.default_rng(seed))
    assert inputs.shape == outputs.shape == (count, 6)
    chosen = tuple(zip(texts(inputs), texts(outputs), strict=True))
    assert set(chosen) <= set(SAYABLE[:pairs])
    assert len(set(chosen)) == min(count, pairs, 3)
    seen.add(chosen)
  different = min(pairs, 3)
  assert len(seen) == {1: different, 2: different * (different - 1)}.get(
    count, {2: 2, 3: 6}[different]
  )
