"""The masked policy: one definition for the sampler and for the learner."""

from typing import Any

import jax
import jax.numpy as jnp

from bitzero_jax.language import automaton
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.grammar import PAD
from bitzero_jax.language.levels import NEVER, Tables
from bitzero_jax.models.network import Network


def log_policy(
  logits: jax.Array,
  legal: jax.Array,
  prior: jax.Array,
  temperature: float,
  prior_weight: float,
) -> jax.Array:
  """Log-probabilities of the policy that samples: float32, shape of `logits`.

  The model's logits over temperature, plus the grammar's log-prior, over the
  legal tokens alone. Sampler and learner both call this.
  """
  scores = logits / temperature + prior_weight * prior
  return jax.nn.log_softmax(jnp.where(legal, scores, NEVER), axis=-1)


def entropy(policy: jax.Array) -> jax.Array:
  """Entropy in nats of log-probabilities over the last axis."""
  return -jnp.sum(jnp.exp(policy) * policy, axis=-1)


def answer_policy(
  logits: jax.Array,
  tables: Tables,
  plan: Plan,
  answer: jax.Array,
  *,
  slots: int,
  temperature: float,
  prior_weight: float,
) -> tuple[jax.Array, jax.Array]:
  """The policy along given answers, from the model's logits for them.

  Args:
    logits: float32 [B, A, V], before each answer token.
    tables, plan, slots: the level, what was asked, and the deepest stack.
    answer: int32 [B, A], padding on the right.
    temperature, prior_weight: as in `log_policy`.

  Returns:
    (float32 [B, A, V] log-probabilities of every token, float32 [B, A] those
    of the answer, 0 on padding).
  """
  legal, prior = jax.vmap(
    lambda row: automaton.legal_along(tables, plan, row, slots)
  )(answer)
  policy = log_policy(logits, legal, prior, temperature, prior_weight)
  chosen = jnp.take_along_axis(policy, answer[..., None], axis=-1)[..., 0]
  return policy, chosen * (answer != PAD)


def score(
  network: Network,
  weights: Any,
  tables: Tables,
  plan: Plan,
  prompt: jax.Array,
  answer: jax.Array,
  *,
  slots: int,
) -> jax.Array:
  """Log-probability of given answers at temperature 1: float32 [B, A].

  Args:
    network, weights: the model.
    tables, plan, slots: the level, what was asked, and the deepest stack.
    prompt: int32 [B, P], padding on the left.
    answer: int32 [B, A], padding on the right.
  """
  tokens = jnp.concatenate([prompt, answer], axis=1)
  logits = network.logits(weights, tokens, answer.shape[1] + 1)[:, :-1]
  _, chosen = answer_policy(
    logits, tables, plan, answer, slots=slots, temperature=1.0, prior_weight=0.0
  )
  return chosen
