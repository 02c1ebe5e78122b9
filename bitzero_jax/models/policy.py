"""The masked policy: one definition for the sampler and for the learner."""

import jax
import jax.numpy as jnp

from bitzero_jax.language.grammar import PAD
from bitzero_jax.quant.ordered_sum import ordered_max, ordered_sum


def log_policy(
  logits: jax.Array, bias: jax.Array, temperature: float
) -> jax.Array:
  """Log-probabilities of the policy that samples: float32, shape of `logits`.

  Args:
    logits: float32 [..., V], the model's.
    bias: float32 [..., V], the grammar's mask and prior (`grammar_bias`).
    temperature: above 0; divides the logits alone.
  """
  scores = logits / temperature + bias
  # Not `log_softmax`: its sum runs in another order in another program, and
  # sampler and learner must agree to the last bit.
  shifted = scores - ordered_max(scores)
  return shifted - jnp.log(ordered_sum(jnp.exp(shifted)))


def entropy(policy: jax.Array) -> jax.Array:
  """Entropy in nats of log-probabilities over the last axis."""
  return -jnp.sum(jnp.exp(policy) * policy, axis=-1)


def divergence(policy: jax.Array, other: jax.Array) -> jax.Array:
  """KL(policy || other) in nats, of log-probabilities over the last axis."""
  return jnp.sum(jnp.exp(policy) * (policy - other), axis=-1)


def chosen(policy: jax.Array, answer: jax.Array) -> jax.Array:
  """Log-probability of each answer token, 0 on padding.

  Args:
    policy: float32 [B, A, V], log-probabilities.
    answer: int32 [B, A], padding on the right.
  """
  taken = jnp.take_along_axis(policy, answer[..., None], axis=-1)[..., 0]
  return taken * (answer != PAD)
