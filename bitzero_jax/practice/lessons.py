"""What is learned between two answers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.language.layout import Sizes
from bitzero_jax.learn.update import Learner, learn
from bitzero_jax.practice.archive import Archive, Rank, nearest, newest
from bitzero_jax.practice.desk import KEY
from bitzero_jax.runtime.compiling import compiled
from bitzero_jax.state import INDUCTION, Task

# (parameters, optimizer state, tasks, weights, key's data) -> both, changed.
Update = Callable[..., tuple[Any, Any]]


class Lessons(NamedTuple):
  """Which tasks practice learns from.

  Attributes:
    aimed: they are the misses at the questions; else programs of the grammar,
      run on the questions' inputs, which take half of the round's tries.
    rank: which attempts are kept.
  """

  aimed: bool
  rank: Rank


LESSONS: dict[str, Lessons | None] = {
  "own": Lessons(aimed=True, rank=nearest),
  "random": Lessons(aimed=False, rank=newest),
  "none": None,
}


def tasks(
  archives: Sequence[Archive], kept: int, sharpness: float, sizes: Sizes
) -> tuple[Task, np.ndarray]:
  """The attempts that archives kept, as induction tasks with a weight each.

  Args:
    archives: Q of them.
    kept: attempts of each, at most.
    sharpness: an attempt weighs exp(sharpness * closeness), over the sum of its
      question's: every question with an attempt weighs alike.
    sizes: lengths of the language.

  Returns:
    (Task with B = Q * kept, float32 [B], 0 where there is no attempt).
  """
  rows = len(archives) * kept
  shape = archives[0].question.inputs.shape
  program = np.zeros((rows, sizes.program), np.int32)
  inputs, outputs = np.zeros((2, rows, *shape), np.int32)
  score = np.full((len(archives), kept), -np.inf, np.float32)
  for number, archive in enumerate(archives):
    near = archive.first()
    score[number, : len(near)] = [sharpness * a.closeness for a in near]
    for place, attempt in enumerate(near, number * kept):
      program[place, : len(attempt.program)] = attempt.program
      inputs[place] = archive.question.inputs
      outputs[place] = attempt.outputs
  best = np.maximum(score.max(axis=1, keepdims=True), 0)  # 0 without attempts
  weight = np.exp(score - best)  # as it stands, it may not fit a float
  weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1)
  nothing = np.zeros(rows, np.int32)
  task = Task(
    program=program,
    inputs=inputs,
    outputs=outputs,
    behaviour=np.zeros((rows, 2), np.uint32),
    kind=nothing + INDUCTION,
    source=nothing,
  )
  return task, weight.reshape(-1)


def learning(learner: Learner, params: Any, like: Task) -> tuple[Any, Update]:
  """A fresh optimizer state, and the compiled update: this takes a while.

  Args:
    learner: how it learns.
    params: parameters, for their shapes.
    like: tasks, for their shapes.
  """
  rows, pairs, value = like.inputs.shape
  pool = pool_lib.empty(1, pairs, like.program.shape[1], value)

  @jax.jit
  def update(params, state, tasks, weight, key):
    params, state, _ = learn(
      learner,
      params,
      state,
      {},
      None,
      tasks,
      weight,
      pool,
      jax.random.wrap_key_data(key),
    )
    return params, state

  state = jax.jit(learner.optimizer.init)(params)
  weight = jnp.zeros(rows)
  traced = update.trace(params, state, like, weight, KEY)
  return state, compiled(traced)
