"""What a verdict is worth to the solver, and a solve rate to a proposer."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bitzero_jax.state import RIGHT

Learnability = Callable[[jax.Array], jax.Array]


def one_minus(s: jax.Array) -> jax.Array:
  """AZR, arXiv:2505.03335, eq. 4: 1 - s, and 0 where nobody solves it."""
  return jnp.where((s <= 0) | (s >= 1), 0.0, 1 - s)


def variance(s: jax.Array) -> jax.Array:
  """s (1 - s): variance of one attempt, highest at one half."""
  return s * (1 - s)


def tent(s: jax.Array) -> jax.Array:
  """R-Zero, arXiv:2508.05004: min(s, 1 - s), highest at one half."""
  return jnp.minimum(s, 1 - s)


def band(s: jax.Array) -> jax.Array:
  """1 where 0.3 <= s <= 0.8, else 0: R-Zero's filter as a reward."""
  return ((s >= 0.3) & (s <= 0.8)).astype(s.dtype)


LEARNABILITY: dict[str, Learnability] = {
  "one_minus": one_minus,
  "variance": variance,
  "tent": tent,
  "band": band,
}


def solver_reward(
  wrong: float,
  confidence_weight: float,
  graded: jax.Array,
  asked: jax.Array,
  log_prob: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Reward of each answer and whether it counts: float32 [B], bool [B].

  With w = `confidence_weight` above 0, an answer that was sampled with
  probability c pays w (c - y)^2, where y is 1 if it is right and else 0: the
  Brier score of RLCR, arXiv:2507.16806, whose models say their confidence in
  words; here it is the sampling policy's own probability. Up to w = 1 a right
  answer earns at least as much as any wrong one (with `wrong` <= 0). The reward
  is a constant to the learner: no gradient flows through c.

  Args:
    wrong: reward of a wrong answer; a right one earns 1.
    confidence_weight: w, static; 0 leaves the reward as it is.
    graded: int32 [B] of RIGHT, WRONG, UNKNOWN.
    asked: bool [B].
    log_prob: float32 [B, A], of each sampled token, 0 on padding.
  """
  right = graded == RIGHT
  reward = jnp.where(right, 1.0, wrong)
  if confidence_weight:
    confidence = jnp.exp(jax.lax.stop_gradient(log_prob).sum(axis=1))
    reward -= confidence_weight * (confidence - right) ** 2
  return reward, asked & (graded >= 0)
