"""Rows for one gradient update: verified tasks, posed with their gold answer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from bitzero_jax.language.rows import rows_of
from bitzero_jax.state import INDUCTION, KINDS, Pool, Task, choose, take


@struct.dataclass
class GoldRows:
  """Supervised rows of one task type.

  Attributes:
    prompt: int32 [B, P].
    answer: int32 [B, A], the executor's answer.
    counts: bool [B], False where there was no task to draw.
  """

  prompt: jax.Array
  answer: jax.Array
  counts: jax.Array


@struct.dataclass
class PolicyRows:
  """A sampled answer with its advantage, of one task type and role.

  Attributes:
    prompt: int32 [B, P].
    answer: int32 [B, A].
    log_prob: float32 [B, A], under the policy that sampled.
    advantage: float32 [B].
    counts: bool [B].
  """

  prompt: jax.Array
  answer: jax.Array
  log_prob: jax.Array
  advantage: jax.Array
  counts: jax.Array


class Draw(NamedTuple):
  """How hindsight rows are drawn.

  Attributes:
    rows: rows of each task type in an update.
    fresh_share: share drawn from this round's sound tasks, the rest from the
      pool; all from the pool when the round brought none, and the reverse.
    shown: pairs that an induction prompt shows.
  """

  rows: tuple[int, int, int]
  fresh_share: float
  shown: int


def draw(
  spec: Draw, fresh: Task, sound: jax.Array, pool: Pool, key: jax.Array
) -> dict[str, GoldRows]:
  """Draws hindsight rows, with replacement.

  Args:
    spec: how many and from where.
    fresh: this round's candidates, B tasks.
    sound: bool [B], which of them may be trained on.
    pool: verified tasks of earlier rounds.
    key: PRNG key, consumed.

  Returns:
    Rows by task type. A drawn task is posed with a random pair (deduction,
    abduction) or with its pairs in a random rotation (induction).
  """
  result = {}
  keys = jax.random.split(key, len(KINDS))
  for kind, (name, rows) in enumerate(zip(KINDS, spec.rows, strict=True)):
    side_key, fresh_key, pool_key, pair_key = jax.random.split(keys[kind], 4)
    tasks, counts = _draw_tasks(
      spec.fresh_share, fresh, sound, pool, rows, side_key, fresh_key, pool_key
    )
    pairs = tasks.inputs.shape[1]
    pair = jax.random.randint(pair_key, (rows,), 0, pairs)
    if kind == INDUCTION:
      turn = (pair[:, None] + jnp.arange(pairs)) % pairs
      turn = turn[..., None]
      tasks = tasks.replace(
        inputs=jnp.take_along_axis(tasks.inputs, turn, axis=1),
        outputs=jnp.take_along_axis(tasks.outputs, turn, axis=1),
      )
    prompt, answer = rows_of(kind, tasks, pair, spec.shown)
    result[name] = GoldRows(prompt, answer, counts)
  return result


def _draw_tasks(
  fresh_share, fresh, sound, pool, rows, side_key, fresh_key, pool_key
) -> tuple[Task, jax.Array]:
  """Tasks and whether each is real: B = `rows`."""
  available = sound.sum()
  wants_fresh = jax.random.uniform(side_key, (rows,)) < fresh_share
  use_fresh = (wants_fresh | (pool.size == 0)) & (available > 0)
  rank = jax.random.randint(fresh_key, (rows,), 1, jnp.maximum(available, 1) + 1)
  from_fresh = take(fresh, jnp.searchsorted(jnp.cumsum(sound), rank))
  index = jax.random.randint(pool_key, (rows,), 0, jnp.maximum(pool.size, 1))
  tasks = choose(use_fresh, from_fresh, take(pool.tasks, index))
  return tasks, use_fresh | (pool.size > 0)
