"""The contract of a curriculum: who proposes, and what is trained on.

Shape: B = candidates of a round, every task type in turn.
"""

import enum
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Writers(enum.Enum):
  """Who writes candidates beside the grammar's prior."""

  NOBODY = "nobody"
  MODEL = "model"  # `propose.model_share` of them
  EDITS = "edits"  # `propose.edit_share` of them, from programs of the pool


class Judged(NamedTuple):
  """What is known of a round's candidates before the model learns.

  Attributes:
    reason: int32 [B], codes of `state.REASONS`.
    sound: bool [B], may be trained on.
    solve_rate: float32 [B], in [0, 1]; 0 where unsound.
    length: int32 [B], tokens of the program.
  """

  reason: jax.Array
  sound: jax.Array
  solve_rate: jax.Array
  length: jax.Array


class Curriculum(NamedTuple):
  """Where candidates come from, and which of them are trained on.

  Attributes:
    name: in the table.
    writers: who writes candidates beside the prior.
    reward: Judged -> (float32 [B], bool [B]): what the model's policy gradient
      pays for each proposal, and whether it counts.
    choose: Judged -> float32 [B]: relative weight of each candidate among the
      fresh rows of an update, 0 where unsound. Where all are 0, rows come from
      the pool alone.
    recall: int32 [C] -> float32 [C]: from the program lengths in the pool's
      slots (0 in empty ones), the relative weight of each among the rows that
      are drawn from there. None: all alike.
  """

  name: str
  writers: Writers
  reward: Callable[[Judged], tuple[jax.Array, jax.Array]]
  choose: Callable[[Judged], jax.Array]
  recall: Callable[[jax.Array], jax.Array] | None = None


def no_reward(judged: Judged) -> tuple[jax.Array, jax.Array]:
  """Of a curriculum in which the model proposes nothing."""
  return jnp.zeros_like(judged.solve_rate), jnp.zeros_like(judged.sound)


def every_sound(judged: Judged) -> jax.Array:
  """All sound candidates alike."""
  return judged.sound.astype(jnp.float32)
