"""The grammar's own distribution (a PCFG): where a run with no data starts."""

import jax

from bitzero_jax.language import automaton
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.levels import Tables


def sample(
  tables: Tables, plan: Plan, key: jax.Array, length: int, slots: int
) -> jax.Array:
  """Writes a batch with the grammar's weights, no model.

  Args:
    tables: the level's tables.
    plan: what to write, B rows.
    key: PRNG key, consumed.
    length: A, tokens of a row, at least the sum of the plan's budgets.
    slots: deepest stack, at least the largest budget.

  Returns:
    int32 [B, A], padded on the right.
  """

  def step(states, step_key):
    bias = jax.vmap(lambda s: automaton.bias(tables, s, 1.0))(states)
    token = jax.random.categorical(step_key, bias)
    following = jax.vmap(lambda p, s, t: automaton.advance(tables, p, s, t))(
      plan, states, token
    )
    return following, token

  begin = jax.vmap(lambda p: automaton.start(tables, p, slots))(plan)
  _, tokens = jax.lax.scan(step, begin, jax.random.split(key, length))
  return tokens.T
