"""What whoever writes programs for questions has before them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bitzero_jax.language import render
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Level, Tables
from bitzero_jax.language.render import Tokens
from bitzero_jax.models.network import Network
from bitzero_jax.practice.archive import Archive, Attempt

# Programs, each with the number of its question.
Written = list[tuple[int, Tokens]]

# Called, waits for what the device still writes.
Pending = Callable[[], Written]

# (parameters, archives, numbers of the questions that are open, random numbers)
# -> Pending
Write = Callable[
  [Any, Sequence[Archive], Sequence[int], np.random.Generator], Pending
]


class Desk(NamedTuple):
  """Static choices of a writer.

  Attributes:
    network: the model.
    params: its parameters, for their shapes.
    level, tables, sizes: of the language.
    questions: how many there are.
    rows: programs written in one call.
    resume_share: of the model's programs, that begin as a miss does.
    sharpness: a miss is taken up with weight exp(sharpness * closeness).
  """

  network: Network
  params: Any
  level: Level
  tables: Tables
  sizes: Sizes
  questions: int
  rows: int
  resume_share: float
  sharpness: float


KEY = jax.ShapeDtypeStruct((2,), np.uint32)  # raw data of a PRNG key


def device_key(random: np.random.Generator) -> np.ndarray:
  """Raw data of a fresh PRNG key: uint32 [2].

  To split keys on the device would compile a handful of small programs while
  the practice's clock runs.
  """
  return random.integers(1 << 32, size=2, dtype=np.uint32)


def draw_near(
  near: Sequence[Attempt],
  sharpness: float,
  count: int,
  random: np.random.Generator,
) -> Iterable[Attempt]:
  """Draws `count` attempts, the closest most often."""
  weight = np.exp([sharpness * attempt.closeness for attempt in near])
  chosen = random.choice(len(near), count, p=weight / weight.sum())
  return (near[i] for i in chosen)


def owned(owners: Sequence[int], rows: jax.Array) -> Pending:
  """Names the question of each row [R, Lp]; rows of padding are left out."""

  def finish() -> Written:
    programs = (render.strip(row) for row in np.asarray(rows).tolist())
    return [(n, p) for n, p in zip(owners, programs, strict=True) if p]

  return finish
