"""SOLVE: sound tasks and a key in, answers out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bitzero_jax import sample
from bitzero_jax.language.layout import Sizes
from bitzero_jax.language.levels import Tables
from bitzero_jax.language.rows import plan_of, rows_of
from bitzero_jax.models.network import Network
from bitzero_jax.models.policy import score
from bitzero_jax.state import INDUCTION, Answers, Rollout, Task, take


class Solver(NamedTuple):
  """Static choices of the solving role.

  Attributes:
    sizes: lengths of the language.
    temperature: of the samples, above 0.
    samples: answers for each task.
  """

  sizes: Sizes
  temperature: float
  samples: int


def solve(
  solver: Solver,
  network: Network,
  weights: Any,
  tables: Tables,
  kind: int,
  tasks: Task,
  asked: jax.Array,
  key: jax.Array,
) -> tuple[Answers, Rollout]:
  """Samples `samples` answers to each of B tasks of one type.

  Returns:
    Answers and rollout with B * samples rows, the samples of a task together.
  """
  sizes = solver.sizes
  rows = tasks.kind.shape[0]
  copies = jnp.repeat(jnp.arange(rows), solver.samples)
  many = take(tasks, copies)
  pair = jnp.zeros(copies.shape, jnp.int32)
  prompt, gold = rows_of(kind, many, pair, sizes.shown)
  rollout = sample.write(
    network,
    weights,
    tables,
    plan_of(kind, tables),
    prompt,
    key,
    length=gold.shape[1],
    slots=sizes.slots,
    temperature=solver.temperature,
  )
  answers = Answers(
    kind=jnp.full(copies.shape, kind, jnp.int32),
    program=many.program,
    inputs=many.inputs,
    outputs=many.outputs,
    pair=pair if kind != INDUCTION else jnp.full_like(pair, sizes.shown),
    answer=rollout.answer,
    asked=asked[copies],
  )
  return answers, rollout


def gold_probability(
  network: Network,
  weights: Any,
  tables: Tables,
  kind: int,
  tasks: Task,
  sizes: Sizes,
) -> jax.Array:
  """Probability of the gold answer under mask, float32 [B].

  Equals the solve rate for deduction; a lower bound of it for abduction and
  induction, where other answers may be right too.
  """
  pair = jnp.zeros(tasks.kind.shape, jnp.int32)
  prompt, gold = rows_of(kind, tasks, pair, sizes.shown)
  log_prob = score(
    network,
    weights,
    tables,
    plan_of(kind, tables),
    prompt,
    gold,
    slots=sizes.slots,
  )
  return jnp.exp(log_prob.sum(axis=1))
