"""Beam search under the mask: the programs that a model thinks most likely."""

from typing import Any

import jax
import jax.numpy as jnp

from bitzero_jax.language import automaton
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.levels import NEVER, Tables
from bitzero_jax.models.network import Network
from bitzero_jax.models.policy import log_policy


def search(
  network: Network,
  weights: Any,
  tables: Tables,
  plan: Plan,
  prompt: jax.Array,
  *,
  width: int,
  length: int,
  slots: int,
) -> tuple[jax.Array, jax.Array]:
  """The answers that stay among the `width` likeliest at every token.

  Args:
    network: the model.
    weights: from `network.weights`.
    tables: the language level's tables.
    plan: what to write, Q rows.
    prompt: int32 [Q, P], padding inside, a marker in the last column.
    width: W, answers kept for each prompt.
    length: A, tokens of the longest answer.
    slots: deepest stack of the automaton.

  Returns:
    (int32 [Q, W, A], different answers, the likeliest first; float32 [Q, W],
    their log-probabilities, below NEVER / 2 where there are no more).
  """
  queries, columns = prompt.shape[0], prompt.shape[1] + length - 1
  logits, cache = network.prefill(weights, prompt, columns)
  every = jnp.repeat(jnp.arange(queries), width)
  plans = jax.tree.map(lambda leaf: leaf[every], plan)
  states = jax.vmap(lambda p: automaton.start(tables, p, slots))(plans)
  scores = jnp.full((queries, width), NEVER).at[:, 0].set(0.0)
  answers = jnp.zeros((queries * width, length), jnp.int32)

  def extend(logits, states, scores, answers, column):
    bias = jax.vmap(lambda s: automaton.bias(tables, s, 0.0))(states)
    policy = log_policy(logits, bias, 1.0)
    total = scores[..., None] + policy.reshape(queries, width, -1)
    scores, best = jax.lax.top_k(total.reshape(queries, -1), width)
    parent, token = jnp.divmod(best, policy.shape[-1])
    rows = (parent + width * jnp.arange(queries)[:, None]).reshape(-1)
    token = token.reshape(-1).astype(jnp.int32)
    states = jax.tree.map(lambda leaf: leaf[rows], states)
    states = jax.vmap(lambda p, s, t: automaton.advance(tables, p, s, t))(
      plans, states, token
    )
    # An unlikely beam's score may not sink out of the range of a float.
    scores = jnp.maximum(scores, NEVER)
    answers = answers[rows].at[:, column].set(token)
    return rows, token, states, scores, answers

  def step(carry, column):
    logits, cache, states, scores, answers = carry
    rows, token, states, scores, answers = extend(
      logits, states, scores, answers, column
    )
    cache = network.pick(cache, rows)
    logits, cache = network.decode(weights, token, cache)
    return (logits, cache, states, scores, answers), None

  carry = (logits[every], network.pick(cache, every), states, scores, answers)
  (logits, _, states, scores, answers), _ = jax.lax.scan(
    step, carry, jnp.arange(length - 1)
  )
  *_, scores, answers = extend(logits, states, scores, answers, length - 1)
  return answers.reshape(queries, width, length), scores
