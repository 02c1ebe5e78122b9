"""Cached decoding under the mask; used by propose, solve, evaluate."""

from typing import Any

import jax
import jax.numpy as jnp

from bitzero_jax.language import automaton
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.grammar import PAD
from bitzero_jax.language.levels import Tables
from bitzero_jax.models.network import Network
from bitzero_jax.models.policy import log_policy
from bitzero_jax.state import Rollout


def write(
  network: Network,
  weights: Any,
  tables: Tables,
  plan: Plan,
  prompt: jax.Array,
  key: jax.Array,
  *,
  length: int,
  slots: int,
  temperature: float,
  prior_weight: float = 0.0,
  begun: jax.Array | None = None,
  copies: int = 1,
) -> Rollout:
  """Samples answers for prompts.

  Args:
    network: the model.
    weights: from `network.weights`.
    tables: the language level's tables.
    plan: what to write, B rows.
    prompt: int32 [B / copies, P], padding inside, a marker in the last column.
    key: PRNG key, consumed.
    length: A, tokens of the longest answer.
    slots: deepest stack of the automaton.
    temperature: > 0 samples, 0 takes the most likely legal token.
    prior_weight: weight of the grammar's log-prior in the policy.
    begun: int32 [B, A], legal tokens that answers begin with, then padding;
      None for none.
    copies: answers for each prompt, side by side; it is read once for them.

  Returns:
    The rollout; log-probabilities are of the policy at `temperature` (at 1
    where `temperature` is 0).
  """
  greedy = temperature == 0
  heat = 1.0 if greedy else temperature
  columns = prompt.shape[1] + length - 1  # nothing reads the last token
  logits, cache = network.prefill(weights, prompt, columns)
  if copies > 1:
    every = jnp.repeat(jnp.arange(prompt.shape[0]), copies)
    prompt, logits = prompt[every], logits[every]
    cache = network.pick(cache, every)
  states = jax.vmap(lambda p: automaton.start(tables, p, slots))(plan)

  def choose(logits, states, step_key, given):
    bias = jax.vmap(lambda s: automaton.bias(tables, s, prior_weight))(states)
    policy = log_policy(logits, bias, heat)
    if greedy:
      token = jnp.argmax(policy, axis=-1)
    else:
      token = jax.random.categorical(step_key, policy, axis=-1)
    token = token.astype(jnp.int32)
    if given is not None:
      token = jnp.where(given != PAD, given, token)
    taken = jnp.take_along_axis(policy, token[:, None], axis=-1)[:, 0]
    states = jax.vmap(lambda p, s, t: automaton.advance(tables, p, s, t))(
      plan, states, token
    )
    return states, (token, taken * (token != PAD), bias)

  def step(carry, now):
    logits, cache, states = carry
    states, chosen = choose(logits, states, *now)
    logits, cache = network.decode(weights, chosen[0], cache)
    return (logits, cache, states), chosen

  keys = jax.random.split(key, length)
  first = None if begun is None else begun.T[:-1]
  final = None if begun is None else begun[:, -1]
  (logits, _, states), seen = jax.lax.scan(
    step, (logits, cache, states), (keys[:-1], first)
  )
  _, last = choose(logits, states, keys[-1], final)
  answer, log_prob, bias = (
    jnp.concatenate([jnp.swapaxes(leaf, 0, 1), end[:, None]], axis=1)
    for leaf, end in zip(seen, last, strict=True)
  )
  return Rollout(prompt, answer, log_prob, bias)
