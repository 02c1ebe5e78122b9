"""Hindsight rows: where they come from, and what they pose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bitzero_jax.curriculum import pool as pool_lib
from bitzero_jax.learn.batch import Draw, draw, drawn_lengths
from bitzero_jax.state import KINDS, Task

PAIRS, WIDTH = 3, 4
MANY = Draw(rows=(300, 300, 300), fresh_share=0.25, shown=2, shown_weight=0.0)
jitted = jax.jit(draw, static_argnums=0)


def tasks(rows, mark):
  """Tasks whose tokens tell `mark`, the row and the pair."""
  number = mark + np.arange(rows)
  pair = np.arange(PAIRS)
  inputs = 10 * number[:, None] + pair
  inputs = np.repeat(inputs[..., None], WIDTH, axis=2)
  return Task(
    program=jnp.asarray(np.repeat(number[:, None], 5, 1), jnp.int32),
    inputs=jnp.asarray(inputs, jnp.int32),
    outputs=jnp.asarray(inputs + 5, jnp.int32),
    behaviour=jnp.zeros((rows, 2), jnp.uint32),
    kind=jnp.zeros(rows, jnp.int32),
    source=jnp.zeros(rows, jnp.int32),
  )


def pool(size):
  empty = pool_lib.empty(8, PAIRS, 5, WIDTH)
  held = tasks(8, 1000)
  live = jnp.arange(8) < size
  blank = jax.tree.map(
    lambda leaf: jnp.where(live.reshape(-1, *[1] * (leaf.ndim - 1)), leaf, 0),
    held,
  )
  return empty.replace(tasks=blank, size=jnp.int32(size))


FRESH = tasks(6, 100)
SOUND = jnp.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])


def owners(rows):
  """Number of the task behind each row, by task type."""
  deduction, abduction, induction = (rows[name] for name in KINDS)
  return {
    "deduction": np.asarray(deduction.answer)[:, 0] // 10,
    "abduction": np.asarray(abduction.answer)[:, 0] // 10,
    "induction": np.asarray(induction.answer)[:, 0],
  }


def test_a_share_is_fresh_and_only_sound_tasks_are_drawn():
  rows = jitted(MANY, FRESH, SOUND, pool(5), jax.random.key(0))
  for name, found in owners(rows).items():
    fresh = found < 1000
    assert abs(fresh.mean() - 0.25) < 0.1, name
    assert set(found[fresh]) == {101, 103, 104}
    assert set(found[~fresh]) == set(range(1000, 1005))
    assert (np.asarray(rows[name].weight) == 1).all()
    assert rows[name].prompt.shape[0] == 300
    held = np.bincount(found[~fresh] - 1000)
    assert held.min() > 20


def test_a_heavier_task_is_drawn_more_often():
  weight = jnp.array([0.0, 0.25, 0.0, 2.0, 0.25, 0.0])
  spec = MANY._replace(fresh_share=1.0)
  rows = jitted(spec, FRESH, weight, pool(5), jax.random.key(0))
  found = np.concatenate(list(owners(rows).values()))
  assert set(found) == {101, 103, 104}
  assert abs((found == 103).mean() - 0.8) < 0.05


def test_pool_tasks_may_be_weighted_too():
  weight = jnp.array([0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
  spec = MANY._replace(fresh_share=0.0)
  rows = jitted(spec, FRESH, SOUND, pool(5), jax.random.key(0), weight)
  found = np.concatenate(list(owners(rows).values()))
  assert set(found) == {1001, 1003}
  assert abs((found == 1001).mean() - 0.75) < 0.05
  rows = jitted(spec, FRESH, SOUND, pool(5), jax.random.key(0), 0 * weight)
  assert set(np.concatenate(list(owners(rows).values()))) == {101, 103, 104}


def lengthened(tasks, lengths):
  """The same tasks with programs of these lengths."""
  live = jnp.arange(5) < jnp.asarray(lengths)[:, None]
  return tasks.replace(program=jnp.where(live, tasks.program, 0))


def test_the_lengths_that_are_drawn_are_foreseen():
  fresh = lengthened(FRESH, [1, 2, 3, 4, 4, 5])
  held = pool(5)
  held = held.replace(tasks=lengthened(held.tasks, [5, 5, 2, 2, 1, 0, 0, 0]))
  empty = pool(0)
  recall = jnp.array([1.0, 0, 0, 0, 3, 0, 0, 0])
  weight = jnp.array([0.0, 1.0, 0.0, 2.0, 1.0, 0.0])
  for share, fresh_weight, stock, pool_weight, expected in (
    (0.25, weight, held, None, [0.15, 0.3625, 0, 0.1875, 0.3]),
    (0.25, weight, held, recall, [0.5625, 0.0625, 0, 0.1875, 0.1875]),
    (0.25, weight, empty, None, [0, 0.25, 0, 0.75, 0]),
    (0.25, weight, held, 0 * recall, [0, 0.25, 0, 0.75, 0]),
    (1.0, 0 * weight, held, None, [0.2, 0.4, 0, 0, 0.4]),
    (1.0, 0 * weight, empty, None, [0, 0, 0, 0, 0]),
  ):
    spec = MANY._replace(fresh_share=share)
    got = drawn_lengths(spec, fresh, fresh_weight, stock, pool_weight)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_everything_comes_from_where_there_is_something():
  for sound, size, expected in (
    (SOUND, 0, {101, 103, 104}),
    (jnp.zeros(6), 2, {1000, 1001}),
  ):
    rows = jitted(MANY, FRESH, sound, pool(size), jax.random.key(1))
    for name, found in owners(rows).items():
      assert set(found) == expected
      assert (np.asarray(rows[name].weight) == 1).all()


def test_where_there_is_nothing_no_row_counts():
  rows = jitted(MANY, FRESH, jnp.zeros(6), pool(0), jax.random.key(2))
  for row in rows.values():
    assert not np.asarray(row.weight).any()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_may_be_none_or_all(share):
  spec = MANY._replace(fresh_share=share)
  rows = jitted(spec, FRESH, SOUND, pool(8), jax.random.key(3))
  for found in owners(rows).values():
    assert ((found < 1000) == (share == 1.0)).all()


def test_rows_ask_about_every_pair_and_belong_together():
  rows = jitted(MANY, FRESH, SOUND, pool(5), jax.random.key(4))
  deduction, abduction, induction = (
    jax.tree.map(np.asarray, rows[name]) for name in KINDS
  )
  given = deduction.prompt[:, -1 - WIDTH]
  np.testing.assert_array_equal(deduction.answer[:, 0], given + 5)
  np.testing.assert_array_equal(deduction.prompt[:, 0], given // 10)
  result = abduction.prompt[:, -1 - WIDTH]
  np.testing.assert_array_equal(abduction.answer[:, 0], result - 5)
  assert (
    set(given % 10) == set(abduction.answer[:, 0] % 10) == set(range(PAIRS))
  )
  # Two pairs of three in rotated order, each input before its output.
  first, output, second = (induction.prompt[:, i * WIDTH] for i in range(3))
  np.testing.assert_array_equal(output, first + 5)
  np.testing.assert_array_equal((first + 1) % 10 % PAIRS, second % 10)
  np.testing.assert_array_equal(first // 10, induction.answer[:, 0])
  assert set(first % 10) == set(range(PAIRS))


def test_a_type_without_rows_is_left_out_and_a_key_decides():
  spec = MANY._replace(rows=(4, 0, 2))
  one, same, other = (
    jitted(spec, FRESH, SOUND, pool(5), jax.random.key(k)) for k in (5, 5, 6)
  )
  counts = {name: rows.prompt.shape[0] for name, rows in one.items()}
  assert counts == {"deduction": 4, "induction": 2}
  jax.tree.map(np.testing.assert_array_equal, one, same)
  assert any(
    (np.asarray(one[n].answer) != np.asarray(other[n].answer)).any()
    for n in ("deduction", "induction")
  )


def test_answers_weigh_one_and_padding_nothing():
  outputs = FRESH.outputs.at[:, :, 2:].set(0)
  short = FRESH.replace(outputs=outputs, program=FRESH.program.at[:, 3:].set(0))
  rows = jitted(MANY, short, SOUND, pool(0), jax.random.key(7))
  for name, expected in (
    ("deduction", [1, 1, 0, 0]),
    ("abduction", [1, 1, 1, 1]),
    ("induction", [1, 1, 1, 0, 0]),
  ):
    np.testing.assert_array_equal(rows[name].weight, [expected] * 300)


def test_shown_outputs_weigh_from_the_second_pair_on():
  outputs = FRESH.outputs.at[:, :, 3:].set(0)
  spec = MANY._replace(rows=(2, 2, 40), shown=3, shown_weight=0.5)
  rows = jitted(
    spec, FRESH.replace(outputs=outputs), SOUND, pool(0), jax.random.key(8)
  )
  unseen, shown = [0] * WIDTH, [0.5, 0.5, 0.5, 0]
  marker, answer = [0], [1] * 5
  expected = [*unseen, *shown, *unseen, *shown, *marker, *answer]
  induction = rows["induction"]
  np.testing.assert_array_equal(induction.weight, [expected] * 40)
  # The weights end where the tokens end, so they point at outputs.
  tokens = np.concatenate([induction.prompt, induction.answer], axis=1)
  scored = tokens[:, -len(expected) :]
  inside = scored[:, np.asarray(expected) == 0.5]
  assert (inside % 10 >= 5).all()
  for name in ("deduction", "abduction"):
    assert rows[name].weight.shape == (2, WIDTH)
