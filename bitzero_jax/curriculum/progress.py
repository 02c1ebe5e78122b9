"""The model copies programs of the kind on which training has helped most."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.curriculum import base
from bitzero_jax.language.grammar import PAD, VOCABULARY
from bitzero_jax.quant.ordered_sum import ordered_sum
from bitzero_jax.state import REASON

_DOUBT = 4.0  # tasks at the mean of all that every group is thought to hold


class Groups(NamedTuple):
  """Faded sums over tasks, by length and first token of their programs.

  Attributes:
    rise: float32 [Lp + 1, V], of what their solve rates gained.
    tasks: float32 [Lp + 1, V], how many they were.
  """

  rise: jax.Array
  tasks: jax.Array


def progress(*, decay: float) -> base.Curriculum:
  """As `proposer`, but what counts is measured learning progress.

  What is measured: the probability of a task's gold answer (of its first pair,
  as its own task type) after the round's updates, less that before them, for
  every sound task of the round, whoever wrote it. Training draws its rows from
  these tasks and from the pool, with other pairs for the most part, so a rise
  is partly the task's own doing and partly its neighbours'; it holds nothing of
  what is forgotten later. It is averaged over the programs of one length and
  one first production, over some 1 / (1 - decay) rounds; a group that is
  seldom seen is taken for a common one.

  An accepted task is imitated in proportion to what its group has gained in
  the rounds before, 0 where that fell. Difficulty plays no part.

  Source of the idea: Oudeyer et al. 2007, intrinsic motivation; Graves et al.
  2017, arXiv:1704.03003, for gains of probability as a curriculum's reward.

  Args:
    decay: share of the sums that a round keeps of those before, in [0, 1].
  """

  def start(longest: int) -> Groups:
    nothing = jnp.zeros((longest + 1, VOCABULARY))
    return Groups(nothing, nothing)

  def recall(groups: Groups, program: jax.Array) -> jax.Array:
    tasks = ordered_sum(groups.tasks.reshape(-1))
    every = ordered_sum(groups.rise.reshape(-1)) / jnp.maximum(tasks, 1e-6)
    mean = (groups.rise + _DOUBT * every) / (groups.tasks + _DOUBT)
    return mean[jnp.sum(program != PAD, axis=1), program[:, 0]]

  def update(
    groups: Groups, program: jax.Array, sound: jax.Array, rise: jax.Array
  ) -> Groups:
    length = jnp.sum(program != PAD, axis=1)
    one_length = jax.nn.one_hot(length, groups.tasks.shape[0])
    one_root = jax.nn.one_hot(program[:, 0], VOCABULARY)

    def fade_and_add(old: jax.Array, new: jax.Array) -> jax.Array:
      # Not a scatter, whose order of additions is nobody's on a GPU.
      new = jnp.where(sound, new, 0.0)[:, None] * one_length
      added = jnp.einsum("bl,bv->lv", new, one_root, precision="highest")
      return decay * old + added

    return Groups(
      fade_and_add(groups.rise, rise),
      fade_and_add(groups.tasks, jnp.ones_like(rise)),
    )

  def imitate(judged: base.Judged) -> jax.Array:
    assert judged.progress is not None  # there is a memory
    accepted = judged.reason == REASON["accepted"]
    return jnp.where(accepted, jnp.maximum(judged.progress, 0.0), 0.0)

  return base.Curriculum(
    "progress",
    base.Writers.MODEL,
    base.every_sound,
    imitate=imitate,
    memory=base.Memory(start, recall, update),
  )
