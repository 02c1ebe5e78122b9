"""How a task becomes a row: fixed slots, padding inside, the answer last.

Every value has a slot of fixed width and fills it from the left. The model
masks padding and counts positions by column, so that the distance from an
answer's third item to the input's third item is the same in every row: a small
model can learn to look there. A program stands first and fills its slot from
the right, so that a longer slot, for longer programs, changes no distance. The
answer has the same columns in every row of a kind, so losses slice statically
and a cached decoder writes one column for the whole batch.
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
    hidden: further pairs that an induction answer is scored on.
    references: programs from the pool in a proposal prompt.
  """

  program: int
  value: int
  shown: int
  hidden: int
  references: int

  @property
  def answer_value(self) -> tuple[int, int]:
    """(P, A) of deduction and abduction rows."""
    return self.program + self.value + 2, self.value

  @property
  def answer_program(self) -> tuple[int, int]:
    """(P, A) of induction rows."""
    return 2 * self.shown * self.value + 1, self.program

  @property
  def proposal(self) -> tuple[int, int]:
    """(P, A) of proposal rows: with one reference, as long as deduction's."""
    return self.references * self.program + 1, self.program + self.value

  @property
  def slots(self) -> int:
    """Deepest stack that any answer needs."""
    return max(self.program, self.value)


def align_right(tokens: jax.Array) -> jax.Array:
  """Moves the padding of each row [B, L] to its left, order kept."""
  order = jnp.argsort(tokens != g.PAD, axis=-1, stable=True)
  return jnp.take_along_axis(tokens, order, axis=-1)


def _column(rows: int, token: int | jax.Array) -> jax.Array:
  return jnp.broadcast_to(jnp.int32(token), (rows,))[:, None]


def deduction(program: jax.Array, given: jax.Array) -> jax.Array:
  """Prompt: program [B, Lp] and input [B, Lv]; the output is asked."""
  return _prompt(align_right(program), g.DEDUCE, given, g.ANSWER)


def abduction(program: jax.Array, result: jax.Array) -> jax.Array:
  """Prompt: program [B, Lp] and output [B, Lv]; an input is asked."""
  return _prompt(align_right(program), g.ABDUCE, result, g.ANSWER)


def induction(inputs: jax.Array, outputs: jax.Array) -> jax.Array:
  """Prompt: shown pairs [B, S, Lv] twice; a program is asked."""
  rows = inputs.shape[0]
  pairs = jnp.stack([inputs, outputs], axis=2).reshape(rows, -1)
  return _prompt(pairs, g.INDUCE)


def proposal(kind: jax.Array, references: jax.Array) -> jax.Array:
  """Prompt: references [B, K, Lp] and task type [B]; a task is asked."""
  rows = references.shape[0]
  slots = references.shape[1] * references.shape[2]
  flat = align_right(references).reshape(rows, slots)
  return _prompt(flat, g.PROPOSE_DEDUCE + kind)


def _prompt(first: jax.Array, *parts: int | jax.Array) -> jax.Array:
  """Parts side by side; a marker is one column wide, and the last part."""
  rows = first.shape[0]
  columns = [
    part if jnp.ndim(part) == 2 else _column(rows, part)
    for part in (first, *parts)
  ]
  return jnp.concatenate(columns, axis=1)


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
