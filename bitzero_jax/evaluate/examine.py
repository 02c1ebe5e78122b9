"""Sits a model for an exam: greedy answers, graded by the executor."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax import sample
from bitzero_jax.evaluate.exam import Exam, trained_lengths
from bitzero_jax.language.levels import build
from bitzero_jax.language.rows import plan_of, rows_of
from bitzero_jax.models.network import Network
from bitzero_jax.state import INDUCTION, KINDS, RIGHT, UNKNOWN, Answers, take
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

  def answer(params, kind):
    weights = network.weights(params)

    def some(rows):
      prompt, gold = rows_of(
        kind, take(tasks, rows), pair[rows], exam.sizes.shown
      )
      written = sample.write(
        network,
        weights,
        tables,
        plan_of(kind, tables),
        prompt,
        jax.random.key(0),
        length=gold.shape[1],
        slots=exam.sizes.slots,
        temperature=0,
      )
      return written.answer

    answers = jax.lax.map(some, index)
    return answers.reshape(count + fill, -1)[:count]

  compiled = jax.jit(answer, static_argnums=1)

  def examine(params) -> dict[str, np.ndarray]:
    grades = {}
    for kind, name in enumerate(KINDS):
      written = np.asarray(compiled(params, kind))
      asked_pair = np.full(count, exam.sizes.shown, np.int32)
      grades[name] = judge.grade(
        Answers(
          kind=np.full(count, kind, np.int32),
          program=exam.tasks.program,
          inputs=exam.tasks.inputs,
          outputs=exam.tasks.outputs,
          pair=asked_pair if kind == INDUCTION else exam.pair,
          answer=written,
          asked=np.ones(count, bool),
        )
      )
    return grades

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
  return float(np.mean(grade[where] == RIGHT))
