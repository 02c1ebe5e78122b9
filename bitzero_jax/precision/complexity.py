"""How hard a task looks before anybody has answered it.

The proposer knows the program of every task, and so does a pool; who is asked
to find a program sees examples alone, and has no such measure for it.

Letters: n = tasks of one type, Lp = program tokens, D = depths, numbers of
planes in rising order.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from bitzero_jax.language import depth, grammar
from bitzero_jax.state import RIGHT, UNKNOWN

# (programs int32 [n, Lp], grades int [D, n] of what ran before at each depth)
# -> float [n], of which the highest is the hardest. No task's own grade tells
# of it.
Complexity = Callable[[np.ndarray, np.ndarray], np.ndarray]


def length(program: np.ndarray, grades: np.ndarray) -> np.ndarray:
  """Tokens of the program."""
  del grades
  return np.sum(program != grammar.PAD, axis=1).astype(float)


def nesting(program: np.ndarray, grades: np.ndarray) -> np.ndarray:
  """Levels of the program's expression tree."""
  del grades
  return np.asarray(depth.depth(jnp.asarray(program)), float)


def failures(program: np.ndarray, grades: np.ndarray) -> np.ndarray:
  """Share of failures with fewest planes at the other tasks of its class."""
  known = grades[0] != UNKNOWN
  return _of_others(program, known, known & (grades[0] != RIGHT))


def gains(program: np.ndarray, grades: np.ndarray) -> np.ndarray:
  """What most planes solved beyond fewest, at the other tasks of its class.

  Self-play measures the same of its own tasks, as their gap (`precision.gap`).
  """
  known = (grades[0] != UNKNOWN) & (grades[-1] != UNKNOWN)
  right = (grades == RIGHT).astype(float)
  return _of_others(program, known, known * (right[-1] - right[0]))


def _of_others(
  program: np.ndarray, known: np.ndarray, value: np.ndarray
) -> np.ndarray:
  """Mean over the other tasks of a class, where it is known.

  A class is what has the same first production and length. The mean over all
  tasks counts as one more task, so a class of one has that mean.
  """
  value = value.astype(float)
  overall = value.sum() / max(known.sum(), 1)
  width = program.shape[1] + 1
  key = program[:, 0] * width + length(program, known[None])
  _, group = np.unique(key, return_inverse=True)
  others = np.bincount(group, known)[group] - known
  return (np.bincount(group, value)[group] - value + overall) / (others + 1)


MEASURES: Mapping[str, Complexity] = {
  "length": length,
  "nesting": nesting,
  "failures": failures,
  "gains": gains,
}
