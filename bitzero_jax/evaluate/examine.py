"""Sits a model for an exam: greedy answers, graded by the executor."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.evaluate.exam import Exam, trained_lengths
from bitzero_jax.language.levels import build
from bitzero_jax.models.network import Network
from bitzero_jax.solve import Solver, solve
from bitzero_jax.state import KINDS, RIGHT, UNKNOWN, take
from bitzero_jax.verify.judge import Judge

Examiner = Callable[[Any], dict[str, np.ndarray]]
_ROWS = 128  # tasks answered in one device call


def examiner(network: Network, exam: Exam, judge: Judge) -> Examiner:
  """Compiles the answering once for an exam.

  Returns:
    params -> grades int32 [n] by task type (RIGHT, WRONG, UNKNOWN).
  """
  tables = jax.tree.map(jnp.asarray, build(exam.level))
  tasks = jax.tree.map(jnp.asarray, exam.tasks)
  pair = jnp.asarray(exam.pair)
  count = exam.pair.shape[0]
  fill = -count % _ROWS
  index = jnp.arange(count + fill).reshape(-1, _ROWS) % count

  solver = Solver(exam.sizes, temperature=0, samples=1)
  asked = jnp.ones(_ROWS, bool)

  @jax.jit
  def answer(params):
    weights = network.weights(params)

    def some(rows):
      posed = take(tasks, rows)
      solved = solve(
        solver,
        network,
        weights,
        tables,
        [posed] * len(KINDS),
        [pair[rows]] * len(KINDS),
        [asked] * len(KINDS),
        jax.random.key(0),
      )
      return [answers for answers, _ in solved]

    answers = jax.lax.map(some, index)
    return jax.tree.map(
      lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count], answers
    )

  def examine(params) -> dict[str, np.ndarray]:
    answers = jax.device_get(answer(params))
    return {
      name: judge.grade(mine) for name, mine in zip(KINDS, answers, strict=True)
    }

  return examine


def summarize(exam: Exam, grades: dict[str, np.ndarray]) -> dict[str, float]:
  """Accuracies: over the trained lengths, and for each bucket.

  Unknown verdicts are neither right nor wrong and leave the average.
  """
  result = {}
  trained = trained_lengths(exam)
  for name, grade in grades.items():
    known = grade != UNKNOWN
    result[f"eval/{name}"] = _share(grade, trained & known)
    for number, bucket in enumerate(exam.names):
      mine = (exam.bucket == number) & known
      if mine.any():
        result[f"eval/{name}/{bucket}"] = _share(grade, mine)
  return result


def _share(grade: np.ndarray, where: np.ndarray) -> float:
  return float(np.sum(grade[where] == RIGHT) / max(np.sum(where), 1))
