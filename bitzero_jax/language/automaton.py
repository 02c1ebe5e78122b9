"""A pure stack machine that knows the legal next tokens at every step.

Any sequence that follows `legal` is a complete, typed program (or value) that
fits its budget, whatever model chose the tokens. All functions work on one
row; use `jax.vmap` for a batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.language import grammar as g
from bitzero_jax.language.levels import NEVER, Tables


class Plan(NamedTuple):
  """What to write: G segments one after the other (a leading B for a batch).

  Attributes:
    start: int32 [G], nonterminal that each segment expands.
    budget: int32 [G], most tokens of each segment.
  """

  start: jax.Array
  budget: jax.Array


class Automaton(NamedTuple):
  """Where a row stands. S = deepest stack.

  Attributes:
    stack: int32 [S], nonterminals still to expand, the next one on top.
    depth: int32 [], how many there are; 0 when the row is complete.
    need: int32 [], fewest tokens that complete the stack.
    remaining: int32 [], tokens left in this segment.
    segment: int32 [], index into the plan.
  """

  stack: jax.Array
  depth: jax.Array
  need: jax.Array
  remaining: jax.Array
  segment: jax.Array


def start(tables: Tables, plan: Plan, slots: int) -> Automaton:
  """Opens the first segment; `slots` bounds the stack (the largest budget)."""
  stack = jnp.zeros(slots, jnp.int32).at[0].set(plan.start[0])
  return Automaton(
    stack=stack,
    depth=jnp.int32(1),
    need=jnp.asarray(tables.minimum)[plan.start[0]],
    remaining=plan.budget[0],
    segment=jnp.int32(0),
  )


def expands(state: Automaton) -> jax.Array:
  """Nonterminal to expand next, 0 once the row is complete."""
  return jnp.where(state.depth > 0, state.stack[state.depth - 1], 0)


def legal(tables: Tables, state: Automaton) -> jax.Array:
  """Tokens that may come next: bool [V]. PAD alone once the row is complete."""
  top = expands(state)
  rest = state.need - jnp.asarray(tables.minimum)[top]
  fits = 1 + jnp.asarray(tables.need)[top] + rest <= state.remaining
  done = jnp.arange(g.VOCABULARY) == g.PAD
  open_row = jnp.asarray(tables.allowed)[top] & fits
  return jnp.where(state.depth > 0, open_row, done)


def bias(tables: Tables, state: Automaton, prior_weight: float) -> jax.Array:
  """What the grammar adds to a model's logits: float32 [V].

  The weighted log-prior on legal tokens (not renormalised over them), `NEVER`
  on all others.
  """
  prior = jnp.asarray(tables.log_prior)[expands(state)]
  prior = jnp.where(state.depth > 0, prior_weight * prior, 0.0)
  return jnp.where(legal(tables, state), prior, NEVER)


def advance(
  tables: Tables, plan: Plan, state: Automaton, token: jax.Array
) -> Automaton:
  """Takes one legal token; PAD on a complete row changes nothing.

  An illegal token gives an unspecified state, never an error.
  """
  top = expands(state)
  open_row = state.depth > 0
  pushed = jnp.asarray(tables.pushed)[top, token]
  count = jnp.sum(pushed > 0)
  stack = state.stack
  base = state.depth - 1
  slots = jnp.arange(stack.shape[0])
  for i in range(pushed.shape[0]):
    at = base + count - 1 - i
    stack = jnp.where((slots == at) & (i < count), pushed[i], stack)
  depth = base + count
  need = (
    state.need
    - jnp.asarray(tables.minimum)[top]
    + jnp.asarray(tables.need)[top, token]
  )
  following = jnp.minimum(state.segment + 1, plan.start.shape[0] - 1)
  turn = (depth == 0) & (state.segment + 1 < plan.start.shape[0])
  opened = plan.start[following]
  moved = Automaton(
    stack=jnp.where(turn & (slots == 0), opened, stack),
    depth=jnp.where(turn, 1, depth).astype(jnp.int32),
    need=jnp.where(turn, jnp.asarray(tables.minimum)[opened], need),
    remaining=jnp.where(turn, plan.budget[following], state.remaining - 1),
    segment=jnp.where(turn, following, state.segment),
  )
  return jax.tree.map(
    lambda new, old: jnp.where(open_row, new, old), moved, state
  )


def bias_along(
  tables: Tables,
  plan: Plan,
  tokens: jax.Array,
  slots: int,
  prior_weight: float,
) -> jax.Array:
  """The bias that a sampler saw while it wrote `tokens`: float32 [A, V].

  Args:
    tables: the level's tables.
    plan: what the row was asked to write.
    tokens: int32 [A], one finished row, PAD at its end.
    slots: deepest stack, as given to `start`.
    prior_weight: as in `bias`.
  """

  def visit(state, token):
    seen = bias(tables, state, prior_weight)
    return advance(tables, plan, state, token), seen

  _, seen = jax.lax.scan(visit, start(tables, plan, slots), tokens)
  return seen
