"""A task posed as one type: prompt, gold answer, and the answer's form."""

import jax
import jax.numpy as jnp

from bitzero_jax.language import layout
from bitzero_jax.language.automaton import Plan
from bitzero_jax.language.levels import Tables
from bitzero_jax.state import ABDUCTION, DEDUCTION, INDUCTION, Task


def plan_of(kind: int, tables: Tables, rows: int) -> Plan:
  """What answers of this task type must be, for a batch of `rows`."""
  plans = {
    DEDUCTION: layout.value_plan,
    ABDUCTION: layout.argument_plan,
    INDUCTION: layout.program_plan,
  }
  return plans[kind](tables, rows)


def rows_of(
  kind: int, tasks: Task, pair: jax.Array, shown: int
) -> tuple[jax.Array, jax.Array]:
  """Prompt and gold answer for tasks posed as one type.

  Args:
    kind: task type, static.
    tasks: B tasks.
    pair: int32 [B], which pair deduction and abduction ask about.
    shown: pairs that induction shows (the first ones).

  Returns:
    (int32 [B, P], int32 [B, A]).
  """
  if kind == INDUCTION:
    prompt = layout.induction(tasks.inputs[:, :shown], tasks.outputs[:, :shown])
    return prompt, tasks.program
  row = jnp.arange(pair.shape[0])
  given, result = tasks.inputs[row, pair], tasks.outputs[row, pair]
  if kind == DEDUCTION:
    return layout.deduction(tasks.program, given), result
  return layout.abduction(tasks.program, result), given
