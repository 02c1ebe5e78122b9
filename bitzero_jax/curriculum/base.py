"""The contract of a curriculum: who proposes, and what is trained on.

Shape: B = candidates of a round, every task type in turn.
"""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

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
    gap: float32 [B], how much lower the solve rate is with fewest planes; 0
      where unsound. None where there is but one number of planes.
    progress: float32 [B], what the curriculum's memory recalls of programs like
      it; None where it has no memory.
  """

  reason: jax.Array
  sound: jax.Array
  solve_rate: jax.Array
  length: jax.Array
  gap: jax.Array | None = None
  progress: jax.Array | None = None


class Memory(NamedTuple):
  """What a curriculum remembers from round to round: learning progress.

  A round with a memory probes its tasks twice, before and after the updates.

  Attributes:
    start: Lp -> memory before the first round, a pytree of arrays, which the
      loop's state carries.
    recall: (memory, program int32 [B, Lp]) -> float32 [B], progress of programs
      like these.
    update: (memory, program, sound bool [B], rise float32 [B]) -> memory; a
      rise is how much a task's solve rate grew over the round's updates.
  """

  start: Callable[[int], Any]
  recall: Callable[[Any, jax.Array], jax.Array]
  update: Callable[[Any, jax.Array, jax.Array, jax.Array], Any]


class Curriculum(NamedTuple):
  """Where candidates come from, and which of them are trained on.

  Attributes:
    name: in the table.
    writers: who writes candidates beside the prior.
    choose: Judged -> float32 [B]: relative weight of each candidate among the
      fresh rows of an update, 0 where unsound. Where all are 0, rows come from
      the pool alone.
    recall: int32 [C] -> float32 [C]: from the program lengths in the pool's
      slots (0 in empty ones), the relative weight of each among the rows that
      are drawn from there. None: all alike.
    reward: Judged -> (float32 [B], bool [B]): what a policy gradient pays for
      each of the model's proposals, and whether it counts. None: no policy
      gradient.
    prior_kl: weight, per nat, of the proposing policy's divergence from the
      grammar's prior, inside that policy gradient.
    imitate: Judged -> float32 [B]: relative weight of each candidate, whoever
      wrote it, among those whose programs the model learns to propose by
      cross-entropy, 0 for never. None: it imitates nobody.
    memory: of learning progress, None where nothing is remembered.
  """

  name: str
  writers: Writers
  choose: Callable[[Judged], jax.Array]
  recall: Callable[[jax.Array], jax.Array] | None = None
  reward: Callable[[Judged], tuple[jax.Array, jax.Array]] | None = None
  prior_kl: float = 0.0
  imitate: Callable[[Judged], jax.Array] | None = None
  memory: Memory | None = None


def every_sound(judged: Judged) -> jax.Array:
  """All sound candidates alike."""
  return judged.sound.astype(jnp.float32)


def paid_for_gap(curriculum: Curriculum, weight: float) -> Curriculum:
  """The same, which pays `weight` for each unit of the gap on top.

  What all planes solve and one plane does not is what a quantized learner has
  still to learn.
  """
  pays = curriculum.reward
  if not weight or pays is None:
    return curriculum

  def reward(judged: Judged) -> tuple[jax.Array, jax.Array]:
    assert judged.gap is not None  # the config asks for depths
    paid, counts = pays(judged)
    return paid + weight * judged.gap, counts

  return curriculum._replace(reward=reward)
