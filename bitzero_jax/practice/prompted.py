"""The model answers questions: by samples, or by its likeliest programs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax import beam, sample
from bitzero_jax.language import layout
from bitzero_jax.language.levels import NEVER
from bitzero_jax.practice.archive import Archive
from bitzero_jax.practice.desk import (
  KEY,
  Desk,
  Write,
  device_key,
  draw_near,
  owned,
)
from bitzero_jax.practice.turns import Turns
from bitzero_jax.runtime.compiling import compiled

COPIES = 16  # programs sampled for a prompt
WIDTH = 128  # programs that a beam finds for a prompt


def sampled(desk: Desk) -> Write:
  """The model writes at temperature 1, shown some of the examples.

  Of its programs `resume_share` begin as a miss at the question does, up to a
  random token: the model rewrites the end of what was nearly right.
  """

  def write(params, prompts, begun, key):
    return sample.write(
      desk.network,
      desk.network.weights(params),
      desk.tables,
      layout.program_plan(desk.tables, desk.rows),
      prompts,
      key,
      length=desk.sizes.program,
      slots=desk.sizes.slots,
      temperature=1.0,
      begun=begun,
      copies=COPIES,
    ).answer

  return _prompted(desk, COPIES, write)


def guided(desk: Desk) -> Write:
  """Brute force in the model's order: beams, shown some of the examples."""

  def write(params, prompts, begun, key):
    del begun, key
    answers, scores = beam.search(
      desk.network,
      desk.network.weights(params),
      desk.tables,
      layout.program_plan(desk.tables, desk.rows // WIDTH),
      prompts,
      width=WIDTH,
      length=desk.sizes.program,
      slots=desk.sizes.slots,
    )
    real = (scores > NEVER / 2)[..., None]
    return jnp.where(real, answers, 0).reshape(-1, desk.sizes.program)

  # Where no miss is taken up, none is looked for.
  return _prompted(desk._replace(resume_share=0.0), WIDTH, write)


def _prompted(desk: Desk, copies: int, write: Callable[..., Any]) -> Write:
  """A writer that reads `copies` programs off each prompt."""
  count, sizes = desk.rows // copies, desk.sizes
  shape = (desk.rows, sizes.program)
  values = jax.ShapeDtypeStruct((count, sizes.shown, sizes.value), jnp.int32)

  @jax.jit
  def answer(params, inputs, outputs, begun, key):
    prompts = layout.induction(inputs, outputs)
    return write(params, prompts, begun, jax.random.wrap_key_data(key))

  run = compiled(
    answer.trace(
      desk.params, values, values, jax.ShapeDtypeStruct(shape, jnp.int32), KEY
    )
  )
  turns = Turns()

  def ask(
    params: Any,
    archives: Sequence[Archive],
    left: Sequence[int],
    random: np.random.Generator,
  ):
    owners = turns.take(left, count, random)
    shown = [archives[i].question.some(sizes.shown, random) for i in owners]
    inputs, outputs = (np.stack(side) for side in zip(*shown, strict=True))
    begun = np.zeros(shape, np.int32)
    resumed = random.random(shape[0]) < desk.resume_share
    for place, number in enumerate(owners):
      rows = np.flatnonzero(resumed[place * copies : (place + 1) * copies])
      near = archives[number].first() if len(rows) else []
      if near:
        drawn = draw_near(near, desk.sharpness, len(rows), random)
        for row, attempt in zip(rows + place * copies, drawn, strict=True):
          cut = random.integers(len(attempt.program))
          begun[row, :cut] = attempt.program[:cut]
    rows = run(params, inputs, outputs, begun, device_key(random))
    return owned(np.repeat(owners, copies).tolist(), rows)

  return ask
