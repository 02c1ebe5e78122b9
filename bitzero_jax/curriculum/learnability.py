"""Sampling for learnability: more of what is solved about half of the time."""

import jax
import jax.numpy as jnp

from bitzero_jax.curriculum import base
from bitzero_jax.learn.reward import variance


def learnability(
  *, top_share: float, random_share: float, by_length: bool
) -> base.Curriculum:
  """Prefers the prior's tasks with the largest p (1 - p).

  Source: SFL, Rutherford et al. 2024, arXiv:2408.15099. p is the solve rate of
  `probe`; with probe.method="gold" it costs one forward pass.

  Args:
    top_share: of the sound tasks, the share that is preferred, in [0, 1].
    random_share: of the fresh rows, the share drawn from all sound tasks.
    by_length: rank a task among those of its own length. Without it, selection
      drifts to short programs, whose answers are likelier as a whole.
  """

  def choose(judged: base.Judged) -> jax.Array:
    score = jnp.where(judged.sound, variance(judged.solve_rate), -1.0)
    rivals = judged.sound[None] & judged.sound[:, None]
    if by_length:
      rivals &= judged.length[None] == judged.length[:, None]
    rows = jnp.arange(score.shape[0])
    ahead = score[None] > score[:, None]
    ahead |= (score[None] == score[:, None]) & (rows[None] < rows[:, None])
    rank = jnp.sum(rivals & ahead, axis=1).astype(jnp.float32)
    most = top_share * jnp.sum(rivals, axis=1).astype(jnp.float32)
    preferred = judged.sound & (rank < most)
    return random_share * _spread(judged.sound) + (1 - random_share) * _spread(
      preferred
    )

  name = "learnability_by_length" if by_length else "learnability"
  return base.Curriculum(name, base.Writers.NOBODY, base.no_reward, choose)


def _spread(members: jax.Array) -> jax.Array:
  """One unit of weight, shared by all members: float32 [B]."""
  share = members.astype(jnp.float32)
  return share / jnp.maximum(share.sum(), 1.0)
