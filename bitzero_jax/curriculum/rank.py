"""The best of a round's candidates, where need be among those of one length."""

import jax
import jax.numpy as jnp


def best(
  score: jax.Array,
  members: jax.Array,
  share: float,
  length: jax.Array | None = None,
) -> jax.Array:
  """The members with the highest scores: bool [B].

  Args:
    score: float32 [B].
    members: bool [B], who takes part.
    share: of the members, how many are best, in [0, 1]; rounded up.
    length: int32 [B], to rank each among the members of its own length alone;
      None ranks all together. Of two equal scores the first row is ahead.
  """
  rivals = members[None] & members[:, None]
  if length is not None:
    rivals &= length[None] == length[:, None]
  rows = jnp.arange(score.shape[0])
  ahead = score[None] > score[:, None]
  ahead |= (score[None] == score[:, None]) & (rows[None] < rows[:, None])
  rank = jnp.sum(rivals & ahead, axis=1).astype(jnp.float32)
  most = share * jnp.sum(rivals, axis=1).astype(jnp.float32)
  return members & (rank < most)


def spread(members: jax.Array) -> jax.Array:
  """One unit of weight, shared by all members alike: float32 [B]."""
  share = members.astype(jnp.float32)
  return share / jnp.maximum(share.sum(), 1.0)
