"""Sits a model for an exam: greedy answers, graded by the executor.

Letters: B = rows of a block, S = samples of a task, A = answer tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.evaluate import calibration
from bitzero_jax.evaluate.agreement import agreement
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.evaluate.graded import Graded, digest
from bitzero_jax.language.grammar import PAD
from bitzero_jax.language.levels import build
from bitzero_jax.language.rows import rows_of
from bitzero_jax.models.network import Network
from bitzero_jax.runtime.compiling import compiled
from bitzero_jax.solve import Solver, gold_nats, solve
from bitzero_jax.state import KINDS, RIGHT, UNKNOWN, take
from bitzero_jax.verify.judge import Judge

Examiner = Callable[[Any], Graded]
_ROWS = 128  # tasks answered in one device call


def examiner(
  network: Network, exam: Exam, judge: Judge, samples: int = 0
) -> Examiner:
  """Prepares the answering, which the first call compiles.

  Args:
    network: the model.
    exam: the tasks.
    judge: grades the answers.
    samples: S, drawn for each task beside its answer, always the same ones, to
      measure agreement; 0 for none.

  Returns:
    params -> Graded: what the executor says of greedy answers, with their
    probability, and the log-loss of the gold ones, from the same compiled
    function.
  """
  return examiners(network, [exam], judge, samples)[0]


def examiners(
  network: Network, exams: Sequence[Exam], judge: Judge, samples: int = 0
) -> list[Examiner]:
  """The same for exams of one level, which share a compilation."""
  answer = _answering(network, exams[0], samples)
  return [_examiner(answer, exam, judge) for exam in exams]


def _answering(
  network: Network, like: Exam, samples: int
) -> Callable[..., Any]:
  """(params, tasks, pair) -> four lists by type, for exams like one.

  Answers, the log-probability of each, nats of the gold answer, and samples,
  int32 [n, S, A]; no samples where `samples` is 0.

  Compiled for a block of tasks, so that exams of any length share it.
  """
  tables = jax.tree.map(jnp.asarray, build(like.level))
  greedy = Solver(like.sizes, temperature=0, samples=1)
  sampling = Solver(like.sizes, temperature=1, samples=1)
  asked = jnp.ones(_ROWS, bool)

  @jax.jit
  def answer(params, tasks, pair, block):
    weights = network.weights(params)
    posed, pairs = [tasks] * len(KINDS), [pair] * len(KINDS)
    rows = [asked] * len(KINDS)

    def said(solver, key):
      return solve(solver, network, weights, tables, posed, pairs, rows, key)

    def one_more(key):
      return [answers.answer for answers, _ in said(sampling, key)]

    solved = said(greedy, jax.random.key(0))
    drawn = []
    if samples:  # one after the other: any number fits into memory
      keys = jax.random.split(jax.random.key(block), samples)
      drawn = [jnp.swapaxes(s, 0, 1) for s in jax.lax.map(one_more, keys)]
    return (
      [answers for answers, _ in solved],
      [rollout.log_prob.sum(axis=1) for _, rollout in solved],
      gold_nats(network, weights, tables, posed, pairs, like.sizes),
      drawn,
    )

  ready: list[Callable[..., Any]] = []

  def ask(params, tasks, pair):
    count = len(pair)
    blocks = np.arange(count + -count % _ROWS).reshape(-1, _ROWS) % count
    posed = [
      (take(tasks, rows), pair[rows], np.uint32(number))
      for number, rows in enumerate(blocks)
    ]
    params, posed = jax.device_put((params, posed))
    if not ready:
      ready.append(compiled(answer.trace(params, *posed[0])))
    said = jax.device_get([ready[0](params, *block) for block in posed])
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *said)

  return ask


def _examiner(answer: Callable[..., Any], exam: Exam, judge: Judge) -> Examiner:
  tasks, pair = jax.tree.map(jnp.asarray, (exam.tasks, exam.pair))
  tokens = {
    name: np.sum(
      np.asarray(rows_of(kind, tasks, pair, exam.sizes.shown)[1]) != PAD, axis=1
    )
    for kind, name in enumerate(KINDS)
  }
  _, program = np.unique(exam.tasks.program, axis=0, return_inverse=True)
  mark = digest(
    exam.tasks.program, exam.tasks.inputs, exam.tasks.outputs, exam.pair
  )

  def examine(params) -> Graded:
    answers, log_prob, nats, drawn = answer(params, exam.tasks, exam.pair)
    return Graded(
      exam=mark,
      names=exam.names,
      bucket=exam.bucket,
      program=program.reshape(-1),
      grade={
        name: judge.grade(mine)
        for name, mine in zip(KINDS, answers, strict=True)
      },
      nats=dict(zip(KINDS, nats, strict=True)),
      tokens=tokens,
      probability={
        name: np.minimum(np.exp(mine), 1.0)
        for name, mine in zip(KINDS, log_prob, strict=True)
      },
      agreement={
        KINDS[kind]: agreement(judge.executor, answers[kind], many)
        for kind, many in enumerate(drawn)
      },
    )

  return examine


def summarize(graded: Graded) -> dict[str, float]:
  """Accuracies and log-losses by bucket and over the trained lengths.

  Log-losses, under "eval/nll/...", are nats per token of the gold answer.
  Unknown verdicts are neither right nor wrong and leave the average. Beside
  them stands what `calibration.scores` gives.
  """
  result = accuracies(graded.grade, graded.bucket, graded.names)
  for name in graded.grade:
    nats, tokens = graded.nats[name], graded.tokens[name]
    result[f"eval/nll/{name}"] = _mean(nats, tokens, ~graded.beyond)
    for number, bucket in enumerate(graded.names):
      mine = graded.bucket == number
      if mine.any():
        result[f"eval/nll/{name}/{bucket}"] = _mean(nats, tokens, mine)
  return result | calibration.scores(graded)


def accuracies(
  grades: Mapping[str, np.ndarray], bucket: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
  """Shares of right answers, over the trained lengths and by bucket.

  Args:
    grades: by type, RIGHT, WRONG or UNKNOWN of each task.
    bucket: int [n], index into `names`, of which the last is beyond training.
    names: of the buckets.
  """
  result = {}
  beyond = bucket == len(names) - 1
  for kind, grade in grades.items():
    known = grade != UNKNOWN
    result[f"eval/{kind}"] = _share(grade, ~beyond & known)
    for number, name in enumerate(names):
      mine = (bucket == number) & known
      if mine.any():
        result[f"eval/{kind}/{name}"] = _share(grade, mine)
  return result


def _share(grade: np.ndarray, where: np.ndarray) -> float:
  return float(np.sum(grade[where] == RIGHT) / max(np.sum(where), 1))


def _mean(nats: np.ndarray, tokens: np.ndarray, where: np.ndarray) -> float:
  total = np.sum(nats[where], dtype=np.float64)
  return float(total / max(tokens[where].sum(), 1))
