"""An exported model examined and asked in llama.cpp; JAX runs none of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax import build, shipped
from bitzero_jax.evaluate import induce, puzzle
from bitzero_jax.evaluate.exam import Exam
from bitzero_jax.evaluate.examine import accuracies
from bitzero_jax.export import gguf, vocabulary
from bitzero_jax.export.llama import Engine
from bitzero_jax.language import layout, levels, render
from bitzero_jax.language.render import Tokens
from bitzero_jax.language.rows import rows_of
from bitzero_jax.state import KINDS, Answers
from bitzero_jax.trained import Evaluation
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Judge

# What an answer of each task type must be.
_START = {"deduction": "value", "abduction": "argument", "induction": "program"}


class InLlama(NamedTuple):
  """A GGUF file, open in llama.cpp.

  Attributes:
    config: of the run that it was exported from.
    round: the checkpoint's.
    engine: llama.cpp.
    executor: running interpreters.
  """

  config: Any
  round: int
  engine: Engine
  executor: Executor


@contextlib.contextmanager
def opened(path: Path) -> Iterator[InLlama]:
  """Opens a GGUF file that `bitzero export` wrote.

  Raises:
    ValueError: as for `gguf.read_config` and `Engine`.
  """
  config, number = gguf.read_config(path)
  with (
    Engine(path, shipped.longest_row(config)) as engine,
    build.build_executor(config) as executor,
  ):
    yield InLlama(config, number, engine, executor)


def evaluate(model: InLlama, suite: str) -> Evaluation:
  """Sits a model for an exam: greedy answers under the grammar.

  Args:
    model: from `opened`.
    suite: "heldout" or "human".

  Returns:
    Accuracies, and no tasks. They are what JAX gives for the same checkpoint,
    but for answers that activation scales of another grain tip over, and for
    programs that JAX's mask would have made end in time.

  Raises:
    ValueError: another suite.
  """
  judge = Judge(model.executor, model.config.language.pairs)
  if suite == "heldout":
    exam = build.build_exam(model.config, judge)
  elif suite == "human":
    exam = build.build_human_exam(model.config, model.executor)
  else:
    raise ValueError(
      f"a model in llama.cpp takes --suite=heldout or human, not {suite}"
    )
  grades = {
    name: judge.grade(_answers(model.engine, exam, kind))
    for kind, name in enumerate(KINDS)
  }
  scores = accuracies(grades, exam.bucket, exam.names)
  head = {
    "suite": suite,
    "engine": "llama.cpp",
    "round": model.round,
    "step": model.round * model.config.learn.updates,
    "tasks": int(np.sum(exam.bucket < len(exam.names) - 1)),
  }
  plain = {name.removeprefix("eval/"): value for name, value in scores.items()}
  return Evaluation(head | plain, {})


def _answers(engine: Engine, exam: Exam, kind: int) -> Answers:
  """Greedy answers to the tasks of an exam, posed as one type."""
  sizes, name = exam.sizes, KINDS[kind]
  tasks, pair = jax.tree.map(jnp.asarray, (exam.tasks, exam.pair))
  prompts, gold = rows_of(kind, tasks, pair, sizes.shown)
  length = gold.shape[1]
  grammar = vocabulary.gbnf(exam.level, _START[name])
  rows = [
    engine.answers(row, grammar, length)[0]
    for row in np.asarray(prompts).tolist()
  ]
  shown = np.full_like(exam.pair, sizes.shown)
  return Answers(
    kind=np.full(len(rows), kind, np.int32),
    program=exam.tasks.program,
    inputs=exam.tasks.inputs,
    outputs=exam.tasks.outputs,
    pair=shown if name == "induction" else exam.pair,
    answer=np.array([render.pad(row, length) for row in rows], np.int32),
    asked=np.ones(len(rows), bool),
  )


def solve(
  model: InLlama, examples: list[puzzle.Example], samples: int
) -> list[puzzle.Answer]:
  """Programs for a person's examples, sampled in llama.cpp, best first.

  Raises:
    ValueError: as for `puzzle.solve`.
  """
  config = model.config
  level = levels.LEVELS[config.language.levels[-1]]
  sizes = build.build_language(config).sizes

  def write(shown: list[puzzle.Example], samples: int) -> list[Tokens]:
    values = jnp.array(
      [
        [induce.value_row(text, sizes.value) for text in pair] for pair in shown
      ],
      jnp.int32,
    )
    prompt = layout.induction(values[None, :, 0], values[None, :, 1])
    written = model.engine.answers(
      np.asarray(prompt)[0].tolist(),
      vocabulary.gbnf(level, "program"),
      sizes.program,
      [config.seed + i for i in range(samples)],
    )
    return [tuple(tokens) for tokens in written if _is_whole(tokens)]

  return puzzle.solve(write, level, sizes, model.executor, examples, samples)


def _is_whole(tokens: list[int]) -> bool:
  """Whether a program ended by itself; a cut one is none."""
  try:
    render.source(tuple(tokens))
  except ValueError:
    return False
  return True
