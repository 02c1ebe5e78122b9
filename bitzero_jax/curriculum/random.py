"""The grammar's prior proposes everything: the controls of every table."""

import jax
import jax.numpy as jnp

from bitzero_jax.curriculum import base
from bitzero_jax.state import REASON


def random() -> base.Curriculum:
  """All sound tasks of the prior, alike."""
  return base.Curriculum("random", base.Writers.NOBODY, base.every_sound)


def random_novel() -> base.Curriculum:
  """Sound tasks of the prior whose behaviour the pool does not hold yet."""

  def choose(judged: base.Judged) -> jax.Array:
    return (judged.reason == REASON["accepted"]).astype(jnp.float32)

  return base.Curriculum("random_novel", base.Writers.NOBODY, choose)
