"""The model proposes and is paid for tasks at the edge of what it can solve."""

import jax
import jax.numpy as jnp

from bitzero_jax.curriculum import base
from bitzero_jax.learn.reward import LEARNABILITY
from bitzero_jax.state import REASON


def trr(*, learnability: str, refused: float) -> base.Curriculum:
  """Task-relative REINFORCE++ for the proposer, behind this house's gate.

  Args:
    learnability: a name in `LEARNABILITY`, of an accepted task's solve rate.
    refused: reward of a task that the gate refused, also for want of novelty.
  """

  def reward(judged: base.Judged) -> tuple[jax.Array, jax.Array]:
    accepted = judged.reason == REASON["accepted"]
    paid = LEARNABILITY[learnability](judged.solve_rate)
    counts = judged.reason != REASON["unknown"]  # nobody's fault
    return jnp.where(accepted, paid, refused), counts

  return base.Curriculum(
    "trr", base.Writers.MODEL, base.every_sound, reward=reward
  )
