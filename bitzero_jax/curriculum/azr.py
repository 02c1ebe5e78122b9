"""The proposer of Absolute Zero, as its paper has it."""

import jax
import jax.numpy as jnp

from bitzero_jax.curriculum import base
from bitzero_jax.learn.reward import one_minus
from bitzero_jax.state import REASON

_REFUSED = -0.5


def azr() -> base.Curriculum:
  """Pays 1 - s for any valid task, repeated or not, and -0.5 for others.

  Source: arXiv:2505.03335, eq. 4 and 6. Its -1 for an answer without a format
  cannot occur: the grammar gives every proposal its format. AZR has no gate
  against constants and repetition; switch off `gate` to be faithful there too.
  """

  def reward(judged: base.Judged) -> tuple[jax.Array, jax.Array]:
    paid = jnp.where(judged.sound, one_minus(judged.solve_rate), _REFUSED)
    return paid, judged.reason != REASON["unknown"]

  return base.Curriculum(
    "azr", base.Writers.MODEL, base.every_sound, reward=reward
  )
