"""How long an answer takes: seconds, measured on this process's device."""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.language.levels import build
from bitzero_jax.models.network import Network
from bitzero_jax.runtime.compiling import compiled
from bitzero_jax.solve import Solver, solve
from bitzero_jax.state import KINDS, take

_ROWS = 128  # tasks of each type in a batch
_WARM, _REPEATS = 1, 5


def seconds_an_answer(network: Network, exam: Exam, params: Any) -> float:
  """Seconds of a greedy answer in full batches of tasks of every type.

  The executor's time is not in it. Compiles once; the median of five batches.

  Args:
    network: the model.
    exam: whose first tasks are answered, again and again where they are few.
    params: of the network.
  """
  tables = jax.tree.map(jnp.asarray, build(exam.level))
  greedy = Solver(exam.sizes, temperature=0, samples=1)
  asked = [jnp.ones(_ROWS, bool)] * len(KINDS)
  rows = np.arange(_ROWS) % len(exam.pair)

  @jax.jit
  def answer(params, tasks, pair):
    weights, key = network.weights(params), jax.random.key(0)
    posed, pairs = [tasks] * len(KINDS), [pair] * len(KINDS)
    said = solve(greedy, network, weights, tables, posed, pairs, asked, key)
    return [answers.answer for answers, _ in said]

  given = jax.device_put((params, take(exam.tasks, rows), exam.pair[rows]))
  run = compiled(answer.trace(*given))
  spent = []
  for _ in range(_WARM + _REPEATS):
    begin = time.perf_counter()
    jax.block_until_ready(run(*given))
    spent.append(time.perf_counter() - begin)
  return statistics.median(spent[_WARM:]) / (_ROWS * len(KINDS))
