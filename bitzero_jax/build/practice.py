"""A practice: who writes, what is learned, and its learner."""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from bitzero_jax.build.language import build_language
from bitzero_jax.build.model import build_network
from bitzero_jax.evaluate.induce import Pair
from bitzero_jax.language import levels
from bitzero_jax.learn.batch import Draw
from bitzero_jax.learn.loss import LossWeights
from bitzero_jax.learn.optimizer import OptimizerSpec, optimizer
from bitzero_jax.learn.update import Learner
from bitzero_jax.models.network import Network
from bitzero_jax.practice import practise, prompted, unprompted
from bitzero_jax.practice.archive import Archive
from bitzero_jax.practice.desk import Desk
from bitzero_jax.practice.lessons import LESSONS, learning, tasks
from bitzero_jax.practice.question import question as ask

WRITERS = {
  "model": prompted.sampled,
  "guided": prompted.guided,
  "search": unprompted.searched,
}
STEP = prompted.WIDTH  # rows of a writer are a multiple of it
assert STEP % prompted.COPIES == 0


def build_practice(
  config: Any, params: Any, functions: Sequence[Sequence[Pair]]
) -> tuple[practise.Practice, list[int]]:
  """A practice, compiled: this takes a while.

  Args:
    config: validated; `config.practice` says how.
    params: the model's parameters.
    functions: examples of each.

  Returns:
    The practice, and the numbers of the functions that it is about, in its
    order: of the others, the level can say no example.

  Raises:
    ValueError: the level can say no example of any.
  """
  c = config.practice
  language = build_language(config)
  sizes, bounds = language.sizes, language.last_bounds
  tables, _ = language.at(jnp.int32(len(config.language.levels) - 1))
  pairs = config.language.pairs
  asked = [ask(given, bounds, pairs, sizes.value) for given in functions]
  questions = [question for question in asked if question]
  if not questions:
    raise ValueError(
      f"this model reads lists of at most {bounds.items} ints from {bounds.low}"
      f" to {bounds.high}: none of the examples fits"
    )
  lessons = LESSONS[c.lessons]
  unaimed = lessons is not None and not lessons.aimed
  rows = c.programs // 2 if unaimed else c.programs
  edits = min(STEP * round(c.edit_share * rows / STEP), rows - STEP)
  desk = Desk(
    network=build_network(config),
    params=params,
    level=levels.LEVELS[config.language.levels[-1]],
    tables=tables,
    sizes=sizes,
    questions=len(questions),
    rows=rows - edits,
    resume_share=c.resume_share,
    sharpness=c.sharpness,
  )
  shares = ((WRITERS[c.writer], rows - edits), (unprompted.edited, edits))
  resumes = c.writer == "model" and c.resume_share > 0
  alone = len(questions) == 1  # whoever asks it is shown the nearest misses
  archives = [Archive(q, bounds, c.kept) for q in questions]
  drawn = (
    [Archive(q, bounds, c.kept, lessons.rank) for q in questions]
    if lessons and unaimed
    else []
  )
  lesson = update = optimizer_state = None
  if lessons is not None:
    lesson = functools.partial(
      tasks,
      kept=c.kept,
      sharpness=c.sharpness if lessons.aimed else 0.0,
      sizes=sizes,
    )
    optimizer_state, update = learning(
      _learner(config, desk.network), params, lesson(archives)[0]
    )
  practice = practise.Practice(
    writers=[make(desk._replace(rows=n)) for make, n in shares if n],
    draw=unprompted.drawn(desk._replace(rows=rows)) if unaimed else None,
    archives=archives,
    drawn=drawn,
    misses=lessons is not None or edits > 0 or resumes or alone,
    lesson=lesson,
    update=update,
    optimizer=optimizer_state,
  )
  return practice, [i for i, question in enumerate(asked) if question]


def _learner(config: Any, network: Network) -> Learner:
  """Hindsight alone, at a constant learning rate, with a fresh optimizer."""
  c, o = config.practice, config.optimizer
  spec = OptimizerSpec(
    name=o.name,
    learning_rate=c.learning_rate,
    muon_scale=o.muon_scale,
    schedule="cosine",
    second_stage_at=1.0,
    second_stage_share=1.0,
    final_share=1.0,
    warmup=0,
    updates=1,
    b1=o.b1,
    b2=o.b2,
    weight_decay=o.weight_decay,
    decay_until=1.0,
    clip=o.clip,
  )
  return Learner(
    network=network,
    optimizer=optimizer(spec),
    weights=LossWeights(
      hindsight=1.0,
      solve=0.0,
      propose=0.0,
      imitate=0.0,
      entropy=0.0,
      prior_kl=0.0,
      clip_low=config.learn.clip_low,
      clip_high=config.learn.clip_high,
      solve_temperature=config.solve.temperature,
      propose_temperature=config.propose.temperature,
    ),
    draw=Draw(
      rows=tuple(c.rows),
      fresh_share=1.0,
      shown=config.language.shown,
      shown_weight=config.learn.shown_weight,
    ),
    updates=c.updates,
  )
