"""The language of a run, who runs its programs, and the exams in it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.curriculum import widen
from bitzero_jax.evaluate import exam as exam_lib
from bitzero_jax.evaluate import human
from bitzero_jax.language import levels
from bitzero_jax.language.layout import Sizes
from bitzero_jax.verify.executor import Executor
from bitzero_jax.verify.judge import Bounds, Judge
from bitzero_jax.verify.verdict import Limits


class Language(NamedTuple):
  """The language of a run: static lengths, and tables by level.

  Attributes:
    sizes: lengths of the widest level.
    at: level (int32 []) -> (Tables, Bounds).
    last_bounds: Bounds of the last level.
  """

  sizes: Sizes
  at: Any
  last_bounds: Bounds


def build_language(config: Any) -> Language:
  """Tables of every level of the run."""
  chosen = [levels.LEVELS[name] for name in config.language.levels]
  every = [levels.build(level, config.language.weights) for level in chosen]
  bounds = [
    Bounds(*map(np.int32, (level.items, level.low, level.high)))
    for level in chosen
  ]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *every)
  stacked_bounds = jax.tree.map(lambda *leaves: np.stack(leaves), *bounds)

  def at(level):
    index = level if len(chosen) > 1 else 0  # then a constant
    pick = lambda leaf: jnp.asarray(leaf)[index]  # noqa: E731
    return jax.tree.map(pick, stacked), jax.tree.map(pick, stacked_bounds)

  sizes = Sizes(
    program=max(level.program for level in chosen),
    value=max(level.items for level in chosen) + 2,
    shown=config.language.shown,
    hidden=config.language.hidden,
    references=config.propose.references,
  )
  return Language(sizes, at, bounds[-1])


def build_widen(config: Any) -> widen.Widen:
  """The rule by which the next level begins."""
  c = config.language
  if c.widen_rate > 0:
    return widen.by_rate(c.widen_rate, len(c.levels))
  return widen.by_updates(c.widen_at)


def build_executor(config: Any) -> Executor:
  """Starts the interpreters."""
  return Executor(
    Limits(steps=config.executor.steps),
    workers=config.executor.workers,
    engine=config.executor.engine,
    allow_unsandboxed=config.executor.allow_unsandboxed,
  )


def build_exam(config: Any, judge: Judge) -> exam_lib.Exam:
  """The held-out exam of a run; `config` alone decides it."""
  language = build_language(config)
  return exam_lib.build_exam(
    judge,
    levels.LEVELS[config.language.levels[-1]],
    language.sizes,
    language.last_bounds,
    weights=config.heldout.weights,
    tried=config.language.pairs + config.language.spare,
    candidates=config.heldout.candidates,
    tasks=config.heldout.tasks,
    bar_share=config.heldout.bar_share,
    output_share=config.heldout.output_share,
    seed=config.seed,
  )


def build_human_exam(config: Any, executor: Executor) -> exam_lib.Exam:
  """The functions that people wrote, posed at the run's widest level.

  With as many pairs as induction is posed with, and no spare ones: of the
  inputs that people chose, some functions leave a small level's bounds.
  """
  language = build_language(config)
  level = levels.LEVELS[config.language.levels[-1]]
  judge = Judge(executor, language.sizes.shown + language.sizes.hidden)
  return human.human_exam(judge, level, language.sizes, language.last_bounds)
