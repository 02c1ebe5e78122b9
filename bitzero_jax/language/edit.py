"""A small change of a program: one subtree, rewritten by the grammar."""

import jax
import jax.numpy as jnp

from bitzero_jax.language import automaton, grammar, prior
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.levels import Tables


def resample_subtree(
  tables: Tables, programs: jax.Array, key: jax.Array, slots: int
) -> jax.Array:
  """Replaces a random subtree of each program by one from the prior.

  Every node is equally likely to be the subtree's root, and every number of
  tokens that still fits is equally likely to be what the new one may take.

  Args:
    tables: the level's tables.
    programs: int32 [B, Lp], complete, padded on the right, not empty.
    key: PRNG key, consumed.
    slots: deepest stack, at least Lp.

  Returns:
    int32 [B, Lp], complete programs of the level, some of them unchanged.
  """
  rows, width = programs.shape
  root_key, budget_key, write_key = jax.random.split(key, 3)
  kinds, depths = jax.vmap(lambda row: _visit(tables, row, slots))(programs)
  length = jnp.sum(programs != grammar.PAD, axis=1)
  begin = jax.random.randint(root_key, (rows,), 0, length)[:, None]
  column = jnp.arange(width)
  # The subtree ends where the stack is first below where it stood at its root.
  closed = (depths[:, 1:] < _pick(depths, begin)) & (column >= begin)
  end = jnp.argmax(closed, axis=1)[:, None] + 1
  kind = _pick(kinds, begin)[:, 0]
  room = jnp.asarray(tables.program) - (length - (end - begin)[:, 0])
  least = jnp.asarray(tables.minimum)[kind]
  budget = jax.random.randint(budget_key, (rows,), least, room + 1)
  fresh = prior.sample(
    tables, Plan(kind[:, None], budget[:, None]), write_key, width, slots
  )
  grown = jnp.sum(fresh != grammar.PAD, axis=1)[:, None]
  inside = _pick(fresh, column - begin)
  source = column - grown + end - begin
  after = jnp.where(source < width, _pick(programs, source), grammar.PAD)
  tail = jnp.where(column < begin + grown, inside, after)
  return jnp.where(column < begin, programs, tail)


def _pick(leaf: jax.Array, index: jax.Array) -> jax.Array:
  """leaf[row, index[row, i]], the nearest column where there is none."""
  return jnp.take_along_axis(leaf, jnp.clip(index, 0, leaf.shape[1] - 1), 1)


def _visit(
  tables: Tables, program: jax.Array, slots: int
) -> tuple[jax.Array, jax.Array]:
  """Nonterminal before each token [Lp], and the stack's depth [Lp + 1]."""
  start = grammar.NONTERMINAL_OF["program"]
  plan = Plan(jnp.array([start], jnp.int32), jnp.asarray(tables.program)[None])

  def step(state, token):
    seen = automaton.expands(state), state.depth
    return automaton.advance(tables, plan, state, token), seen

  begin = automaton.start(tables, plan, slots)
  last, (kinds, depths) = jax.lax.scan(step, begin, program)
  return kinds, jnp.concatenate([depths, last.depth[None]])
