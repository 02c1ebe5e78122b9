"""A question: examples of an unknown function, as text and as tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bitzero_jax.evaluate import induce
from bitzero_jax.evaluate.induce import Pair
from bitzero_jax.verify.judge import Bounds, in_bounds


class Question(NamedTuple):
  """Examples of one function. N = pairs that a task keeps.

  Attributes:
    given: all its pairs of input and output text; an answer must fit them.
    sayable: numbers of those that the language's level can say; these alone
      are shown to the model, and tasks to learn from are made of them.
    inputs, outputs: int32 [N, Lv], the sayable pairs, again from the first
      where there are fewer than N.
  """

  given: tuple[Pair, ...]
  sayable: tuple[int, ...]
  inputs: np.ndarray
  outputs: np.ndarray

  def some(
    self, count: int, random: np.random.Generator
  ) -> tuple[np.ndarray, np.ndarray]:
    """`count` pairs in random order, again from the first if there are fewer.

    Returns:
      (int32 [count, Lv], int32 [count, Lv]).
    """
    different = min(len(self.sayable), len(self.inputs))
    order = np.resize(random.permutation(different), count)
    return self.inputs[order], self.outputs[order]


def question(
  given: Sequence[Pair], bounds: Bounds, pairs: int, width: int
) -> Question | None:
  """Reads one.

  Args:
    given: pairs of canonical input and output text.
    bounds: what the level can say.
    pairs: N.
    width: Lv.

  Returns:
    The question, or None where the level can say none of its pairs.
  """
  sayable = tuple(
    i for i, p in enumerate(given) if all(in_bounds(t, bounds) for t in p)
  )
  if not sayable:
    return None
  rows = [
    [induce.value_row(text, width) for text in pair]
    for pair in induce.shown(given, bounds, pairs)
  ]
  values = np.array(rows, np.int32)
  return Question(tuple(given), sayable, values[:, 0], values[:, 1])
