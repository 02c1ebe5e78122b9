"""Who writes programs without a model: the grammar, search, and edits."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bitzero_jax.evaluate import search
from bitzero_jax.language import edit, layout, prior
from bitzero_jax.language.render import Tokens
from bitzero_jax.practice.archive import Archive
from bitzero_jax.practice.desk import (
  KEY,
  Desk,
  Pending,
  Write,
  device_key,
  draw_near,
  owned,
)
from bitzero_jax.practice.turns import Turns
from bitzero_jax.runtime.compiling import compiled


def searched(desk: Desk) -> Write:
  """Brute force in the order of the grammar's prior."""
  stream = search.programs(desk.level)
  known: list[Tokens] = []
  place = [0] * desk.questions
  turns = Turns()

  def following(number: int) -> Tokens | None:
    if len(known) <= place[number]:
      program = next(stream, None)
      if program is None:
        return None
      known.append(program)
    place[number] += 1
    return known[place[number] - 1]

  def write(
    params: Any,
    archives: Sequence[Archive],
    left: Sequence[int],
    random: np.random.Generator,
  ) -> Pending:
    del params, archives
    owners = turns.take(left, desk.rows, random)
    written = [(number, following(number)) for number in owners]
    found = [(number, program) for number, program in written if program]
    return lambda: found

  return write


def drawn(desk: Desk) -> Write:
  """Samples of the grammar's prior, which know nothing of the question."""
  sizes = desk.sizes
  plan = layout.program_plan(desk.tables, desk.rows)
  run = compiled(
    jax.jit(
      lambda key: prior.sample(
        desk.tables,
        plan,
        jax.random.wrap_key_data(key),
        sizes.program,
        sizes.slots,
      )
    ).trace(KEY)
  )

  def write(
    params: Any,
    archives: Sequence[Archive],
    left: Sequence[int],
    random: np.random.Generator,
  ) -> Pending:
    del params, archives
    owners = np.resize(random.permutation(left), desk.rows).tolist()
    return owned(owners, run(device_key(random)))

  return write


def edited(desk: Desk) -> Write:
  """Misses with one subtree rewritten by the grammar, the closest most often.

  As ACCEL edits levels (Parker-Holder et al. 2022, arXiv:2203.01302), but
  towards a question.
  """
  shape = (desk.rows, desk.sizes.program)
  run = compiled(
    jax.jit(
      lambda rows, key: edit.resample_subtree(
        desk.tables, rows, jax.random.wrap_key_data(key), desk.sizes.slots
      )
    ).trace(jax.ShapeDtypeStruct(shape, jnp.int32), KEY)
  )

  def write(
    params: Any,
    archives: Sequence[Archive],
    left: Sequence[int],
    random: np.random.Generator,
  ) -> Pending:
    del params
    near = {i: found for i in left if (found := archives[i].first())}
    if not near:
      return lambda: []
    owners = np.resize(random.permutation(list(near)), desk.rows)
    parents = np.zeros(shape, np.int32)
    for number, attempts in near.items():
      rows = np.flatnonzero(owners == number)
      chosen = draw_near(attempts, desk.sharpness, len(rows), random)
      for row, attempt in zip(rows, chosen, strict=True):
        parents[row, : len(attempt.program)] = attempt.program
    return owned(owners.tolist(), run(parents, device_key(random)))

  return write
