"""What one unchanging answer is worth."""

import numpy as np
import pytest

from bitzero_jax.evaluate.constant import best_constant
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.language import levels, render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.state import Task
from bitzero_jax.verify.executor import Executor

SIZES = Sizes(program=14, value=7, shown=2, hidden=2, references=1)


@pytest.fixture(scope="module")
def executor():
  with Executor() as shared:
    yield shared


def exam(*rows):
  """Rows of (program, bucket, pair, inputs, outputs)."""

  def values(lists):
    return np.array(
      [
        [render.pad(render.value_tokens(t), 7) for t in texts]
        for texts in lists
      ],
      np.int32,
    )

  programs, bucket, pair, inputs, outputs = zip(*rows, strict=True)
  nothing = np.zeros(len(rows), np.int32)
  return Exam(
    tasks=Task(
      program=np.array(
        [render.pad(render.parse(p), 14) for p in programs], np.int32
      ),
      inputs=values(inputs),
      outputs=values(outputs),
      behaviour=np.zeros((len(rows), 2), np.uint32),
      kind=nothing,
      source=nothing,
    ),
    pair=np.array(pair, np.int32),
    bucket=np.array(bucket, np.int32),
    names=("short", "long"),
    sizes=SIZES,
    level=levels.LEVELS["small"],
  )


INPUTS = ("[2, 1]", "[3]", "[1, 2]", "[0, 0, 1]")


def test_the_best_constant_is_found_for_each_type(executor):
  found = best_constant(
    executor,
    exam(
      ("len(x)", 0, 0, INPUTS, ("2", "1", "2", "3")),
      ("sum(x)", 0, 1, INPUTS, ("3", "3", "3", "1")),
      ("max(x) + 1", 0, 2, INPUTS, ("3", "4", "3", "2")),
      ("sorted(x)", 0, 0, INPUTS, ("[1, 2]", "[3]", "[1, 2]", "[0, 0, 1]")),
      ("sorted(x[:9])", 1, 1, INPUTS, ("[1, 2]", "[3]", "[1, 2]", "[0, 0, 1]")),
    ),
  )
  # "3" is asked twice of four; the long task does not count.
  assert found.deduction == 2 / 4
  # [1, 2] has two items, sum 3, largest item 2, and is sorted.
  assert found.abduction == 4 / 4
  assert found.induction == 1 / 4
  assert found.answers[:2] == ("3", "[2, 1]")
  assert found.best == 1.0


def test_induction_needs_every_hidden_pair(executor):
  same = ("[1, 1]", "[2, 2]", "[1, 2]", "[0, 1]")
  found = best_constant(
    executor,
    exam(
      ("sorted(x)", 0, 0, same, same),
      ("x[:5]", 0, 1, same, same),
      ("x[::-1]", 0, 2, same, ("[1, 1]", "[2, 2]", "[2, 1]", "[1, 0]")),
    ),
  )
  assert found.induction == 2 / 3
  assert found.answers[2] in ("x[:5]", "sorted(x)")
