"""The grammar's own distribution (a PCFG): where a run with no data starts."""

import jax
import jax.numpy as jnp

from bitzero_jax.language import automaton
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.levels import NEVER, Tables


def sample(
  tables: Tables, plan: Plan, key: jax.Array, length: int, slots: int
) -> jax.Array:
  """Writes one row with the grammar's weights, no model.

  Args:
    tables: the level's tables.
    plan: what to write.
    key: PRNG key, consumed.
    length: tokens in the result, at least the sum of the plan's budgets.
    slots: deepest stack, at least the largest budget.

  Returns:
    int32 [length], padded on the right.
  """

  def write(state, step_key):
    logits = jnp.where(
      automaton.legal(tables, state), automaton.log_prior(tables, state), NEVER
    )
    token = jax.random.categorical(step_key, logits)
    return automaton.advance(tables, plan, state, token), token

  begin = automaton.start(tables, plan, slots)
  _, tokens = jax.lax.scan(write, begin, jax.random.split(key, length))
  return tokens


def sample_batch(
  tables: Tables, plan: Plan, key: jax.Array, rows: int, length: int, slots: int
) -> jax.Array:
  """`rows` independent samples: int32 [rows, length].

  `plan.budget` may be [G] or [rows, G]; `plan.start` is [G].
  """
  budget = jnp.broadcast_to(plan.budget, (rows, plan.start.shape[0]))

  def one(row_budget, row_key):
    return sample(tables, Plan(plan.start, row_budget), row_key, length, slots)

  return jax.vmap(one)(budget, jax.random.split(key, rows))
