"""Sampling for learnability: more of what is solved about half of the time."""

import jax

from bitzero_jax.curriculum import base
from bitzero_jax.curriculum.rank import best, spread
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
    preferred = best(
      variance(judged.solve_rate),
      judged.sound,
      top_share,
      judged.length if by_length else None,
    )
    return random_share * spread(judged.sound) + (1 - random_share) * spread(
      preferred
    )

  name = "learnability_by_length" if by_length else "learnability"
  return base.Curriculum(name, base.Writers.NOBODY, choose)
