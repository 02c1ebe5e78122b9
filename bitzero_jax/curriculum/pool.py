"""KEEP: which verified tasks the pool holds. One row a way of evicting."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bitzero_jax.runtime import mesh as mesh_lib
from bitzero_jax.state import Pool, Task, empty_task

Slots = Callable[[Pool, jax.Array, jax.Array, jax.Array], jax.Array]


def empty(capacity: int, pairs: int, program: int, value: int) -> Pool:
  """A pool with room for `capacity` tasks and nothing in it."""
  return Pool(
    tasks=empty_task(capacity, pairs, program, value),
    priority=jnp.zeros(capacity, jnp.float32),
    size=jnp.int32(0),
    admitted=jnp.int32(0),
  )


def reservoir(
  pool: Pool, accepted: jax.Array, priority: jax.Array, key: jax.Array
) -> jax.Array:
  """Slots for a uniform sample of all tasks ever admitted (Vitter 1985).

  Returns:
    int32 [B], slot for each candidate; C or more drops it.
  """
  del priority
  capacity = pool.priority.shape[0]
  rank = mesh_lib.running_sum(accepted) - 1
  append = pool.size + rank
  ever = pool.admitted + rank + 1
  drawn = jax.random.randint(key, rank.shape, 0, jnp.maximum(ever, 1))
  slot = jnp.where(append < capacity, append, drawn)
  slot = jnp.where(accepted, slot, capacity)
  rows = jnp.arange(slot.shape[0])
  later = (slot[:, None] == slot[None]) & (rows[None] > rows[:, None])
  return jnp.where(later.any(axis=1), capacity, slot)  # the last one stays


def priority(
  pool: Pool, accepted: jax.Array, priority: jax.Array, key: jax.Array
) -> jax.Array:
  """Slots that keep the most learnable tasks.

  A full pool gives up its least learnable task to a more learnable candidate.

  Returns:
    int32 [B], slot for each candidate; C or more drops it.
  """
  del key
  capacity = pool.priority.shape[0]
  filled = jnp.arange(capacity) < pool.size
  weakest = jnp.argsort(jnp.where(filled, pool.priority, -jnp.inf))
  strength = jnp.where(accepted, priority, -jnp.inf)
  rank = jnp.argsort(jnp.argsort(-strength))
  slot = weakest[jnp.minimum(rank, capacity - 1)]
  better = ~filled[slot] | (priority > pool.priority[slot])
  return jnp.where(accepted & better & (rank < capacity), slot, capacity)


EVICTION: dict[str, Slots] = {"reservoir": reservoir, "priority": priority}


def keep(
  slots: Slots,
  pool: Pool,
  tasks: Task,
  accepted: jax.Array,
  learnability: jax.Array,
  key: jax.Array,
) -> Pool:
  """Puts accepted tasks into the pool.

  Args:
    slots: a row of `EVICTION`.
    pool: the pool.
    tasks: B candidates.
    accepted: bool [B], which of them the gate let through.
    learnability: float32 [B], kept as priority.
    key: PRNG key, consumed.
  """
  capacity = pool.priority.shape[0]
  at = slots(pool, accepted, learnability, key)
  put = jax.tree.map(
    lambda old, new: old.at[at].set(new, mode="drop"), pool.tasks, tasks
  )
  admitted = accepted.sum()
  return Pool(
    tasks=put,
    priority=pool.priority.at[at].set(learnability, mode="drop"),
    size=jnp.minimum(pool.size + admitted, capacity),
    admitted=pool.admitted + admitted,
  )
