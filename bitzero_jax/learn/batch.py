"""Rows for one gradient update: verified tasks with their gold answers."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from bitzero_jax.language.grammar import PAD
from bitzero_jax.language.rows import rows_of
from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.state import INDUCTION, KINDS, Pool, Task, choose, take


@struct.dataclass
class GoldRows:
  """Supervised rows of one task type. Q = last columns that are scored.

  Attributes:
    prompt: int32 [B, P].
    answer: int32 [B, A], the executor's answer.
    weight: float32 [B, Q], of each of the row's last Q tokens in the loss; 0
      on padding, and where there was no task to draw.
  """

  prompt: jax.Array
  answer: jax.Array
  weight: jax.Array


@struct.dataclass
class PolicyRows:
  """A sampled answer with its advantage, of one task type and role.

  Attributes:
    prompt: int32 [B, P].
    answer: int32 [B, A].
    log_prob: float32 [B, A], under the policy that sampled.
    bias: float32 [B, A, V], the grammar's part of that policy.
    advantage: float32 [B].
    counts: bool [B].
  """

  prompt: jax.Array
  answer: jax.Array
  log_prob: jax.Array
  bias: jax.Array
  advantage: jax.Array
  counts: jax.Array


class Draw(NamedTuple):
  """How hindsight rows are drawn.

  Attributes:
    rows: rows of each task type in an update.
    fresh_share: share drawn from this round's tasks, the rest from the pool;
      all from the pool when the round brought none, and the reverse.
    shown: pairs that an induction prompt shows.
    shown_weight: weight in the loss of the outputs inside an induction prompt,
      from the second on: to foresee them is to have grasped the program.
  """

  rows: tuple[int, int, int]
  fresh_share: float
  shown: int
  shown_weight: float


def draw(
  spec: Draw,
  fresh: Task,
  weight: jax.Array,
  pool: Pool,
  key: jax.Array,
  pool_weight: jax.Array | None = None,
) -> dict[str, GoldRows]:
  """Draws hindsight rows, with replacement.

  Args:
    spec: how many and from where.
    fresh: this round's candidates, B tasks.
    weight: float32 [B], how often each is drawn beside the others, 0 for never.
    pool: verified tasks of earlier rounds.
    key: PRNG key, consumed.
    pool_weight: float32 [C], how often each of the pool's tasks is drawn, 0 in
      empty slots; None for all alike.

  Returns:
    Rows by task type, without a type that has none. A drawn task is posed with
    a random pair (deduction, abduction) or with its pairs in a random rotation
    (induction).
  """
  total = sum(spec.rows)
  side, which, where = jax.random.uniform(key, (3, total))
  if pool_weight is None:
    old, stocked = _below(which, pool.size), pool.size > 0
  else:
    old, stocked = pick(pool_weight, which)
  new, available = pick(weight, which)
  use_fresh = available & ((side < spec.fresh_share) | ~stocked)
  from_fresh, from_pool = take(fresh, new), take(pool.tasks, old)
  tasks = choose(use_fresh, from_fresh, from_pool)
  counts = use_fresh | stocked
  pair = _below(where, jnp.int32(tasks.inputs.shape[1]))
  result, begin = {}, 0
  for kind, (name, rows) in enumerate(zip(KINDS, spec.rows, strict=True)):
    if not rows:
      continue
    mine = slice(begin, begin + rows)
    posed = take(tasks, mine)
    if kind == INDUCTION:
      posed = _rotate(posed, pair[mine])
    prompt, answer = rows_of(kind, posed, pair[mine], spec.shown)
    weight = (answer != PAD).astype(jnp.float32)
    if kind == INDUCTION and spec.shown_weight:
      inside = _shown_outputs(posed, spec) * spec.shown_weight
      weight = jnp.concatenate([inside, weight], axis=1)
    result[name] = GoldRows(prompt, answer, weight * counts[mine][:, None])
    begin += rows
  return result


def drawn_lengths(
  spec: Draw,
  fresh: Task,
  weight: jax.Array,
  pool: Pool,
  pool_weight: jax.Array | None,
) -> jax.Array:
  """Share of each program length among the rows that `draw` is to give.

  Returns:
    float32 [Lp], for programs of 1 to Lp tokens. Its sum is 1, or 0 while there
    is nothing to draw.
  """
  held = jnp.arange(pool.priority.shape[0]) < pool.size
  pool_weight = jnp.asarray(held) if pool_weight is None else pool_weight
  new, old = _lengths(fresh, weight), _lengths(pool.tasks, pool_weight)
  share = jnp.where(old.sum() > 0, spec.fresh_share, 1.0)
  share = jnp.where(new.sum() > 0, share, 0.0)
  return share * new + (1 - share) * old


def _lengths(tasks: Task, weight: jax.Array) -> jax.Array:
  """Weighted shares of program lengths: float32 [Lp]."""
  length = jnp.sum(tasks.program != PAD, axis=1)
  longest = tasks.program.shape[1]
  heap = jnp.zeros(longest + 1).at[length].add(weight.astype(jnp.float32))[1:]
  return heap / jnp.maximum(heap.sum(), 1e-30)


def pick(weight: jax.Array, uniform: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Draws rows by relative weight, with replacement.

  Args:
    weight: float32 [B], at least 0.
    uniform: float32 [R], in [0, 1).

  Returns:
    (int32 [R] below B, bool []: whether there was any weight at all).
  """
  ends = mesh_lib.running_sum(weight)
  available = ends[-1] > 0
  index = jnp.searchsorted(ends, uniform * ends[-1], side="right")
  # The product may round up to the whole; nobody may land beyond the last.
  last = weight.shape[0] - 1 - jnp.argmax(weight[::-1] > 0)
  return jnp.minimum(index, last), available


def _shown_outputs(tasks: Task, spec: Draw) -> jax.Array:
  """Which columns of an induction prompt hold outputs from the second on.

  Returns:
    bool [B, Q'], over the prompt without its first pair, markers included.
  """
  live = tasks.outputs[:, 1 : spec.shown] != PAD
  both = jnp.stack([jnp.zeros_like(live), live], axis=2)
  flat = both.reshape(both.shape[0], math.prod(both.shape[1:]))
  return jnp.pad(flat, ((0, 0), (0, 1)))  # the marker


def _below(uniform: jax.Array, bound: jax.Array) -> jax.Array:
  """Ints in [0, bound) from floats in [0, 1); 0 where the bound is 0."""
  index = (uniform * bound).astype(jnp.int32)
  return jnp.clip(index, 0, jnp.maximum(bound - 1, 0))


def _rotate(tasks: Task, by: jax.Array) -> Task:
  """Pairs of each task in rotated order."""
  pairs = tasks.inputs.shape[1]
  turn = ((by[:, None] + jnp.arange(pairs)) % pairs)[..., None]
  return dataclasses.replace(
    tasks,
    inputs=jnp.take_along_axis(tasks.inputs, turn, axis=1),
    outputs=jnp.take_along_axis(tasks.outputs, turn, axis=1),
  )
