"""How a task becomes a row: [prompt, right-aligned | answer, left-aligned].

Every row of a kind has the same columns for its answer, so losses slice
statically and a cached decoder writes one column for the whole batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax.language import grammar as g
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.levels import Tables


class Sizes(NamedTuple):
  """Static lengths in tokens, fixed for a run by its widest level.

  Attributes:
    program: longest program, Lp.
    value: longest value, Lv: a list's items and its two brackets.
    shown: example pairs that an induction prompt holds.
    references: programs from the pool in a proposal prompt.
  """

  program: int
  value: int
  shown: int
  references: int

  @property
  def answer_value(self) -> tuple[int, int]:
    """(P, A) of deduction and abduction rows."""
    return self.program + self.value + 2, self.value

  @property
  def answer_program(self) -> tuple[int, int]:
    """(P, A) of induction rows."""
    return 2 * self.shown * self.value + 2, self.program

  @property
  def proposal(self) -> tuple[int, int]:
    """(P, A) of proposal rows."""
    return self.references * self.program + 2, self.program + self.value

  @property
  def slots(self) -> int:
    """Deepest stack that any answer needs."""
    return max(self.program, self.value)


def align_right(tokens: jax.Array) -> jax.Array:
  """Moves the padding of each row [B, P] to its left, order kept."""
  order = jnp.argsort(tokens != g.PAD, axis=-1, stable=True)
  return jnp.take_along_axis(tokens, order, axis=-1)


def _column(rows: int, token: int | jax.Array) -> jax.Array:
  return jnp.broadcast_to(jnp.int32(token), (rows,))[:, None]


def deduction(program: jax.Array, given: jax.Array) -> jax.Array:
  """Prompt: program [B, Lp] and input [B, Lv]; the output is asked."""
  return _prompt(g.DEDUCE, program, given)


def abduction(program: jax.Array, result: jax.Array) -> jax.Array:
  """Prompt: program [B, Lp] and output [B, Lv]; an input is asked."""
  return _prompt(g.ABDUCE, program, result)


def induction(inputs: jax.Array, outputs: jax.Array) -> jax.Array:
  """Prompt: shown pairs [B, S, Lv] twice; a program is asked."""
  rows = inputs.shape[0]
  pairs = jnp.stack([inputs, outputs], axis=2).reshape(rows, -1)
  return _prompt(g.INDUCE, pairs)


def proposal(kind: jax.Array, references: jax.Array) -> jax.Array:
  """Prompt: task type [B] and references [B, K * Lp]; a task is asked."""
  marker = g.PROPOSE_DEDUCE + kind
  return _prompt(marker, references)


def _prompt(marker: int | jax.Array, *parts: jax.Array) -> jax.Array:
  rows = parts[0].shape[0]
  columns = [_column(rows, marker), *parts, _column(rows, g.ANSWER)]
  return align_right(jnp.concatenate(columns, axis=1))


def _plan(rows: int, *segments: tuple[str, jax.Array]) -> Plan:
  start = [g.NONTERMINAL_OF[name] for name, _ in segments]
  budget = jnp.stack([jnp.asarray(budget) for _, budget in segments])
  shape = (rows, len(segments))
  return Plan(
    start=jnp.broadcast_to(jnp.array(start, jnp.int32), shape),
    budget=jnp.broadcast_to(budget, shape),
  )


def value_plan(tables: Tables, rows: int) -> Plan:
  """A deduction answer: any value."""
  return _plan(rows, ("value", tables.items + 2))


def argument_plan(tables: Tables, rows: int) -> Plan:
  """An abduction answer, or an input: a list."""
  return _plan(rows, ("argument", tables.items + 2))


def program_plan(tables: Tables, rows: int) -> Plan:
  """An induction answer: a program."""
  return _plan(rows, ("program", tables.program))


def proposal_plan(tables: Tables, rows: int) -> Plan:
  """A proposal: a program, then its input."""
  return _plan(
    rows, ("program", tables.program), ("argument", tables.items + 2)
  )


def split_proposal(
  tokens: jax.Array, sizes: Sizes
) -> tuple[jax.Array, jax.Array]:
  """Cuts written proposals [B, Lp + Lv] into programs and inputs."""
  length = tokens.shape[1]
  cut = jnp.argmax(tokens == g.LIST_OPEN, axis=1)[:, None]
  column = jnp.arange(length)
  program = jnp.where(column < cut, tokens, g.PAD)[:, : sizes.program]
  at = cut + jnp.arange(sizes.value)
  value = jnp.take_along_axis(tokens, jnp.minimum(at, length - 1), axis=1)
  return program, jnp.where(at < length, value, g.PAD)
