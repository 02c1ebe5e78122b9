"""TRR++: rewards to advantages, one baseline a (task type, role)."""

import jax
import jax.numpy as jnp

_EPS = 1e-8


def normalize(
  reward: jax.Array, counts: jax.Array, group: jax.Array, groups: int
) -> tuple[jax.Array, jax.Array]:
  """Whitens rewards inside each group.

  Task-relative REINFORCE++ of Absolute Zero, arXiv:2505.03335, eq. 8, which
  keeps six baselines: three task types times two roles. Statistics are over
  sequences, as in the paper (the released code weighs by tokens).

  Args:
    reward: float32 [B].
    counts: bool [B]; rows that are False get advantage 0 and enter no
      statistic.
    group: int32 [B], in [0, groups).
    groups: number of groups, static.

  Returns:
    (advantages float32 [B], collapsed float32 []): the share of non-empty
    groups whose rewards are all equal, which teach nothing.
  """
  member = jax.nn.one_hot(group, groups) * counts[:, None]
  size = member.sum(0)
  divisor = jnp.maximum(size, 1)
  mean = reward @ member / divisor
  centred = reward - mean[group]
  var = (centred**2) @ member / divisor
  advantage = centred / jnp.sqrt(var[group] + _EPS)
  flat = (var < _EPS) & (size > 0)
  collapsed = flat.sum() / jnp.maximum((size > 0).sum(), 1)
  advantage = jnp.where(counts & ~flat[group], advantage, 0.0)
  return advantage, collapsed
