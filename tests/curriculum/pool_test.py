"""Which verified tasks stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.state import REASON, Outcome, Task
from bitzero_jax.verify import rules

CAPACITY = 8


def tasks(numbers):
  """One task for each number, which stands in every array."""
  n = jnp.asarray(numbers, jnp.int32)
  one = n[:, None]
  return Task(
    program=jnp.repeat(one, 3, 1),
    inputs=jnp.broadcast_to(n[:, None, None], (len(n), 2, 4)),
    outputs=jnp.broadcast_to(n[:, None, None], (len(n), 2, 4)),
    behaviour=jnp.stack([n, n + 1], 1).astype(jnp.uint32),
    kind=n,
    source=n,
  )


def empty(capacity=CAPACITY):
  return pool_lib.empty(capacity, pairs=2, program=3, value=4)


def held(pool):
  """Numbers in the filled slots; every array must tell the same."""
  numbers = np.asarray(pool.tasks.kind)
  rows = len(numbers)
  for leaf in jax.tree.leaves(pool.tasks):
    flat = np.asarray(leaf).reshape(rows, -1)[:, 0]
    np.testing.assert_array_equal(flat, numbers)
  size = int(pool.size)
  assert (numbers[size:] == 0).all()
  return numbers[:size].tolist()


keep = jax.jit(pool_lib.keep, static_argnums=0)


@pytest.mark.parametrize("name", pool_lib.EVICTION)
def test_a_pool_with_room_takes_all_that_is_accepted(name):
  slots = pool_lib.EVICTION[name]
  accepted = jnp.array([True, False, True, True])
  worth = jnp.array([0.0, 0.9, 0.0, 0.2])
  pool = keep(
    slots, empty(), tasks([1, 2, 3, 4]), accepted, worth, jax.random.key(0)
  )
  assert sorted(held(pool)) == [1, 3, 4]
  pool = keep(
    slots, pool, tasks([5, 6, 7, 8]), accepted, worth, jax.random.key(1)
  )
  assert sorted(held(pool)) == [1, 3, 4, 5, 7, 8]
  assert (int(pool.size), int(pool.admitted)) == (6, 6)
  at = np.asarray(pool.tasks.kind).tolist().index(8)
  assert float(pool.priority[at]) == pytest.approx(0.2)


@pytest.mark.parametrize("name", pool_lib.EVICTION)
def test_nothing_accepted_changes_nothing(name):
  slots = pool_lib.EVICTION[name]
  pool = keep(
    slots,
    empty(),
    tasks([1, 2]),
    jnp.ones(2, bool),
    jnp.ones(2),
    jax.random.key(0),
  )
  same = keep(
    slots,
    pool,
    tasks([3, 4]),
    jnp.zeros(2, bool),
    jnp.ones(2),
    jax.random.key(0),
  )
  jax.tree.map(np.testing.assert_array_equal, same, pool)


@pytest.mark.parametrize("name", pool_lib.EVICTION)
@pytest.mark.parametrize("batch", [3, 8, 20])
def test_a_pool_never_exceeds_its_capacity_and_never_mixes_tasks(name, batch):
  rng = np.random.default_rng(0)
  pool, admitted, seen = empty(), 0, set()
  for step in range(12):
    numbers = 1 + step * batch + np.arange(batch)
    accepted = rng.random(batch) < 0.6
    pool = keep(
      pool_lib.EVICTION[name],
      pool,
      tasks(numbers),
      jnp.asarray(accepted),
      jnp.asarray(rng.random(batch), jnp.float32),
      jax.random.key(step),
    )
    admitted += int(accepted.sum())
    seen |= set(numbers[accepted].tolist())
    kept = held(pool)
    assert len(kept) == min(admitted, CAPACITY)
    assert len(set(kept)) == len(kept)
    assert set(kept) <= seen
    assert int(pool.admitted) == admitted


def test_a_reservoir_keeps_each_task_equally_often():
  slots, batches, rows, trials = pool_lib.reservoir, 6, 5, 600

  def fill(key):
    def step(pool, x):
      key, first = x
      new = tasks(jnp.arange(rows) + 1).replace(
        kind=first + jnp.arange(rows, dtype=jnp.int32)
      )
      accepted = jnp.arange(rows) != 2
      return pool_lib.keep(
        slots, pool, new, accepted, jnp.ones(rows), key
      ), None

    keys = jax.random.split(key, batches)
    firsts = jnp.arange(batches, dtype=jnp.int32) * rows
    return jax.lax.scan(step, empty(), (keys, firsts))[0].tasks.kind

  keys = jax.random.split(jax.random.key(0), trials)
  kept = np.asarray(jax.jit(jax.vmap(fill))(keys))
  count = np.bincount(kept.ravel(), minlength=batches * rows)
  offered = np.arange(batches * rows) % rows != 2
  assert (count[~offered] == 0).all()
  share = CAPACITY / offered.sum()
  deviation = np.sqrt(trials * share * (1 - share))
  assert np.abs(count[offered] - trials * share).max() < 4.5 * deviation


@pytest.mark.parametrize("batch", [4, 16])
def test_priority_keeps_the_most_learnable_of_all(batch):
  rng = np.random.default_rng(1)
  pool, best = empty(), []
  for step in range(8):
    numbers = 1 + step * batch + np.arange(batch)
    worth = rng.random(batch).astype(np.float32)
    accepted = rng.random(batch) < 0.7
    pool = keep(
      pool_lib.priority,
      pool,
      tasks(numbers),
      jnp.asarray(accepted),
      jnp.asarray(worth),
      jax.random.key(0),
    )
    best += zip(worth[accepted], numbers[accepted], strict=True)
    best = sorted(best, reverse=True)[:CAPACITY]
    assert sorted(held(pool)) == sorted(n for _, n in best)
    at = np.asarray(pool.tasks.kind)[: int(pool.size)].tolist()
    expected = {n: w for w, n in best}
    got = dict(zip(at, np.asarray(pool.priority), strict=False))
    assert got == pytest.approx(expected)


@pytest.mark.parametrize("name", pool_lib.EVICTION)
def test_with_the_novelty_gate_no_behaviour_is_held_twice(name):
  rng = np.random.default_rng(2)
  gate = rules.Gate(constant=True, identity=True, outputs=1, novel=True)
  pool = empty()
  barred = jnp.zeros((0, 2), jnp.uint32)
  for step in range(10):
    new = tasks(rng.integers(1, 15, 6))
    nothing = jnp.zeros(6, bool)
    outcome = Outcome(
      reason=jnp.full(6, REASON["accepted"]),
      inputs=new.inputs,
      outputs=new.outputs,
      behaviour=new.behaviour,
      constant=nothing,
      identity=nothing,
    )
    reason = rules.judge(gate, outcome, barred, pool.tasks.behaviour, pool.size)
    pool = keep(
      pool_lib.EVICTION[name],
      pool,
      new,
      reason == REASON["accepted"],
      jnp.asarray(rng.random(6), jnp.float32),
      jax.random.key(step),
    )
    kept = held(pool)
    assert len(set(kept)) == len(kept)
  assert len(kept) == CAPACITY
