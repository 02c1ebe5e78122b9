"""Pure rules: what counts as sound, and what the gate lets into the pool."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.state import REASON, Outcome


class Gate(NamedTuple):
  """Which checks stand between a runnable program and training.

  Attributes:
    constant: refuse programs with one output for every probe input.
    identity: refuse programs that return every probe input unchanged.
    outputs: refuse tasks with fewer different outputs among their pairs: what
      nearly always gives the same answer teaches little.
    novel: the pool refuses behaviours that it already holds.
  """

  constant: bool
  identity: bool
  outputs: int
  novel: bool


def equal_behaviour(some: jax.Array, others: jax.Array) -> jax.Array:
  """Which hashes agree: bool [B, C] from uint32 [B, 2] and [C, 2]."""
  return jnp.all(some[:, None] == others[None], axis=-1)


def different(outputs: jax.Array) -> jax.Array:
  """How many of each task's outputs differ: int32 [B] from [B, N, Lv]."""
  same = jnp.all(outputs[:, :, None] == outputs[:, None], axis=-1)
  repeats = jnp.any(jnp.tril(same, k=-1), axis=-1)
  return jnp.sum(~repeats, axis=-1)


def judge(
  gate: Gate,
  outcome: Outcome,
  barred: jax.Array,
  held: jax.Array,
  size: jax.Array,
) -> jax.Array:
  """Final reason for each candidate, a code of REASONS: int32 [B].

  A candidate may be trained on when its reason is "accepted" or "known", and
  enters the pool only when it is "accepted".

  Args:
    gate: the checks in force.
    outcome: the executor's findings for B candidates.
    barred: uint32 [H, 2], behaviours of held-out tasks; always in force.
    held: uint32 [C, 2], behaviours in the pool's slots.
    size: int32 [], filled slots.
  """
  reason = outcome.reason
  sound = reason == REASON["accepted"]
  rows = jnp.arange(reason.shape[0])
  in_pool = equal_behaviour(outcome.behaviour, held)
  in_pool = jnp.any(in_pool & (jnp.arange(held.shape[0]) < size), axis=1)
  twins = equal_behaviour(outcome.behaviour, outcome.behaviour)
  earlier = twins & sound[None] & (rows[None] < rows[:, None])
  known = in_pool | jnp.any(earlier, axis=1)
  is_barred = jnp.any(equal_behaviour(outcome.behaviour, barred), axis=1)
  checks = (
    ("known", known & gate.novel),
    ("repetitive", different(outcome.outputs) < gate.outputs),
    ("identity", outcome.identity & gate.identity),
    ("constant", outcome.constant & gate.constant),
    ("barred", is_barred),
  )
  for name, failed in checks:
    reason = jnp.where(sound & failed, REASON[name], reason)
  return reason


def trainable(reason: jax.Array) -> jax.Array:
  """Whether tasks with these reasons may be trained on."""
  return (reason == REASON["accepted"]) | (reason == REASON["known"])
