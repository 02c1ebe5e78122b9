"""How hard a task looks before anybody has answered it.

The proposer knows the program of every task, and so does a pool; who is asked
to find a program sees examples alone, and has no such measure for it.

Letters: n = tasks of one type, Lp = program tokens.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from bitzero_jax.language import depth, grammar
from bitzero_jax.state import RIGHT, UNKNOWN

# (programs int32 [n, Lp], grades int [n] of what ran before) -> float [n], of
# which the highest is the hardest. No task's own grade tells of it.
Complexity = Callable[[np.ndarray, np.ndarray], np.ndarray]


def length(program: np.ndarray, grade: np.ndarray) -> np.ndarray:
  """Tokens of the program."""
  del grade
  return np.sum(program != grammar.PAD, axis=1).astype(float)


def nesting(program: np.ndarray, grade: np.ndarray) -> np.ndarray:
  """Levels of the program's expression tree."""
  del grade
  return np.asarray(depth.depth(jnp.asarray(program)), float)


def failures(program: np.ndarray, grade: np.ndarray) -> np.ndarray:
  """Share of failures at the other tasks of its class.

  A class is what has the same first production and length. The share counts
  the mean over all tasks as one more task, so a class of one has that mean.
  """
  known = grade != UNKNOWN
  wrong = (known & (grade != RIGHT)).astype(float)
  overall = wrong.sum() / max(known.sum(), 1)
  key = program[:, 0] * (program.shape[1] + 1) + length(program, grade)
  _, group = np.unique(key, return_inverse=True)
  failed = np.bincount(group, wrong)[group] - wrong
  others = np.bincount(group, known)[group] - known
  return (failed + overall) / (others + 1)


MEASURES: Mapping[str, Complexity] = {
  "length": length,
  "nesting": nesting,
  "failures": failures,
}
