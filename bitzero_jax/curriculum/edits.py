"""Tasks beside learnable ones: old programs, rewritten in one place."""

from bitzero_jax.curriculum import base


def edits() -> base.Curriculum:
  """Edits of pool programs beside the prior's; all sound tasks alike.

  A parent is drawn by its learnability when it was admitted, so that edits
  gather at the edge of what the model can solve; pool.eviction="priority" makes
  the pool such an archive. The gate keeps what is valid and new.

  Source: ACCEL, Parker-Holder et al. 2022, arXiv:2203.01302.
  """
  return base.Curriculum("edits", base.Writers.EDITS, base.every_sound)
